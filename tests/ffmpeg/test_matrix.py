# SPDX-License-Identifier: LGPL-2.1-or-later
"""
One source, every way to read it at once: recorded, as packets through `cat` and FFmpeg, as frames
through FFmpeg, `cat` and an ingester that reads the packets, and published again by FFmpeg. Packets are
the source's, pictures those of a direct decode, and sound stays with its picture. Then what cameras and
networks do: servers that die, damage, times that jump back, ten recorders.

$CUFRAMES_MATRIX=full takes all clips and cameras (./dev ffmpeg matrix); without it a few.
"""
import hashlib
import os
import time
import unittest

from ffmpeg_test import KIND, FFmpegTest, main, parse_framemd5  # first: it finds the others
from camera import Camera
from packet_test import TICK_S, PacketTest, parse_framehash

FULL = os.environ.get("CUFRAMES_MATRIX") == "full"
X264 = ["libx264", "-g", "25", "-pix_fmt", "yuv420p"]
X265 = ["libx265", "-x265-params", "log-level=0:keyint=25:pools=2", "-pix_fmt", "yuv420p"]
VARIABLE = ",select='not(mod(n\\,3))+gt(n\\,30)'"
# Packets of sound before the first picture are not for one who begins with a picture.
EARLY = 3


def full(test):
    return unittest.skipUnless(FULL, "of the full matrix: ./dev ffmpeg matrix")(test)


class Ways(FFmpegTest, PacketTest):
    def read_packets(self, *output, key="cam", before=(), **more):
        return self.start_ff("-open_timeout", "20", "-copyts", *before, "-i",
                             f"cuframes_packets://{key}?start=oldest", *output, **more)

    def start_readers(self, clip, pix_fmt):
        """All ways to read "cam", before it is there."""
        framemd5 = ("-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framemd5", "-")
        self.nut = self.path("cat.nut")
        self.files = [open(self.nut, "wb"), open(self.path("cat.y4m"), "wb")]
        for file in self.files:
            self.addCleanup(file.close)
        ways = {
            "record": self.record(self.path("b.mkv"), "--pre-roll", "3600", "--wait", "20"),
            "cat packets": self.start("cat", "cam", "--packets", "--format", "nut", "--wait", "20",
                                      stdout=self.files[0]),
            "packets": self.read_packets("-map", "0", "-c", "copy", "-f", "framehash", "-hash", "md5", "-"),
            "frames": self.start_reading("cuframes://cam?timeline=channel", before=("-holds", "36")),
            "cat raw": self.start("cat", "cam", "--format", "raw", "--wait", "20"),
            "cat y4m": self.start("cat", "cam", "--format", "y4m", "--wait", "20", stdout=self.files[1]),
        }
        if "av1" not in clip or KIND == "stock":  # the small build has no decoder for it
            ways["decoded packets"] = self.read_packets("-map", "0:v", "-pix_fmt", pix_fmt, *framemd5)
        return ways

    def same(self, got, source, what):
        """The same packets at the same times, but for sound before the picture and a common start."""
        self.assertEqual(sorted(got), sorted(source), what)
        start = got[0][0].pts - source[0][0].pts
        for index, packets in source.items():
            early = len(packets) - len(got[index])
            self.assertIn(early, range(EARLY + 1 if index else 1), f"{what}: stream {index}")
            self.assertEqual([p.hash for p in got[index]], [p.hash for p in packets[early:]], what)
            for was, now in zip(packets[early:], got[index]):
                self.assertAlmostEqual(now.pts - was.pts, start, delta=2 * TICK_S, msg=f"{what}: {index}")

    def raw_pictures(self, data, size):
        return [hashlib.md5(data[i:i + size]).hexdigest() for i in range(0, len(data), size)]

    def check(self, clip, pix_fmt="yuv420p"):
        source, pictures = self.packets_of(clip), self.direct(clip, pix_fmt)
        wanted = [p.md5 for p in pictures]
        ways = self.start_readers(os.path.basename(clip), pix_fmt)
        ingest = self.ingest(clip, "--realtime", "--policy", "wait", "--ack-timeout-ms", "20000",
                             "--wait-subscribers", str(len(ways)), "--slots", "40", "--packet-keep", "60")
        said = {way: self.finish(process) for way, process in ways.items()}
        self.finish(ingest)
        out = {way: both[0] for way, both in said.items()}
        # Containers have forms of their own: what FFmpeg writes of the source is to compare with.
        self.same(self.packets_of(self.path("b.mkv")), self.remuxed(clip, "reference.mkv"), "record")
        self.same(self.packets_of(self.nut), self.remuxed(clip, "reference.nut"), "cat --packets")
        self.same(parse_framehash(out["packets"].decode()), source, "cuframes_packets")
        for way in ("frames", "decoded packets"):
            if way in out:
                got = parse_framemd5(out[way].decode())
                self.assertEqual([p.md5 for p in got], wanted, way)
                for a, b in zip(got, pictures):
                    self.assertAlmostEqual(float(a.time - got[0].time), float(b.time - pictures[0].time),
                                           delta=TICK_S, msg=way)
        self.assertEqual(self.raw_pictures(out["cat raw"], pictures[0].size), wanted, "cat raw")
        self.assertEqual([p.md5 for p in self.direct(self.path("cat.y4m"), pix_fmt)],
                         wanted, "cat y4m")
        self.check_published(clip)
        self.check_ingested_again(clip, wanted)

    def check_published(self, clip):
        """FFmpeg as publisher, FFmpeg and the recorder as readers. Its releases cut packets out of
        transport streams in different ways, so it is compared with itself."""
        out, _ = self.run_ff("-i", clip, "-map", "0", "-c", "copy", "-f", "framehash", "-hash", "md5", "-")
        source = parse_framehash(out)
        own = clip
        if clip.endswith(".ts"):
            own = self.path("own.nut")
            self.run_ff("-i", clip, "-map", "0", "-c", "copy", own)
        reader = self.read_packets("-map", "0", "-c", "copy", "-f", "framehash", "-hash", "md5", "-",
                                   key="copy")
        recorder = self.record(self.path("c.mkv"), "--pre-roll", "3600", "--wait", "20", key="copy")
        writer = self.start_ff("-re", "-copyts", "-i", clip, "-map", "0", "-c", "copy", "-keep", "60",
                               "-wait_subscribers", "2", "-f", "cuframes", "copy")
        out, _ = self.finish(reader)
        self.finish(recorder)
        self.finish(writer)
        self.same(parse_framehash(out.decode()), source, "-f cuframes")
        self.same(self.packets_of(self.path("c.mkv")), self.remuxed(own, "own.mkv"),
                  "-f cuframes, record")

    def check_ingested_again(self, clip, wanted):
        """An ingester that decodes what another one's channel has, as `cat` wrote it."""
        with open(self.nut, "rb") as file:
            self.assertGreater(len(file.read(16)), 0, clip)
        reader = self.framelog(key="again")
        ingest = self.ingest(self.nut, "--policy", "wait", "--ack-timeout-ms", "20000",
                             "--wait-subscribers", "1", key="again")
        self.finish(ingest)
        out, _ = self.finish(reader)
        self.assertEqual([line.split()[10] for line in out.decode().splitlines()], wanted, "ingested again")


class Matrix(Ways):
    def test_h264_with_b_frames_and_aac(self):
        self.check(self.clip("a.mp4", [*X264, "-bf", "3"], ["aac"]))

    @full
    def test_h264_with_slices_and_opus_at_29_97(self):
        self.check(self.clip("a.mkv", [*X264, "-x264-params", "slices=4"], ["libopus"],
                             rate="30000/1001"))

    @full
    def test_h264_of_variable_rate(self):
        self.check(self.clip("a.mkv", [*X264, "-bf", "2", "-fps_mode", "vfr"], ["aac"], filters=VARIABLE,
                             seconds=3))

    @full
    def test_h264_of_odd_size(self):
        self.check(self.clip("a.mkv", ["libx264", "-g", "25", "-pix_fmt", "yuv444p"], ["aac"],
                             size="321x181", picture="testsrc"), "yuv444p")

    @full
    def test_hevc_in_a_transport_stream(self):
        self.check(self.clip("a.ts", X265, ["aac"]))

    @full
    def test_hevc_and_opus_at_29_97(self):
        self.check(self.clip("a.mkv", X265, ["libopus"], rate="30000/1001", size="322x182"))

    @full
    def test_av1_and_opus(self):
        self.check(self.clip("av1.mkv", ["libsvtav1", "-preset", "12", "-g", "25"], ["libopus"],
                             size="322x182"))

    @full
    def test_mjpeg_of_odd_size_and_variable_rate(self):
        self.check(self.clip("a.mkv", ["mjpeg", "-pix_fmt", "yuvj420p", "-fps_mode", "vfr"],
                             ["pcm_alaw"], size="161x121", rate="30", picture="testsrc",
                             filters=",select='not(eq(mod(n\\,5)\\,2))'"), "yuvj420p")


class Trouble(Ways):
    def test_ten_recorders(self):
        clip = self.clip("a.mp4", [*X264, "-bf", "2"], ["aac"])
        paths = [self.path(f"{i}.mkv") for i in range(10)]
        readers = [self.read_packets("-map", "0", "-c", "copy", path) for path in paths]
        ingest = self.ingest(clip, "--realtime", "--decode", "off", "--wait-subscribers", "10",
                             "--packet-keep", "60")
        for reader in readers:
            self.finish(reader)
        self.finish(ingest)
        for path in paths:
            self.same(self.packets_of(path), self.remuxed(clip, "reference.mkv"), path)

    @full
    def test_a_corrupt_stream(self):
        clip = self.clip("a.ts", [*X264, "-bf", "2"], ["mp2"], seconds=3)
        with open(clip, "r+b") as file:
            data = bytearray(file.read())
            for offset in range(len(data) // 3, len(data) // 2, 701):
                if offset % 188 > 20:  # the payload, not the container
                    data[offset] ^= 0xFF
            file.seek(0)
            file.write(data)
        packets = self.read_packets("-map", "0", "-c", "copy", "-f", "framehash", "-hash", "md5", "-")
        frames = self.start_reading("cuframes://cam", before=("-holds", "36"))
        ingest = self.ingest(clip, "--realtime", "--wait-subscribers", "2", "--slots", "40",
                             "--packet-keep", "60", "--policy", "wait", "--ack-timeout-ms", "20000")
        out, _ = self.finish(packets)
        pictures, _ = self.end_reading(frames)
        self.finish(ingest)
        got, source = parse_framehash(out.decode()), self.packets_of(clip)
        self.assertEqual([p.hash for p in got[0]], [p.hash for p in source[0]])
        self.assertGreater(len(pictures), 50)

    @full
    def test_times_that_jump_back(self):
        clip, twice = self.clip("a.ts", [*X264, "-bf", "2"], ["aac"]), self.path("twice.ts")
        with open(clip, "rb") as file, open(twice, "wb") as both:
            both.write(2 * file.read())
        copy = self.path("b.mkv")
        reader = self.read_packets("-map", "0", "-c", "copy", copy)
        recorder = self.record(self.path("c.mkv"), "--pre-roll", "3600", "--wait", "20")
        ingest = self.ingest(twice, "--realtime", "--decode", "off", "--wait-subscribers", "2",
                             "--packet-keep", "60")
        for process in (reader, recorder, ingest):
            self.finish(process)
        once = [p.hash for p in self.remuxed(clip, "reference.mkv")[0]]
        for path in (copy, self.path("c.mkv")):
            packets = self.packets_of(path)
            dts = [p.dts for p in packets[0]]
            self.assertEqual([p.hash for p in packets[0]], once + once)
            self.assertEqual(dts, sorted(dts))
            # Sound and picture were moved by the same.
            self.assertAlmostEqual(packets[1][-1].pts, packets[0][-1].pts, delta=0.3)

    def die_and_come_back(self, transport):
        camera = Camera(self, "--audio", "opus", "--gop", "25")
        log = self.path("ingest.log")
        with open(log, "wb") as file:
            ingest = self.ingest(camera.url, "--rtsp-transport", transport, stderr=file)

        def said(words, times=1):
            with open(log, encoding="utf-8", errors="replace") as text:
                return text.read().count(words) >= times

        copies = {way: self.path(way + ".mkv") for way in ("record", "ffmpeg")}
        recorder = self.record(copies["record"], "--wait", "20")
        reader = self.read_packets("-map", "0", "-c", "copy", copies["ffmpeg"])
        self.wait_for(lambda: os.path.exists(copies["ffmpeg"]), "the recording")
        time.sleep(2)
        camera.kill()
        self.wait_for(lambda: said("trying again"), "the loss of the camera")
        camera.start()
        self.wait_for(lambda: said("reading ", 2), "the camera")
        time.sleep(3)
        for process in (recorder, ingest):
            self.end(process)
        # The channel was closed: the stream ends.
        self.finish(reader)
        for path in copies.values():
            packets = self.packets_of(path)
            dts = [p.dts for p in packets[0]]
            self.assertEqual(dts, sorted(dts))
            self.assertEqual(len([1 for a, b in zip(dts, dts[1:]) if b - a > 0.5]), 1, path)
            self.assertAlmostEqual(packets[1][-1].pts, packets[0][-1].pts, delta=0.5)
            self.assertEqual(self.decode(path), "", path)

    @full
    def test_a_camera_that_dies_over_tcp(self):
        self.die_and_come_back("tcp")

    @full
    def test_a_camera_that_dies_over_udp(self):
        self.die_and_come_back("udp")


if __name__ == "__main__":
    main()
