# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A publisher that is stopped (SIGSTOP) is there and answers nobody: each command says so, in the same
words, after the time that it was given.
"""
import os
import signal
import time

import ingest_test
from camera import Camera
from ingest_test import CUFRAMES, parse_summary
from packet_test import PacketTest

# A program that FFmpeg's libraries are loaded for, on a busy machine; far less than five seconds.
START_S = 2


class Stopped(PacketTest):
    def setUp(self):
        super().setUp()
        self.publisher = self.ingest("testsrc2=size=64x48:rate=25", "--input-format", "lavfi",
                                     "--realtime", "--no-packets", key="frames")
        clip = self.clip("a.mp4", ["libx264", "-g", "25", "-pix_fmt", "yuv420p"])
        self.camera = self.ingest(clip, "--realtime", "--loop")
        for key, process in (("frames", self.publisher), ("cam", self.camera)):
            self.run_tool("sub", key, "--frames", "1", "--wait", "20")
            process.send_signal(signal.SIGSTOP)

    def tearDown(self):
        for process in (self.publisher, self.camera):
            process.send_signal(signal.SIGCONT)
            self.end(process)

    def silent(self, seconds, *args):
        began = time.monotonic()
        _, err = self.run_tool(*args, code=1)
        took = time.monotonic() - began
        self.assertIn(f'the publisher of the key "{args[1]}" does not answer: it is stopped, or very '
                      "busy", err)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertLess(took, seconds + START_S, args)
        self.assertGreater(took, seconds - 0.1, args)

    def test_time_limits_hold_while_it_connects(self):
        path = self.path("b.mp4")
        for seconds, args in (
            (0.5, ("record", "cam", path, "--duration", "0.5")),
            (0.5, ("record", "cam", path, "--wait", "0.5")),
            (0.5, ("packets", "cam", "--duration", "0.5")),
            (1, ("packets", "cam", "--wait", "0")),
            (0.2, ("packets", "cam", "--wait", "0.2", "--duration", "9")),
            (0.3, ("cat", "cam", "--packets", "--seconds", "0.3")),
            (0.3, ("cat", "cam", "--packets", "--seconds", "0.3", "--to",
                   "unix:" + self.path("socket"))),
            (0.3, ("cat", "frames", "--seconds", "0.3")),
            (0.3, ("sub", "frames", "--seconds", "0.3")),
            (0.3, ("snapshot", "frames", self.path("b.png"), "--wait", "0.3")),
            (1, ("info", "cam")),
        ):
            with self.subTest(args=args):
                self.silent(seconds, *args)
        self.assertFalse(os.path.exists(path))

    def test_a_signal_ends_the_wait(self):
        for args in (("packets", "cam"), ("sub", "frames"), ("record", "nobody", "b.mp4")):
            tool = self.start(*args, "--wait", "25")
            self.wait_until_it_catches(tool)
            time.sleep(0.1)
            began = time.monotonic()
            self.end(tool)
            self.assertLess(time.monotonic() - began, START_S)

    def test_clients_of_a_socket_wait_for_it(self):
        """Nobody is held up, and each is served when it goes on."""
        self.camera.send_signal(signal.SIGCONT)
        path = self.path("socket")
        server = self.start("cat", "cam", "--packets", "--format", "mpegts", "--to", "unix:" + path)
        self.wait_for(lambda: os.path.exists(path), "the socket")
        self.camera.send_signal(signal.SIGSTOP)
        client = self.start("-loglevel", "error", "-i", "unix:" + path, "-t", "0.5", "-c", "copy",
                            "-f", "null", "-", program="ffmpeg")
        time.sleep(0.7)
        self.assertIsNone(client.poll())
        self.camera.send_signal(signal.SIGCONT)
        self.finish(client)
        self.end(server)


# More than any timeout of the library or the ingester that is not an option; and the one that is.
LONG_S = 5.5
TIMEOUT = "2"


class StoppedAndContinued(PacketTest):
    """All that takes part is stopped for longer than every timeout, one after the other, and goes on."""

    def stop_for(self, seconds, *processes):
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        for process in processes:
            process.send_signal(signal.SIGCONT)

    def assert_goes_on(self):
        self.run_tool("sub", "cam", "--frames", "10", "--wait", "20", "--reconnect")
        self.run_tool("packets", "cam", "--count", "10", "--wait", "20")

    def test_ingester_camera_and_readers(self):
        camera = Camera(self)
        source = self.ingest(camera.url, "--timeout", TIMEOUT)
        self.run_tool("sub", "cam", "--frames", "1", "--wait", "20")
        reader = self.start("sub", "cam", "--reconnect")
        recorder = self.record(self.path("b.mkv"), "--reconnect")
        # The first answer is waited for no longer than --wait says; that is not what this is about.
        self.wait_for(lambda: len(self.run_json("info", "cam", "--json")["subscribers"]) == 2,
                      "both readers")
        self.wait_for(lambda: os.path.exists(self.path("b.mkv")) and
                      os.path.getsize(self.path("b.mkv")) > 0, "the recording")
        self.stop_for(LONG_S, source)
        self.assert_goes_on()
        # A camera that says nothing for so long is lost, and found again.
        before = camera.connections()[1]
        self.stop_for(float(TIMEOUT) + 1.5, camera.process)
        self.assert_goes_on()
        self.assertGreater(camera.connections()[1], before)
        self.stop_for(LONG_S, reader, recorder)
        self.assert_goes_on()
        for process in (reader, recorder):
            self.end(process)
        summary = parse_summary(self.end(source)[1].decode())
        self.assertGreaterEqual(summary.reconnects, 1)
        self.assertEqual(self.decode(self.path("b.mkv")), "")


if __name__ == "__main__":
    ingest_test.main()
