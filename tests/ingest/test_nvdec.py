# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Decoding on the GPU over stand-ins for the driver and the chip: every picture is right and in its
slot without a copy of the ingester's, slow readers stop nobody, and failures of the decoder are
mended while subscribers stay. A real GPU is what the bundle of ./dev gpu-bundle is for.
"""
import math
import os
import time

from ingest_test import GENERATION, KEY, PACKET, IngestTest, main, parse_frames, parse_summary
from test_outputs import figures


# libswscale saves on chroma where it makes RGB, unless told not to.
FLAGS = "bicubic+full_chroma_int+full_chroma_inp+accurate_rnd"


class Nvdec(IngestTest):
    def setUp(self):
        super().setUp()
        folders = [os.environ["CUVID_STANDIN"], os.environ.get("LD_LIBRARY_PATH", "")]
        self.env["LD_LIBRARY_PATH"] = ":".join(filter(None, folders))
        self.env["CUFRAMES_LIBCUDA"] = os.path.join(os.environ["CUVID_STANDIN"], "libcuda.so.1")

    def h264(self, name="a.mp4", **options):
        return self.stream(name, "libx264", "-bf", "3", "-g", "10", "-pix_fmt", "yuv420p", **options)

    def check(self, path, pix_fmt, *options, copied=0):
        expected = self.decoded_md5(path, pix_fmt)
        frames, summary, err = self.log_all(path, "--decode", "nvdec", *options)
        self.assertEqual([f.md5 for f in frames], expected, err)
        self.assertEqual(summary.copied, copied, err)
        self.assertEqual((summary.dropped, summary.damaged), (0, 0), err)
        return frames, err

    def test_h264_straight_into_the_slots(self):
        path = self.h264()
        frames, err = self.check(path, "nv12")
        self.assertIn("decoded by GPU 0", err)
        self.assertIn("in GPU memory", err)
        self.assertEqual({f.format for f in frames}, {"nv12"})
        self.assertEqual(frames[0].flags & ~(GENERATION | PACKET), KEY)
        plain, _, _ = self.log_all(path, "--decode", "cpu")
        self.assertEqual([f.pts_ns for f in frames], [f.pts_ns for f in plain])

    def test_hevc_with_ten_bits(self):
        path = self.stream("a.mp4", "libx265", "-x265-params", "log-level=none:pools=2", "-pix_fmt",
                           "yuv420p10le")
        frames, _ = self.check(path, "p010le")
        self.assertEqual({f.format for f in frames}, {"p010"})

    def test_a_picture_with_odd_sizes(self):
        path = self.stream("a.avi", "mjpeg", "-pix_fmt", "yuvj420p", size="97x61",
                           picture="testsrc")
        frames, summary, err = self.log_all(path, "--decode", "nvdec")
        self.assertEqual({f.size for f in frames}, {"97x61"}, err)
        self.assertEqual(summary.copied, 0, err)

    def test_a_raw_stream_without_times(self):
        path = self.h264("a.h264")
        self.check(path, "nv12")

    def test_a_loop_makes_the_decoder_again(self):
        path = self.h264(seconds=1)
        reader = self.framelog(60)
        source = self.ingest(path, "--loop", "--decode", "nvdec", "--policy", "wait",
                             "--ack-timeout-ms", "20000", "--wait-subscribers", "1")
        frames = parse_frames(self.finish(reader)[0].decode())
        self.end(source)
        once = self.decoded_md5(path, "nv12")
        self.assertEqual([f.md5 for f in frames], (once * 3)[:60])
        self.assertEqual({f.generation for f in frames}, {frames[0].generation})

    def test_a_change_of_size(self):
        parts = [self.h264("a.h264"), self.h264("b.h264", size="640x360"), self.h264("c.h264")]
        path = self.path("all.h264")
        with open(path, "wb") as out:
            for part in parts:
                with open(part, "rb") as file:
                    out.write(file.read())
        expected = [md5 for part in parts for md5 in self.decoded_md5(part, "nv12")]
        frames, summary, err = self.log_all(path, "--decode", "nvdec")
        self.assertEqual([f.md5 for f in frames], expected, err)
        self.assertEqual([f.size for f in frames if f.flags & GENERATION],
                         ["320x240", "640x360", "320x240"])
        self.assertEqual(summary.copied, 0, err)

    def test_readers_that_hold_all_they_may(self):
        path = self.h264(seconds=4)
        source = self.ingest(path, "--decode", "nvdec", "--slots", "2", "--realtime")
        slow = []
        for _ in range(4):  # each holds another frame
            slow.append(self.start("sub", "cam", "--hold-ms", "60000"))
            time.sleep(0.3)
        err = self.finish(source)[1].decode()
        for reader in slow:
            reader.kill()
        summary = parse_summary(err)
        self.assertEqual(summary.published + summary.dropped, 100, err)
        self.assertGreater(summary.dropped, 0, err)
        self.assertEqual(summary.damaged, 0, err)

    def test_shared_in_host_memory(self):
        path = self.h264()
        frames, err = self.check(path, "nv12", "--memory", "host", copied=50)
        self.assertIn("in host memory", err)
        self.assertEqual({f.format for f in frames}, {"nv12"})

    def likeness(self, name, path, size, pix_fmt):
        """Peak signal to noise of an output beside libswscale's, in dB."""
        made = self.path("made")
        self.env["FRAMELOG_RAW"] = made
        reader = self.framelog(key="cam-" + name.split("=")[0])
        del self.env["FRAMELOG_RAW"]
        frames, summary, err = self.log_all(path, "--decode", "nvdec", "--output", name)
        output = parse_frames(self.finish(reader)[0].decode())
        self.assertEqual([f.md5 for f in frames], self.decoded_md5(path, "nv12"), err)
        self.assertEqual(summary.copied, 0, err)
        self.assertEqual([f.pts_ns for f in output], [f.pts_ns for f in frames])
        self.assertEqual({f.size for f in output}, {size})
        expected = self.ffmpeg("-i", path, "-vf", f"scale={size.replace('x', ':')}:flags={FLAGS},"
                               f"format={pix_fmt}", "-fps_mode", "passthrough", "-f", "rawvideo", "-")
        with open(made, "rb") as file:
            data = file.read()
        self.assertEqual(len(data), len(expected), err)
        error = sum((a - b) ** 2 for a, b in zip(data, expected)) / len(data)
        return 99 if error == 0 else 10 * math.log10(255 * 255 / error)

    def test_outputs_are_scaled_on_the_gpu_into_their_slots(self):
        path = self.h264(seconds=1)
        for name, size, pix_fmt in (("s=160x90", "160x90", "nv12"),
                                    ("l=400x300,format=yuv420p", "400x300", "yuv420p"),
                                    ("r=100x80,format=rgb", "100x80", "rgb24"),
                                    ("h=162x90,memory=host", "162x90", "nv12")):
            with self.subTest(name=name):
                self.assertGreater(self.likeness(name, path, size, pix_fmt), 55)

    def test_the_input_s_own_channel_in_another_size(self):
        path = self.h264()
        frames, summary, err = self.log_all(path, "--decode", "nvdec", "--size", "160x120", "--format",
                                            "bgra")
        self.assertEqual({(f.size, f.format) for f in frames}, {("160x120", "bgra")}, err)
        self.assertEqual(len({f.md5 for f in frames}), 50)
        self.assertEqual(summary.copied, 50, err)

    def test_decoded_by_the_processor_and_shared_in_gpu_memory(self):
        path = self.h264()
        frames, summary, err = self.log_all(path, "--decode", "cpu", "--memory", "cuda")
        self.assertEqual([f.md5 for f in frames], self.decoded_md5(path, "yuv420p"), err)
        self.assertIn("in GPU memory", err)
        self.assertEqual(summary.copied, len(frames))

    def test_an_output_in_gpu_memory_of_what_the_processor_decodes(self):
        path = self.h264()
        reader = self.framelog(key="cam-small")
        _, _, err = self.log_all(path, "--decode", "cpu", "--memory", "host", "--output",
                                 "small=160x120,memory=cuda")
        frames = parse_frames(self.finish(reader)[0].decode())
        expected = self.decoded_md5(path, "yuv420p", "-vf", "scale=160:120:flags=bicubic")
        self.assertEqual([f.md5 for f in frames], expected, err)
        self.assertEqual(figures(err, "small").copied, len(frames))

    def test_automatic_takes_the_gpu(self):
        _, _, err = self.log_all(self.h264())
        self.assertIn("decoded by GPU 0", err)

    def test_automatic_takes_the_processor_for_what_the_chip_cannot(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv422p")
        frames, _, err = self.log_all(path)
        self.assertIn("the processor decodes, not a GPU", err)
        self.assertIn("4:2:2", err)
        self.assertEqual(len(frames), 50)
        path = self.stream("b.mp4", "libx264", "-pix_fmt", "yuv420p10le")
        frames, _, err = self.log_all(path)
        self.assertEqual(len(frames), 50, err)

    def test_automatic_takes_the_processor_where_there_is_no_library_for_it(self):
        only_driver = self.path("driver")
        os.mkdir(only_driver)
        os.symlink(self.env["CUFRAMES_LIBCUDA"], os.path.join(only_driver, "libcuda.so.1"))
        self.env["LD_LIBRARY_PATH"] = only_driver
        frames, _, err = self.log_all(self.h264())
        self.assertEqual(len(frames), 50, err)
        self.assertIn("the processor decodes, not a GPU", err)
        self.assertIn("nvcuvid", err)
        _, err = self.run_tool("ingest", self.path("a.mp4"), "--key", "cam", "--decode", "nvdec", code=1)
        self.assertIn("--decode nvdec", err)

    def test_a_failure_is_mended_while_subscribers_stay(self):
        self.env["CUVID_FAULTS"] = "decode:24-24=719"
        path = self.h264(seconds=4)
        frames, summary, err = self.log_all(path, "--decode", "nvdec")
        self.assertIn("decoding failed", err)
        self.assertEqual({f.generation for f in frames}, {frames[0].generation})
        expected = self.decoded_md5(path, "nv12")
        self.assertEqual([f.md5 for f in frames][-60:], expected[-60:], err)
        self.assertLess(len(frames), 100)

    def test_after_failures_automatic_takes_the_processor(self):
        self.env["CUVID_FAULTS"] = "decode:24-9999=719"
        path = self.h264(seconds=4)
        frames, summary, err = self.log_all(path)
        self.assertIn("the processor decodes from here on", err)
        self.assertEqual([f.format for f in frames if f.flags & GENERATION], ["nv12", "yuv420p"])
        expected = self.decoded_md5(path, "yuv420p")
        self.assertEqual([f.md5 for f in frames][-20:], expected[-20:], err)

    def test_after_failures_nvdec_goes_on_trying(self):
        self.env["CUVID_FAULTS"] = "decode:24-25=719,create:2-3=2"
        path = self.h264(seconds=4)
        frames, _, err = self.log_all(path, "--decode", "nvdec")
        self.assertEqual(err.count("decoding failed"), 4, err)
        self.assertEqual([f.md5 for f in frames][-20:], self.decoded_md5(path, "nv12")[-20:], err)

    def test_a_camera_s_pictures_are_not_waited_for(self):
        self.env["CUVID_FAULTS"] = "decode:24-9999=719"
        path = self.h264(seconds=3)
        began = time.monotonic()
        _, _, err = self.log_all(path, "--decode", "nvdec", "--realtime")
        self.assertLess(time.monotonic() - began, 10, err)


if __name__ == "__main__":
    main()
