# SPDX-License-Identifier: LGPL-2.1-or-later
"""
GPU frames as FFmpeg's CUDA hardware frames, in both directions, over the stand-in for the driver in
$CUVID_STANDIN: that every byte and every hold is right. What a GPU makes of it only a GPU shows.
"""
import hashlib
import os

from ffmpeg_test import KIND, FFmpegTest, main

DOWNLOAD = "hwdownload,format=nv12"


class Gpu(FFmpegTest):
    def setUp(self):
        super().setUp()
        self.env.pop("CUFRAMES_LIBCUDA", None)  # that there is none
        self.env["LD_LIBRARY_PATH"] = os.pathsep.join(
            [os.environ["CUVID_STANDIN"], os.environ.get("LD_LIBRARY_PATH", "")])
        if "hwupload_cuda" not in self.run_ff("-filters")[0]:
            self.skipTest(f"this FFmpeg ({KIND}) was built without CUDA")

    def gpu_source(self, *more, memory="cuda", key="cam"):
        return self.source(key, "--memory", memory, "--frames", "30", "--fps", "60", "--policy",
                           "wait", "--ack-timeout-ms", "20000", "--wait-subscribers", "2", "--slots",
                           "30", *more)

    def read(self, url, *options, source=(), memory="cuda", size=64 * 48 * 3 // 2):
        """Pictures through FFmpeg, what it said at the end, and what `cuframes cat` has of them."""
        publisher = self.gpu_source(*source, memory=memory)
        cat = self.start("cat", "cam", "--format", "raw", "--frames", "30")
        pictures, err = self.end_reading(self.start_reading(url, *options, level="verbose"))
        raw = cat.communicate(timeout=20)[0]
        self.finish(publisher)
        expected = [hashlib.md5(raw[i:i + size]).hexdigest() for i in range(0, len(raw), size)]
        return [p.md5 for p in pictures], expected, self.closing(err), err

    def test_frames_stay_on_the_gpu(self):
        got, expected, closing, err = self.read("cuframes://cam?holds=28", "-vf", DOWNLOAD)
        self.assertEqual(got, expected)
        self.assertEqual(closing, (30, 0, 0))
        self.assertIn("cuda", err)

    def test_more_than_can_be_held_is_copied_on_the_gpu(self):
        got, expected, closing, _ = self.read("cuframes://cam?holds=6", "-vf", "reverse," + DOWNLOAD)
        self.assertEqual(got[::-1], expected)
        self.assertEqual(closing, (30, 25, 0))

    def test_a_change_of_size(self):
        got, expected, closing, _ = self.read("cuframes://cam?holds=28", "-noautoscale", "-vf", DOWNLOAD,
                                    source=("--alternate-size", "32x24", "--alternate-every", "10"))
        self.assertEqual((got[:10], len(got), closing.given), (expected[:10], 30, 30))

    def test_read_by_the_processor(self):
        got, expected, closing, _ = self.read("cuframes://cam?memory=host&holds=28")
        self.assertEqual((got, closing.given), (expected, 30))

    def test_host_frames_read_by_the_gpu(self):
        got, expected, closing, _ = self.read("cuframes://cam?memory=cuda&holds=28", "-vf", DOWNLOAD,
                                    memory="host")
        self.assertEqual(got, expected)
        self.assertEqual(closing, (30, 0, 0))

    def test_two_inputs_are_on_one_device(self):
        """The second finds the GPU's context as the first has left it."""
        keys = ("one", "two")
        sources = [self.gpu_source(key=key) for key in keys]
        cats = [self.start("cat", key, "--format", "raw", "--frames", "30", "--wait", "20") for key in keys]
        reader = self.start_ff("-open_timeout", "20", "-holds", "28", "-i", "cuframes://one",
                               "-open_timeout", "20", "-holds", "28", "-i", "cuframes://two",
                               "-map", "0", "-map", "1", "-fps_mode", "passthrough", "-vf", DOWNLOAD,
                               "-f", "framemd5", "-")
        out, _ = self.finish(reader)
        raw = [self.finish(cat)[0] for cat in cats]
        for source in sources:
            self.finish(source)
        lines = [line.split(",") for line in out.decode().splitlines() if not line.startswith("#")]
        size = 64 * 48 * 3 // 2
        for i in (0, 1):
            self.assertEqual([words[-1].strip() for words in lines if int(words[0]) == i],
                             [hashlib.md5(raw[i][at:at + size]).hexdigest()
                              for at in range(0, 30 * size, size)])

    def test_published_from_the_gpu(self):
        source = self.gpu_source()
        cats = [self.start("cat", key, "--format", "raw", "--frames", "30", "--wait", "20")
                for key in ("cam", "out")]
        writer = self.start_ff("-i", "cuframes://cam?holds=28", "-fps_mode", "passthrough",
                               "-policy", "wait", "-ack_timeout", "20000", "-wait_subscribers", "1",
                               "-f", "cuframes", "out", level="verbose")
        self.wait_for(lambda: self.held("out") >= 0, "the channel")
        info = self.run_json("info", "out", "--json")
        expected, got = (cat.communicate(timeout=20)[0] for cat in cats)
        _, err = self.finish(writer)
        self.finish(source)
        self.assertEqual(info["memory"], "cuda")
        self.assertEqual(len(expected), 30 * 64 * 48 * 3 // 2)
        self.assertEqual(got, expected)
        self.assertIn("30 frames published, 0 dropped", err.decode())

    def test_a_gpu_that_is_not_there(self):
        source = self.source("cam", "--memory", "cuda")
        reader = self.start_ff("-i", "cuframes://cam?gpu=7", "-f", "null", "-")
        _, err = reader.communicate(timeout=20)
        self.assertNotEqual(reader.returncode, 0)
        self.assertIn("cam", err.decode())
        self.end(source)


if __name__ == "__main__":
    main()
