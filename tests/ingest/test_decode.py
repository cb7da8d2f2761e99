# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Frames of the channel are what ffmpeg decodes, bit for bit and with the same times, for many
decoders; and the decoder writes them into their slots itself wherever it can.
"""
import subprocess

from ingest_test import (DISCONTINUITY, GENERATION, INTERLACED, KEY, PACKET, TOP_FIELD_FIRST,
                         IngestTest, main)


class Decode(IngestTest):
    def check(self, path, pix_fmt, *options, name=None, copied=False, filters=(), flags="0",
              fields=0):
        expected = self.decoded_md5(path, pix_fmt, *filters, flags=flags)
        frames, summary, err = self.log_all(path, *options)
        self.assertEqual([f.md5 for f in frames], expected, err)
        self.assertEqual([f.seq for f in frames], list(range(len(expected))))
        self.assertEqual({f.format for f in frames}, {name or pix_fmt})
        self.assertEqual(summary.published, len(expected))
        self.assertEqual(summary.copied, len(expected) if copied else 0, err)
        self.assertEqual(summary.dropped, 0)
        self.assertEqual(summary.damaged, 0)
        self.assertEqual(frames[0].flags & ~(GENERATION | PACKET), KEY | fields)
        self.assertEqual({f.flags & (INTERLACED | TOP_FIELD_FIRST) for f in frames}, {fields})
        self.assertFalse(any(f.flags & DISCONTINUITY for f in frames))
        return frames

    def check_times(self, path, frames):
        """Presentation times are those that ffprobe shows."""
        text = subprocess.run(
            ["ffprobe", "-loglevel", "error", "-select_streams", "v:0", "-show_entries",
             "frame=best_effort_timestamp_time", "-of", "csv=p=0", path],
            capture_output=True, text=True, check=True, timeout=60).stdout
        expected = [float(line.split(",")[0]) for line in text.split()]
        self.assertEqual(len(frames), len(expected))
        for frame, seconds in zip(frames, expected):
            self.assertAlmostEqual(frame.pts_ns / 1e9, seconds, places=5)

    def test_h264_with_b_frames(self):
        path = self.stream("a.mp4", "libx264", "-bf", "4", "-refs", "5", "-pix_fmt", "yuv420p")
        self.check_times(path, self.check(path, "yuv420p"))

    def test_h264_on_one_thread_and_many(self):
        path = self.stream("a.mp4", "libx264", "-bf", "3", "-pix_fmt", "yuv420p")
        for threads in ("1", "2", "16"):
            with self.subTest(threads=threads):
                self.check(path, "yuv420p", "--threads", threads)

    def test_h264_with_as_many_references_as_there_are(self):
        path = self.stream("a.mkv", "libx264", "-bf", "8", "-refs", "16", "-x264-params",
                           "b-pyramid=normal", "-pix_fmt", "yuv420p", size="160x128", seconds=4)
        self.check(path, "yuv420p", "--threads", "8")

    def test_h264_interlaced(self):
        for first, fields in (("tff", INTERLACED | TOP_FIELD_FIRST), ("bff", INTERLACED)):
            with self.subTest(first=first):
                path = self.stream(first + ".mkv", "libx264", "-vf", "setfield=" + first, "-flags",
                                   "+ildct+ilme", "-pix_fmt", "yuv420p")
                self.check(path, "yuv420p", fields=fields)

    def test_h264_with_a_crop(self):
        # 1080 rows are coded as 1088; here both directions are cropped.
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p", size="322x182")
        frames = self.check(path, "yuv420p")
        self.assertEqual({f.size for f in frames}, {"322x182"})

    def test_h264_cropped_at_the_left_and_the_top(self):
        plain = self.stream("a.h264", "libx264", "-pix_fmt", "yuv420p", size="320x192")
        path = self.path("crop.h264")
        self.ffmpeg("-i", plain, "-c", "copy", "-bsf:v",
                    "h264_metadata=crop_left=10:crop_top=6:crop_right=4:crop_bottom=2", path)
        # Without the flag ffmpeg rounds the left edge to what vector code likes.
        frames = self.check(path, "yuv420p", flags="unaligned")
        self.assertEqual({f.size for f in frames}, {"306x184"})

    def test_h264_with_odd_sizes(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv444p", size="321x181",
                           picture="testsrc")
        frames = self.check(path, "yuv444p")
        self.assertEqual({f.size for f in frames}, {"321x181"})

    def test_h264_without_colour(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "gray")
        self.check(path, "yuvj420p", name="yuv420p")

    def test_hevc(self):
        path = self.stream("a.mp4", "libx265", "-x265-params", "log-level=none:pools=2",
                           "-pix_fmt", "yuv420p")
        self.check_times(path, self.check(path, "yuv420p"))

    def test_hevc_with_ten_bits_is_converted(self):
        path = self.stream("a.mp4", "libx265", "-x265-params", "log-level=none:pools=2",
                           "-pix_fmt", "yuv420p10le")
        self.check(path, "p010le", name="p010", copied=True)

    def test_mjpeg(self):
        path = self.stream("a.avi", "mjpeg", "-pix_fmt", "yuvj420p")
        self.check(path, "yuvj420p", name="yuv420p")

    def test_mjpeg_with_wide_chroma_is_converted(self):
        path = self.stream("a.avi", "mjpeg", "-pix_fmt", "yuvj422p")
        self.check(path, "yuvj444p", name="yuv444p", copied=True)

    def test_odd_sizes_of_4_2_0(self):
        path = self.stream("a.avi", "mjpeg", "-pix_fmt", "yuvj420p", size="97x61",
                           picture="testsrc")
        frames = self.check(path, "yuvj420p", name="yuv420p")
        self.assertEqual({f.size for f in frames}, {"97x61"})

    def test_vp8(self):
        path = self.stream("a.webm", "libvpx", "-b:v", "300k", "-auto-alt-ref", "1")
        self.check(path, "yuv420p")

    def test_vp9_with_hidden_frames(self):
        path = self.stream("a.webm", "libvpx-vp9", "-b:v", "300k", "-auto-alt-ref", "1",
                           "-lag-in-frames", "16", "-cpu-used", "8", "-deadline", "realtime",
                           size="160x120")
        expected = self.decoded_md5(path, "yuv420p")
        frames, summary, err = self.log_all(path)
        self.assertEqual([f.md5 for f in frames], expected, err)
        # A frame that is shown again is in a slot that was published: that one is copied.
        self.assertLess(summary.copied, len(expected) / 2, err)

    def test_av1(self):
        path = self.stream("a.mkv", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", size="160x120",
                           seconds=1)
        expected = self.decoded_md5(path, "yuv420p")
        frames, _, err = self.log_all(path)
        self.assertEqual([f.md5 for f in frames], expected, err)

    def test_mpeg2(self):
        path = self.stream("a.mpg", "mpeg2video", "-bf", "2", "-pix_fmt", "yuv420p")
        self.check(path, "yuv420p")

    def test_mpeg4(self):
        path = self.stream("a.mp4", "mpeg4", "-bf", "2", "-pix_fmt", "yuv420p")
        self.check(path, "yuv420p")

    def test_ffv1(self):
        path = self.stream("a.mkv", "ffv1", "-level", "3", "-pix_fmt", "yuv420p")
        self.check(path, "yuv420p")

    def test_ffv1_with_sixteen_bits_of_grey(self):
        path = self.stream("a.mkv", "ffv1", "-level", "3", "-pix_fmt", "gray16le")
        self.check(path, "gray16le", name="gray16")

    def test_png_sequence(self):
        path = self.stream("a.mkv", "png", "-pix_fmt", "rgb24")
        self.check(path, "rgb24", name="rgb")

    def test_a_decoder_that_paints_over_its_last_picture(self):
        # Published frames must not change: qtrle writes only what differs.
        path = self.stream("a.mov", "qtrle", "-pix_fmt", "rgb24", picture="testsrc")
        expected = self.decoded_md5(path, "rgb24")
        frames, _, err = self.log_all(path)
        self.assertEqual([f.md5 for f in frames], expected, err)

    def test_gif(self):
        path = self.stream("a.gif", "gif", rate=10)
        expected = self.decoded_md5(path, "bgra")
        frames, summary, err = self.log_all(path)
        self.assertEqual([f.md5 for f in frames], expected, err)
        self.assertEqual({f.format for f in frames}, {"bgra"})

    def test_raw_video_is_copied(self):
        path = self.stream("a.nut", "rawvideo", "-pix_fmt", "nv12")
        self.check(path, "nv12", copied=True)

    def test_converted_to_a_format(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p")
        self.check(path, "nv12", "--format", "nv12", copied=True)

    def test_the_format_it_has_is_no_conversion(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p")
        self.check(path, "yuv420p", "--format", "yuv420p", "--size", "320x240")

    def test_scaled(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p")
        frames = self.check(path, "yuv420p", "--size", "162x90", copied=True,
                            filters=("-vf", "scale=162:90:flags=bicubic"))
        self.assertEqual({f.size for f in frames}, {"162x90"})


if __name__ == "__main__":
    main()
