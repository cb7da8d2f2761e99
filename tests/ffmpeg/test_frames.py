# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Frames that FFmpeg reads from a channel are what FFmpeg decodes itself, bit for bit and with the
same times, for many codecs; and they are not copied on the way.
"""
from ffmpeg_test import FFmpegTest, main


class Frames(FFmpegTest):
    def check(self, path, pix_fmt, copied=0):
        expected = self.direct(path, pix_fmt)
        # More than FFmpeg's queues take, however busy the machine is.
        pictures, closing, err = self.read_ingested(path, before=("-holds", "36"),
                                                    ingest=("--slots", "38"))
        self.assertEqual([p.md5 for p in pictures], [p.md5 for p in expected], err)
        for got, wanted in zip(pictures, expected):
            self.assertAlmostEqual(got.time, wanted.time, delta=1e-8)
        self.assertEqual(closing, (len(expected), copied, 0))
        return pictures

    def test_h264_with_b_frames(self):
        self.check(self.stream("a.mp4", "libx264", "-bf", "3", "-pix_fmt", "yuv420p"), "yuv420p")

    def test_h264_with_slices(self):
        self.check(self.stream("a.mp4", "libx264", "-x264-params", "slices=4", "-pix_fmt",
                               "yuv420p"), "yuv420p")

    def test_hevc(self):
        self.check(self.stream("a.mp4", "libx265", "-x265-params", "log-level=none:pools=2",
                               "-pix_fmt", "yuv420p"), "yuv420p")

    def test_with_few_slots(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p", seconds=4)
        pictures, closing, err = self.read_ingested(path, ingest=("--slots", "3"))
        self.assertEqual([p.md5 for p in pictures],
                         [p.md5 for p in self.direct(path, "yuv420p")], err)
        self.assertEqual((closing.given, closing.missed), (100, 0))

    def test_ten_bits(self):
        self.check(self.stream("a.mp4", "libx265", "-x265-params", "log-level=none:pools=2",
                               "-pix_fmt", "yuv420p10le"), "p010le")

    def test_av1(self):
        self.check(self.stream("a.mkv", "libaom-av1", "-cpu-used", "8", "-usage", "realtime",
                               size="160x120", seconds=1), "yuv420p")

    def test_mjpeg(self):
        self.check(self.stream("a.avi", "mjpeg", "-pix_fmt", "yuvj420p"), "yuvj420p")

    def test_odd_sizes(self):
        self.check(self.stream("a.avi", "mjpeg", "-pix_fmt", "yuvj420p", size="97x61",
                               picture="testsrc"), "yuvj420p")
        self.check(self.stream("b.mp4", "libx264", "-pix_fmt", "yuv444p", size="321x181",
                               picture="testsrc"), "yuv444p")

    def test_a_crop(self):
        # Coded as 1088 rows.
        self.check(self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p", size="1920x1080",
                               seconds=1), "yuv420p")

    def test_2997_a_second(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p", rate="30000/1001")
        self.check(path, "yuv420p")

    def test_variable_rate(self):
        path = self.path("a.mkv")
        self.ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=3", "-vf",
                    "select='not(mod(n\\,3))+gt(n\\,40)'", "-fps_mode", "vfr", "-c:v", "libx264",
                    "-bf", "2", "-pix_fmt", "yuv420p", path)
        times = [p.time for p in self.check(path, "yuv420p")]
        self.assertGreater(len({b - a for a, b in zip(times, times[1:])}), 1)


if __name__ == "__main__":
    main()
