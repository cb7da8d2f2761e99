# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pipeline of FFmpeg as publisher: its pictures arrive as they were, and what cannot be shared is said."""
import time

from ffmpeg_test import FFmpegTest, main, parse_framemd5

FORMATS = {"nv12": "nv12", "yuv420p": "yuv420p", "rgb24": "rgb", "bgr24": "bgr", "rgba": "rgba",
           "gray": "grayscale", "p010le": "p010", "yuv444p": "yuv444p", "bgra": "bgra",
           "gray16le": "gray16"}
PATTERN = "testsrc2=size=98x62:rate=25:duration=1"


class Output(FFmpegTest):
    def publish(self, *options, source=PATTERN, key="cam", **more):
        return self.start_ff("-re", "-f", "lavfi", "-i", source, *options, "-f", "cuframes", key,
                             level="verbose", **more)

    def stop(self, writer):
        """The first signal asks FFmpeg to end, the second ends a wait."""
        writer.terminate()
        time.sleep(0.2)
        writer.terminate()
        writer.communicate(timeout=10)

    def check(self, pix_fmt, *options):
        """From FFmpeg through a channel into FFmpeg."""
        out, _ = self.run_ff("-f", "lavfi", "-i", PATTERN, "-pix_fmt", pix_fmt, "-f", "framemd5", "-")
        expected = parse_framemd5(out)
        reader = self.start_reading("cuframes://cam", before=("-holds", "38"), level="verbose")
        writer = self.publish("-pix_fmt", pix_fmt, "-slots", "40", "-policy", "wait", "-ack_timeout", "20000",
                              "-wait_subscribers", "1", *options)
        pictures, err = self.end_reading(reader)
        _, said = self.finish(writer)
        self.assertEqual([(p.md5, p.size) for p in pictures], [(p.md5, p.size) for p in expected], err)
        self.assertEqual([p.time for p in pictures], [p.time for p in expected])
        self.assertEqual(self.closing(err), (25, 0, 0))
        self.assertIn("25 frames published, 0 dropped", said.decode())

    def test_every_format(self):
        for pix_fmt in FORMATS:
            with self.subTest(pix_fmt=pix_fmt):
                self.check(pix_fmt)

    def test_packed_raw_video(self):
        self.check("yuv420p", "-c:v", "rawvideo")

    def test_what_the_channel_is(self):
        writer = self.publish("-vf", "setsar=4/3,format=gray", "-wait_subscribers", "1", "-slots", "5",
                              "-policy", "wait", source="testsrc2=size=98x62:rate=30000/1001")
        self.wait_for(lambda: self.held() == 0, "the channel")
        info = self.run_json("info", "cam", "--json")
        self.assertEqual((info["width"], info["height"], info["format"], info["slots"],
                          info["policy"]), (98, 62, "grayscale", 5, "wait"))
        self.assertEqual((info["fps_nominal"], info["sar"]), ([30000, 1001], [4, 3]))
        self.stop(writer)

    def test_each_frame_is_copied_once(self):
        writer = self.publish(source="testsrc2=size=98x62:rate=25")
        self.wait_for(lambda: self.held() == 0, "the channel")
        self.wait_for(lambda: self.run_json("info", "cam", "--json")["published"] > 5, "frames")
        info = self.run_json("info", "cam", "--json")
        self.assertEqual(info["copied"], info["published"])
        self.stop(writer)

    def test_a_format_that_cannot_be_shared(self):
        writer = self.publish("-pix_fmt", "yuv422p")
        _, err = writer.communicate(timeout=20)
        self.assertNotEqual(writer.returncode, 0)
        self.assertRegex(err.decode(), r"yuv422p cannot be shared: convert with -pix_fmt to one of .*nv12")

    def test_two_pictures(self):
        writer = self.publish("-map", "0:v", "-map", "0:v")
        _, err = writer.communicate(timeout=20)
        self.assertNotEqual(writer.returncode, 0)
        self.assertIn("a channel has one; make two outputs", err.decode())

    def test_a_key_that_is_taken(self):
        source = self.source("cam")
        writer = self.publish()
        _, err = writer.communicate(timeout=20)
        self.assertNotEqual(writer.returncode, 0)
        self.assertIn("cam", err.decode())
        self.end(source)


if __name__ == "__main__":
    main()
