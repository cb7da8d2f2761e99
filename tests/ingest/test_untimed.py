# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Raw H.264 and HEVC, whose packets have no times: from a file, a pipe and a connection. Each is made
of a clip in a container, whose times they are to get back.
"""
import os
import re
import socket
import threading
import time

import ingest_test
from packet_test import PacketTest

X264_B = ["libx264", "-bf", "3", "-g", "25", "-x264-params", "b-adapt=0:b-pyramid=normal",
          "-pix_fmt", "yuv420p"]
X264_P = ["libx264", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p"]
X264_OPEN = ["libx264", "-bf", "5", "-x264-params", "open-gop=1:keyint=20:b-adapt=0", "-pix_fmt",
             "yuv420p"]
X265_B = ["libx265", "-x265-params", "log-level=none:bframes=4:keyint=20", "-pix_fmt", "yuv420p"]
X265_P = ["libx265", "-x265-params", "log-level=none:bframes=0:keyint=25", "-pix_fmt", "yuv420p"]
X265_SILENT = ["libx265", "-x265-params", "log-level=none:bframes=3:vui-timing-info=0", "-pix_fmt",
               "yuv420p"]
FRAME_NS = 40_000_000


class Untimed(PacketTest):
    def raw(self, video, **options):
        """A clip and the raw stream in it."""
        clip = self.clip("a.mp4", video, **options)
        path = self.path("a.h264" if video[0] == "libx264" else "a.hevc")
        self.ffmpeg("-i", clip, "-c", "copy", path)
        return clip, path

    def pictures_of(self, path):
        text = self.ffmpeg("-i", path, "-fps_mode", "passthrough", "-f", "framemd5", "-").decode()
        return [line.split(",")[-1].strip() for line in text.splitlines() if line[0] != "#"]

    def times_of(self, path, field):
        shown = self.probe(path, "-select_streams", "v", "-show_entries", f"packet={field}_time")
        return [float(packet[f"{field}_time"]) for packet in shown["packets"]]

    def is_like(self, recorded, clip):
        """Picture for picture at the clip's times, but for a start that they share."""
        self.assertEqual(self.pictures_of(recorded), self.pictures_of(clip))
        self.assertEqual(self.decode(recorded), "")
        for field in ("pts",) if recorded.endswith(".mkv") else ("pts", "dts"):
            was, now = self.times_of(clip, field), self.times_of(recorded, field)
            self.assertEqual(len(now), len(was))
            for a, b in zip(was, now):
                self.assertAlmostEqual(b - now[0], a - was[0], delta=0.0011, msg=field)
        self.assertAlmostEqual(
            float(self.probe(recorded, "-show_format")["format"]["duration"]),
            float(self.probe(clip, "-show_format")["format"]["duration"]), delta=0.05)

    def test_recordings_have_the_times_of_the_clip(self):
        for video, rate in ((X264_B, "25"), (X264_P, "30000/1001"), (X264_OPEN, "50"),
                            (X265_B, "30000/1001"), (X265_P, "24")):
            clip, raw = self.raw(video, rate=rate, seconds=1)
            for recorded in self.record_whole(raw, "b.mkv", "b.mp4", ingest=("--decode", "off")):
                self.is_like(recorded, clip)
                os.unlink(recorded)
            os.unlink(raw)

    def test_frames_have_times(self):
        for video in (X264_B, X265_B):
            clip, raw = self.raw(video, seconds=1)
            frames, summary, err = self.log_all(raw)
            self.assertEqual([frame.md5 for frame in frames], self.decoded_md5(clip, "yuv420p"))
            self.assertEqual([frame.pts_ns for frame in frames], [i * FRAME_NS for i in range(25)])
            self.assertEqual(summary.published, 25)
            self.assertIn("the stream has no times: they are counted at 25 pictures", err)
            os.unlink(raw)

    def test_real_time(self):
        """The last picture is not there before its time, whoever sets the pace."""
        _, raw = self.raw(X264_B, seconds=2)
        for decode in ("cpu", "off"):
            began = time.monotonic()
            self.finish(self.ingest(raw, "--realtime", "--decode", decode))
            self.assertGreater(time.monotonic() - began, 1.9, decode)

    def test_loops_go_on_in_time(self):
        _, raw = self.raw(X264_B, seconds=1)
        reader = self.framelog(80)
        source = self.ingest(raw, "--loop", "--policy", "wait", "--wait-subscribers", "1")
        frames = ingest_test.parse_frames(self.finish(reader)[0].decode())
        _, err = self.end(source)
        self.assertEqual([frame.pts_ns for frame in frames], [i * FRAME_NS for i in range(80)])
        self.assertEqual(err.decode().count("has no times"), 1)

    def test_a_rate_that_nothing_tells(self):
        _, raw = self.raw(X265_SILENT, rate="50", seconds=1)
        frames, _, err = self.log_all(raw)
        self.assertIn("does not say its frame rate", err)
        self.assertIn("25 pictures a second; --input-option framerate=N", err)
        self.assertEqual([frame.pts_ns for frame in frames], [i * FRAME_NS for i in range(50)])
        frames, _, err = self.log_all(raw, "--input-option", "framerate=50")
        self.assertNotIn("does not say", err)
        self.assertEqual([frame.pts_ns for frame in frames],
                         [i * FRAME_NS // 2 for i in range(50)])

    def test_rates_that_no_stream_tells(self):
        """FFmpeg's own guess, for formats whose times it counts itself, is said too."""
        for name, codec, form in (
                ("a.mjpeg", ["mjpeg", "-pix_fmt", "yuvj420p"], "mjpeg"),
                ("%d.png", ["png", "-pix_fmt", "rgb24"], "image2"),
                ("a.obu", ["libaom-av1", "-cpu-used", "8", "-pix_fmt", "yuv420p"], "obu")):
            path = self.stream(name, *codec, rate="50", seconds=1)
            for rate, step in (([], FRAME_NS),
                               (["--input-option", "framerate=50"], FRAME_NS // 2)):
                frames, _, err = self.log_all(path, "--input-format", form, *rate)
                self.assertEqual([frame.pts_ns for frame in frames], [i * step for i in range(50)])
                self.assertEqual("does not say its frame rate" in err, not rate, err)
                self.assertIn("the stream has no times", err)

    def wait_for_packet(self, seq):
        self.wait_for(lambda: self.list_packets("--count", "1")[0][0]["seq"] >= seq,
                      f"packet {seq}")

    def test_pre_roll(self):
        """More than the newest group of pictures, which has 0.4 s."""
        _, raw = self.raw(X264_B[:3] + ["-g", "10"] + X264_B[5:], seconds=2)
        source = self.ingest(raw, "--realtime", "--loop", "--decode", "off")
        self.wait_for_packet(80)
        recorder = self.record(self.path("b.mkv"), "--pre-roll", "2")
        self.wait_for(lambda: os.path.exists(self.path("b.mkv")), "the file")
        self.end(source)
        self.finish(recorder)
        times = sorted(self.times_of(self.path("b.mkv"), "pts"))
        self.assertGreater(times[-1] - times[0], 1.2)
        # At the cut, pictures are missing that those after them refer to.
        for before, after in zip(times, times[1:-4]):
            self.assertAlmostEqual(after - before, 0.04, delta=0.0015)

    def test_the_ring_is_as_large_as_its_seconds(self):
        """Not as what it could be, and more than two groups of pictures."""
        _, raw = self.raw(["libx264", "-preset", "ultrafast", "-qp", "16", "-g", "5", "-bf", "2",
                           "-pix_fmt", "yuv420p"], size="640x360", seconds=1,
                          filters=",noise=alls=60:allf=t")
        rate = os.path.getsize(raw)
        self.assertGreater(rate, 4 << 20)
        self.assertLess(rate, 7 << 20)
        source = self.ingest(raw, "--realtime", "--loop", "--decode", "off", "--packet-keep", "2")
        self.wait_for_packet(60)
        self.wait_for(lambda: self.list_packets("--kept", "--count", "1")[0][0]["seq"] + 45 <
                      self.list_packets("--count", "1")[0][0]["seq"], "two seconds of packets")
        told = re.search(r"in a ring of ([\d.]+) MiB", self.run_tool("info", "cam")[0])
        self.assertLessEqual(float(told[1]), 32)
        self.end(source)

    def test_a_pipe(self):
        clip, raw = self.raw(X265_B, seconds=1)
        recorder = self.record(self.path("b.mkv"), "--pre-roll", "3600")
        with open(raw, "rb") as file:
            cat = self.start("-", program="cat", stdin=file)
        source = self.ingest("-", "--realtime", "--wait-subscribers", "1", stdin=cat.stdout)
        self.finish(source)
        self.finish(recorder)
        self.is_like(self.path("b.mkv"), clip)

    def test_a_connection(self):
        for video, form in ((X264_B, "h264"), (X265_B, "hevc")):
            clip, raw = self.raw(video, seconds=3)
            recorded = self.path("b.mp4")
            with socket.create_server(("127.0.0.1", 0)) as server:
                sender = threading.Thread(target=self.send, args=(server, raw, recorded))
                sender.start()
                recorder = self.record(recorded, "--pre-roll", "3600")
                source = self.ingest(f"tcp://127.0.0.1:{server.getsockname()[1]}",
                                     "--input-format", form, "--no-reconnect", "--decode", "off",
                                     "--wait-subscribers", "1")
                _, err = self.finish(source, 1)
                sender.join()
            self.assertIn(b"closed the connection", err)
            self.finish(recorder)
            self.is_like(recorded, clip)
            os.unlink(recorded)
            os.unlink(raw)

    def send(self, server, path, recorded):
        """Hangs up when the recorder has begun."""
        connection, _ = server.accept()
        with connection, open(path, "rb") as file:
            connection.sendfile(file)
            self.wait_for(lambda: os.path.exists(recorded), "the file")


if __name__ == "__main__":
    ingest_test.main()
