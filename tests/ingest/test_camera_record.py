# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A camera's packets: the same that a direct connection gets, over TCP and UDP; recordings through its
death and return, and through a change of its picture.
"""
import os
import subprocess
import time

import ingest_test
from camera import Camera
from packet_test import PacketTest, parse_framehash


class CameraRecord(PacketTest):
    def start_logged(self, *args):
        self.log = self.path("ingest.log")
        with open(self.log, "wb") as log:
            return self.ingest(*args, stderr=log)

    def read_log(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def direct(self, camera, seconds, transport):
        """What a connection of its own gets from the camera."""
        return subprocess.Popen(
            ["ffmpeg", "-hide_banner", "-loglevel", "error", "-rtsp_transport", transport, "-i",
             camera.url, "-t", str(seconds), "-map", "0", "-c", "copy", "-f", "framehash", "-hash",
             "md5", "-"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def same_as_direct(self, transport, *options):
        camera = Camera(self, *options)
        source = self.ingest(camera.url, "--rtsp-transport", transport, "--decode", "off")
        direct = self.direct(camera, 5, transport)
        self.wait_for(lambda: os.path.exists(f"{self.dir}/cam.sock"), "the channel")
        with open(self.path("cat.nut"), "wb") as file:
            cat = self.start("cat", "cam", "--packets", "--format", "nut", "--wait", "20", stdout=file)
            out, err = direct.communicate(timeout=30)
            self.assertEqual(direct.returncode, 0, err)
            self.end(cat)
        self.end(source)
        theirs, ours = parse_framehash(out.decode()), self.packets_of(self.path("cat.nut"))
        self.assertEqual(len(ours), len(theirs))
        for index in theirs:
            mine = [p.hash for p in ours[index]]
            # Ours began a little later and ended a little later.
            part = [p.hash for p in theirs[index]][-60:-20]
            self.assertEqual(len(part), 40)
            self.assertTrue(any(mine[i:i + 40] == part for i in range(len(mine))),
                            f"stream {index}")
        if len(theirs) > 1:
            # Picture and sound are as far apart as they are there.
            self.assertAlmostEqual(self.skew(ours), self.skew(theirs), delta=0.1)

    def skew(self, streams):
        """How much later the newest sound is than the newest picture."""
        return streams[1][-1].pts - streams[0][-1].pts

    def test_tcp_with_sound(self):
        self.same_as_direct("tcp", "--audio", "opus")

    def test_udp(self):
        self.same_as_direct("udp", "--audio", "opus")

    def test_killed_and_restarted_in_mid_recording(self):
        camera = Camera(self, "--audio", "opus", "--gop", "25")
        source = self.start_logged(camera.url)
        recorders = {name: self.record(self.path(name), "--wait", "20")
                     for name in ("b.mp4", "b.mkv", "b.ts")}
        self.wait_for(lambda: os.path.exists(self.path("b.mkv")), "the recording")
        time.sleep(2)
        camera.kill()
        self.wait_for(lambda: "trying again" in self.read_log(), "the loss of the camera")
        time.sleep(1)
        camera.start()
        self.wait_for(lambda: self.read_log().count("reading ") == 2, "the camera")
        time.sleep(3)
        for recorder in recorders.values():
            self.end(recorder)
        self.end(source)
        for name in recorders:
            packets = self.packets_of(self.path(name))
            dts = [p.dts for p in packets[0]]
            self.assertEqual(dts, sorted(dts))
            gaps = [b - a for a, b in zip(dts, dts[1:]) if b - a > 0.5]
            self.assertEqual(len(gaps), 1, name)
            # The time that was lost is in the file, for the picture and the sound alike.
            self.assertGreater(gaps[0], 1)
            self.assertGreater(dts[-1], 4)
            self.assertAlmostEqual(self.skew(packets), 0, delta=0.5)
            self.assertEqual(self.decode(self.path(name)), "", name)

    def test_another_picture_in_mid_stream(self):
        camera = Camera(self, "--gop", "25")
        source = self.start_logged(camera.url)
        recorders = {kind: self.record(self.path("b." + kind), "--wait", "20")
                     for kind in ("mp4", "mkv", "ts")}
        annexb = self.start("cat", "cam", "--packets", "--format", "annexb", "--wait", "20")
        for kind in recorders:
            self.wait_for(lambda name="b." + kind: os.path.exists(self.path(name)), "the recording")
        time.sleep(1.5)
        self.assertEqual(camera.command("resize 640x360"), "OK")
        for kind in recorders:
            self.wait_for(lambda name="b-2." + kind: os.path.exists(self.path(name)),
                          "the second file")
        time.sleep(1.5)
        for recorder in recorders.values():
            _, err = self.end(recorder)
            self.assertIn(b"the streams have changed", err)
        self.end(source)
        for kind in recorders:
            for name, size in (("b.", "320x240"), ("b-2.", "640x360")):
                self.assertEqual(self.size_of(self.path(name + kind)), size)
                self.assertEqual(self.decode(self.path(name + kind)), "")
        # One stream with both, for whoever can follow.
        with open(self.path("b.h264"), "wb") as file:
            file.write(self.finish(annexb)[0])
        frames = self.probe(self.path("b.h264"), "-show_frames", "-show_entries",
                            "frame=width")["frames"]
        self.assertEqual(list(dict.fromkeys(f["width"] for f in frames)), [320, 640])

    def test_one_connection_for_viewers_and_recorders(self):
        camera = Camera(self, "--gop", "25", "--audio", "alaw")
        source = self.start_logged(camera.url)
        recorders = [self.record(self.path(f"{i}.mkv"), "--wait", "20", "--duration", "1")
                     for i in range(3)]
        self.finish(self.framelog(10))
        for packet in self.list_packets("--count", "20")[0]:
            self.assertAlmostEqual(packet["capture"] / 1e9, time.time(), delta=30)
        for recorder in recorders:
            self.finish(recorder)
        for i in range(3):
            self.assertEqual(len(self.packets_of(self.path(f"{i}.mkv"))), 2)
        self.assertEqual(camera.connections(), (1, 1))
        self.end(source)


if __name__ == "__main__":
    ingest_test.main()
