# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A camera that is there, that vanishes and comes back, stops sending, changes its picture, refuses.
"""
import os
import socket
import subprocess
import threading
import time

from camera import Camera, free_port
from ingest_test import (CAMERA, DISCONTINUITY, FRAMELOG, GENERATION, KEY, PROMPT_S, RECEIVED,
                         IngestTest, main, parse_frames, parse_summary)


class CameraTest(IngestTest):
    def start_all(self, camera, *options, frames=100000):
        """
        A subscriber that waits for the channel, and the ingester; the log goes to a file. What a
        camera sent before it was asked about comes all at once: with the wait policy the
        subscriber sees every frame of it.
        """
        self.log = self.path("ingest.log")
        self.frames_path = self.path("frames.log")
        with open(self.log, "wb") as log, open(self.frames_path, "wb") as out:
            source = self.ingest(camera.url, "--policy", "wait", "--ack-timeout-ms", "5000",
                                 *options, stderr=log)
            reader = self.start("cam", str(frames), program=FRAMELOG, stdout=out)
        return source, reader

    def frames(self):
        with open(self.frames_path, encoding="ascii") as file:
            text = file.read()
        return parse_frames(text[: text.rfind("\n") + 1])

    def read_log(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for_frames(self, count):
        try:
            self.wait_for(lambda: len(self.frames()) >= count, f"{count} frames")
        except self.failureException as error:
            self.fail(f"{error}; {len(self.frames())} came\n{self.read_log()}")

    def finish_all(self, source, reader):
        began = time.monotonic()
        self.end(source)
        self.assertLess(time.monotonic() - began, PROMPT_S)
        self.finish(reader)
        return self.frames(), parse_summary(self.read_log())

    def test_one_connection_no_copies_and_capture_times(self):
        camera = Camera(self)
        source, reader = self.start_all(camera, "--wait-subscribers", "1")
        self.wait_for_frames(50)
        # The camera keeps this host's clock, and says so in its RTCP reports.
        self.wait_for(lambda: self.frames()[-1].source == CAMERA, "the camera's clock")
        before = len(self.frames())
        self.wait_for_frames(before + 10)
        self.assertEqual(camera.connections(), (1, 1))
        frames, summary = self.finish_all(source, reader)
        self.assertEqual(summary.copied, 0, self.read_log())
        self.assertEqual(summary.damaged, 0, self.read_log())
        self.assertEqual(frames[0].seq, 0)
        self.assertTrue(frames[0].flags & KEY)
        self.assertEqual({f.size for f in frames}, {"320x240"})
        self.assertEqual({f.source for f in frames}, {RECEIVED, CAMERA})
        offset = time.time_ns() - time.monotonic_ns()
        for frame in frames:
            taken = frame.capture_ns - offset
            self.assertLess(taken, frame.published_ns)
            self.assertLess(frame.published_ns - taken, 5e9)

    def test_over_udp(self):
        camera = Camera(self)
        source, reader = self.start_all(camera, "--rtsp-transport", "udp")
        self.wait_for_frames(25)
        self.finish_all(source, reader)

    def test_killed_and_restarted(self):
        camera = Camera(self)
        source, reader = self.start_all(camera)
        self.wait_for_frames(20)
        camera.kill()
        self.wait_for(lambda: "trying again" in self.read_log(), "the loss of the camera")
        time.sleep(1.5)
        self.assertIsNone(reader.poll())
        before = len(self.frames())
        camera.start()
        self.wait_for_frames(before + 25)
        frames, summary = self.finish_all(source, reader)
        self.assertEqual(summary.reconnects, 1)
        breaks = [f for f in frames if f.flags & DISCONTINUITY]
        self.assertEqual(len(breaks), 1)
        # The same generation and sequence: nobody had to attach again.
        self.assertEqual(len({f.generation for f in frames}), 1)
        self.assertEqual([f.seq for f in frames],
                         list(range(frames[0].seq, frames[0].seq + len(frames))))
        # The time line goes on, with the time that was lost.
        i = frames.index(breaks[0])
        gap = frames[i].pts_ns - frames[i - 1].pts_ns
        self.assertAlmostEqual(gap / 1e9, (frames[i].published_ns - frames[i - 1].published_ns) / 1e9,
                               delta=1)
        self.assertEqual([f for f in frames if f.pts_ns < frames[0].pts_ns], [])

    def test_connection_dropped(self):
        camera = Camera(self)
        source, reader = self.start_all(camera)
        self.wait_for_frames(20)
        before = len(self.frames())
        camera.command("drop")
        self.wait_for_frames(before + 40)
        frames, summary = self.finish_all(source, reader)
        self.assertEqual(summary.reconnects, 1)
        self.assertEqual(len([f for f in frames if f.flags & DISCONTINUITY]), 1)

    def test_stalled(self):
        camera = Camera(self)
        source, reader = self.start_all(camera, "--timeout", "1")
        self.wait_for_frames(20)
        camera.command("stall on")
        self.wait_for(lambda: "no data for 1 s" in self.read_log(), "the stall")
        camera.command("stall off")
        before = len(self.frames())
        self.wait_for_frames(before + 20)
        self.finish_all(source, reader)

    def test_resolution_changes_in_mid_stream(self):
        camera = Camera(self)
        source, reader = self.start_all(camera)
        self.wait_for_frames(20)
        self.assertEqual(camera.command("resize 640x360"), "OK")
        self.wait_for(lambda: self.frames()[-1].size == "640x360", "the new size")
        frames, summary = self.finish_all(source, reader)
        self.assertEqual(summary.reconnects, 0)
        self.assertEqual(summary.copied, 0)
        sizes = [f.size for f in frames if f.flags & GENERATION]
        self.assertEqual(sizes, ["320x240", "640x360"])

    def test_it_comes_back_with_another_resolution(self):
        camera = Camera(self)
        source, reader = self.start_all(camera)
        self.wait_for_frames(20)
        camera.kill()
        camera.options = ("--size", "176x144")
        camera.start()
        self.wait_for(lambda: self.frames()[-1].size == "176x144", "the new size")
        frames, _ = self.finish_all(source, reader)
        change = next(f for f in frames if f.size == "176x144")
        self.assertTrue(change.flags & GENERATION)
        self.assertTrue(change.flags & DISCONTINUITY)

    def test_not_there_yet(self):
        port = free_port()
        self.log = self.path("ingest.log")
        with open(self.log, "wb") as log:
            source = self.ingest(f"rtsp://127.0.0.1:{port}/cam", stderr=log)
        self.wait_for(lambda: "connection refused" in self.read_log(), "the refusal")
        self.assertIsNone(source.poll())
        reader = self.framelog(10)
        Camera(self, port=port)
        self.assertEqual(len(parse_frames(self.finish(reader)[0].decode())), 10)
        self.end(source)

    def test_not_there_and_no_patience(self):
        _, err = self.run_tool("ingest", f"rtsp://127.0.0.1:{free_port()}/cam", "--key", "cam",
                               "--no-reconnect", code=1)
        self.assertIn("connection refused", err)

    def test_lost_and_no_patience(self):
        camera = Camera(self)
        source, reader = self.start_all(camera, "--no-reconnect")
        self.wait_for_frames(5)
        camera.kill()
        self.finish(source, 1)
        self.assertIn("error: ", self.read_log())

    def test_no_such_stream(self):
        camera = Camera(self)
        _, err = self.run_tool("ingest", f"{camera.url}/none", "--key", "cam", code=1)
        self.assertIn("404", err)

    def test_stream_that_is_refused_for_a_while(self):
        camera = Camera(self)
        source, reader = self.start_all(camera)
        self.wait_for_frames(20)
        camera.command("refuse on")
        camera.command("drop")
        self.wait_for(lambda: "404" in self.read_log(), "the refusal")
        before = len(self.frames())
        camera.command("refuse off")
        self.wait_for_frames(before + 20)
        self.finish_all(source, reader)

    def impostor(self, answer):
        """A server that accepts and says `answer`, and nothing else; its URL."""
        server = socket.create_server(("127.0.0.1", 0))
        connections = []

        def serve():
            while True:
                try:
                    connection = server.accept()[0]
                    connections.append(connection)
                    connection.sendall(answer)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        def close():
            server.shutdown(socket.SHUT_RDWR)
            server.close()
            thread.join()
            for connection in connections:
                connection.close()

        self.addCleanup(close)
        return f"rtsp://127.0.0.1:{server.getsockname()[1]}/cam"

    def test_a_server_that_says_nothing(self):
        _, err = self.run_tool("ingest", self.impostor(b""), "--key", "cam", "--timeout", "0.5",
                               "--no-reconnect", code=1)
        self.assertIn("no answer in time", err)

    def test_a_signal_while_a_server_says_nothing(self):
        source = self.ingest(self.impostor(b""))
        self.wait_until_it_catches(source)
        with self.assertRaises(subprocess.TimeoutExpired):
            source.wait(0.7)
        began = time.monotonic()
        self.end(source)
        self.assertLess(time.monotonic() - began, PROMPT_S)

    def test_a_server_that_speaks_something_else(self):
        url = self.impostor(b"220 mail.example ESMTP\r\n" * 40)
        _, err = self.run_tool("ingest", url, "--key", "cam", "--timeout", "1", "--no-reconnect",
                               code=1)
        self.assertIn("error: ", err)

    def test_a_signal_while_it_is_away(self):
        camera = Camera(self)
        source, _ = self.start_all(camera)
        self.wait_for_frames(5)
        camera.kill()
        self.wait_for(lambda: "trying again" in self.read_log(), "the loss of the camera")
        began = time.monotonic()
        self.end(source)
        self.assertLess(time.monotonic() - began, PROMPT_S)

    def test_the_former_name(self):
        camera = Camera(self)
        program = self.path("cuframes-rtsp-source")
        os.symlink(os.environ["CUFRAMES"], program)
        self.log = self.path("ingest.log")
        with open(self.log, "wb") as log:
            source = self.start("--rtsp", camera.url, "--key", "cam", "--cuda-device", "0", "--ring",
                                "4", "--enable-packet-ring", "--policy", "wait",
                                "--ack-timeout-ms", "0", "--scale", "160x120", "--verbose",
                                program=program, stderr=log)
        reader = self.framelog(10)
        frames = parse_frames(self.finish(reader)[0].decode())
        self.assertEqual({f.size for f in frames}, {"160x120"})
        self.end(source)
        log = self.read_log()
        for words in ("warning: --cuda-device 0", "set to 200", "sharing packets: h264"):
            self.assertIn(words, log)


if __name__ == "__main__":
    main()
