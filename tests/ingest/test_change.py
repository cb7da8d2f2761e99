# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Pictures that change their size in mid-stream: a new generation, no picture lost, and those that
were in the decoder come out before it.
"""
from ingest_test import GENERATION, IngestTest, main


class Change(IngestTest):
    def joined(self, name, *paths):
        path = self.path(name)
        with open(path, "wb") as out:
            for part in paths:
                with open(part, "rb") as file:
                    out.write(file.read())
        return path

    def check_change(self, path, parts, pix_fmt, *options):
        frames, summary, err = self.log_all(path, *options)
        expected = [md5 for part in parts for md5 in self.decoded_md5(part, pix_fmt)]
        self.assertEqual([f.md5 for f in frames], expected, err)
        self.assertEqual(summary.copied, 0, err)
        self.assertEqual(summary.dropped, 0, err)
        return frames

    def test_h264(self):
        small = self.stream("a.h264", "libx264", "-bf", "3", "-pix_fmt", "yuv420p")
        large = self.stream("b.h264", "libx264", "-bf", "3", "-pix_fmt", "yuv420p", size="640x360")
        path = self.joined("c.h264", small, large, small)
        for threads in ("1", "4"):
            with self.subTest(threads=threads):
                frames = self.check_change(path, (small, large, small), "yuv420p", "--threads",
                                           threads)
                changes = [f for f in frames if f.flags & GENERATION]
                self.assertEqual([f.size for f in changes], ["320x240", "640x360", "320x240"])
                self.assertEqual(len({f.generation for f in frames}), 3)
                self.assertEqual([f.seq for f in frames], list(range(len(frames))))

    def test_another_crop_of_the_same_coded_size(self):
        first = self.stream("a.h264", "libx264", "-bf", "2", "-pix_fmt", "yuv420p", size="320x184")
        second = self.stream("b.h264", "libx264", "-bf", "2", "-pix_fmt", "yuv420p", size="320x180")
        path = self.joined("c.h264", first, second)
        frames = self.check_change(path, (first, second), "yuv420p")
        self.assertEqual([f.size for f in frames if f.flags & GENERATION], ["320x184", "320x180"])

    def test_mjpeg(self):
        first = self.stream("a.mjpeg", "mjpeg", "-pix_fmt", "yuvj420p")
        second = self.stream("b.mjpeg", "mjpeg", "-pix_fmt", "yuvj420p", size="176x144")
        path = self.joined("c.mjpeg", first, second)
        frames = self.check_change(path, (first, second), "yuvj420p")
        self.assertEqual([f.size for f in frames if f.flags & GENERATION], ["320x240", "176x144"])

    def test_with_a_fixed_size_there_is_one_generation(self):
        small = self.stream("a.h264", "libx264", "-pix_fmt", "yuv420p")
        large = self.stream("b.h264", "libx264", "-pix_fmt", "yuv420p", size="640x480")
        path = self.joined("c.h264", small, large)
        frames, summary, err = self.log_all(path, "--size", "320x240")
        self.assertEqual(len(frames), 100, err)
        self.assertEqual({f.size for f in frames}, {"320x240"})
        # Half of the stream has the size that is asked for. Where its pictures lie in the slot
        # may differ, so the generation may change, but not what subscribers see.
        self.assertEqual(summary.copied, 50, err)


if __name__ == "__main__":
    main()
