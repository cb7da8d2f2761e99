# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Further channels of one decode (--output): their pictures are those that ffmpeg's own scaler makes,
they keep to their rate by time stamps and to their size whatever the input does, and what nobody
reads is not made.
"""
import collections
import re

from ingest_test import DISCONTINUITY, GENERATION, IngestTest, main, parse_frames, parse_summary

Figures = collections.namedtuple("Figures", "published copied dropped left_out unread")


def figures(text, name):
    found = re.search(
        rf"output {name}: (\d+) frames published, (\d+) of them copied; (\d+) dropped, "
        r"(\d+) left out, (\d+) not made", text)
    assert found, f"nothing about {name} in: " + text
    return Figures(*map(int, found.groups()))


class Outputs(IngestTest):
    def read_all(self, path, outputs, *options):
        """Frames of each output, by name, and what the ingester said."""
        readers = {name.split("=")[0]: None for name in outputs}
        for name in readers:
            readers[name] = self.framelog(key="cam-" + name)
        main_reader = self.framelog()
        arguments = [word for output in outputs for word in ("--output", output)]
        source = self.ingest(path, *arguments, *options, "--policy", "wait", "--ack-timeout-ms",
                             "20000", "--wait-subscribers", "1")
        err = self.finish(source)[1].decode()
        frames = {name: parse_frames(self.finish(reader)[0].decode())
                  for name, reader in readers.items()}
        frames[""] = parse_frames(self.finish(main_reader)[0].decode())
        return frames, err

    def scaled(self, path, size, pix_fmt, extra=""):
        size = size.replace("x", ":")
        return self.decoded_md5(path, pix_fmt, "-vf",
                                f"scale={size}:flags=bicubic{extra},format={pix_fmt}")

    def test_several_sizes_and_formats_from_one_decode(self):
        path = self.stream("a.mp4", "libx264", "-bf", "2", "-pix_fmt", "yuv420p")
        frames, err = self.read_all(
            path, ["small=162x90", "grey=100x80,format=grayscale", "nv=200x200,format=nv12",
                   "same=320x240"])
        self.assertEqual([f.md5 for f in frames[""]], self.decoded_md5(path, "yuv420p"), err)
        self.assertEqual(parse_summary(err).copied, 0, "the input's own channel costs no copy")
        self.assertEqual([f.md5 for f in frames["small"]], self.scaled(path, "162x90", "yuv420p"))
        self.assertEqual([f.md5 for f in frames["grey"]],
                         self.decoded_md5(path, "gray", "-vf", "scale=100:80:flags=bicubic,"
                                          "format=yuv420p,extractplanes=y"))
        self.assertEqual([f.md5 for f in frames["nv"]], self.scaled(path, "200x200", "nv12"))
        self.assertEqual([f.md5 for f in frames["same"]], self.decoded_md5(path, "yuv420p"))
        for name, size, form in (("small", "162x90", "yuv420p"), ("grey", "100x80", "grayscale"),
                                 ("nv", "200x200", "nv12"), ("same", "320x240", "yuv420p")):
            with self.subTest(name=name):
                self.assertEqual({f.size for f in frames[name]}, {size})
                self.assertEqual({f.format for f in frames[name]}, {form})
                self.assertEqual([f.pts_ns for f in frames[name]], [f.pts_ns for f in frames[""]])
                self.assertEqual(figures(err, name), Figures(50, 50, 0, 0, 0), err)

    def test_colours_of_rgb_follow_the_matrix_and_the_range(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p", "-colorspace", "bt709",
                           "-vf", "scale=out_color_matrix=bt709:out_range=full")
        frames, err = self.read_all(path, ["rgb=160x120,format=rgb"])
        expected = self.scaled(path, "160x120", "rgb24",
                               ":in_color_matrix=bt709:in_range=full:out_range=full")
        self.assertEqual([f.md5 for f in frames["rgb"]], expected, err)

    def test_a_rate_is_kept_by_time_stamps_not_by_count(self):
        # Twenty pictures in the first second, five in the next.
        path = self.path("vfr.mkv")
        self.ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=20:duration=2", "-vf",
                    "select='lt(t,1)+not(mod(n,4))'", "-fps_mode", "vfr", "-c:v", "libx264",
                    "-pix_fmt", "yuv420p", path)
        frames, err = self.read_all(path, ["slow=160x120@5", "all=160x120"])
        times = [f.pts_ns / 1e9 for f in frames["slow"]]
        self.assertEqual(len(frames["all"]), 25, err)
        self.assertEqual(len(times), 10, times)
        for earlier, later in zip(times, times[1:]):
            self.assertAlmostEqual(later - earlier, 0.2, places=2)
        self.assertEqual(figures(err, "slow").left_out, 15, err)

    def test_the_input_s_own_rate_does_not_limit_an_output(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p")
        frames, err = self.read_all(path, ["all=160x120"], "--fps", "5")
        self.assertEqual(len(frames[""]), 10, err)
        self.assertEqual(len(frames["all"]), 50, err)

    def test_an_output_keeps_its_size_when_the_input_changes(self):
        small = self.stream("a.h264", "libx264", "-pix_fmt", "yuv420p")
        large = self.stream("b.h264", "libx264", "-pix_fmt", "yuv420p", size="640x480")
        path = self.path("c.h264")
        with open(path, "wb") as out:
            for part in (small, large):
                with open(part, "rb") as file:
                    out.write(file.read())
        frames, err = self.read_all(path, ["small=160x120"])
        self.assertEqual({f.size for f in frames[""]}, {"320x240", "640x480"}, err)
        self.assertEqual({f.size for f in frames["small"]}, {"160x120"})
        self.assertEqual([f.md5 for f in frames["small"]],
                         self.scaled(small, "160x120", "yuv420p") +
                         self.scaled(large, "160x120", "yuv420p"))
        self.assertEqual(len([f for f in frames["small"] if f.flags & GENERATION]), 1)

    def test_a_break_is_told_once_on_every_channel(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p", seconds=1)
        readers = [self.framelog(60, key=key) for key in ("cam", "cam-some")]
        source = self.ingest(path, "--loop", "--output", "some=160x120@10", "--policy", "wait",
                             "--ack-timeout-ms", "20000", "--wait-subscribers", "1")
        counts = []
        for reader in readers:
            frames = parse_frames(self.finish(reader)[0].decode())
            breaks = [f.seq for f in frames if f.flags & DISCONTINUITY]
            counts.append(len(breaks))
        self.end(source)
        self.assertEqual(counts, [2, 5])

    def test_what_nobody_reads_is_not_made(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p")
        source = self.ingest(path, "--output", "idle=160x120")
        err = self.finish(source)[1].decode()
        self.assertEqual(figures(err, "idle"), Figures(0, 0, 0, 0, 50), err)

    def test_a_slow_reader_of_an_output_stops_nobody(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p", seconds=4)
        slow, quick = self.framelog(2, 60000, key="cam-small"), self.framelog()
        source = self.ingest(path, "--output", "small=160x120", "--slots", "2",
                             "--wait-subscribers", "1", "--realtime")
        err = self.finish(source)[1].decode()
        slow.kill()
        self.assertEqual(len(parse_frames(self.finish(quick)[0].decode())), 100)
        self.assertEqual(parse_summary(err).published, 100, err)
        self.assertEqual(figures(err, "small").published, 100, err)

    def test_bad_outputs_are_refused_with_a_reason(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p", seconds=1)
        cases = {
            ("small",): "give NAME=WIDTHxHEIGHT",
            ("a b=100x100",): "cannot be a part of a key",
            ("=100x100",): "cannot be a part of a key",
            ("small=100",): "give WIDTHxHEIGHT in pixels",
            ("small=0x100",): "give WIDTHxHEIGHT in pixels",
            ("small=100x99999",): "give WIDTHxHEIGHT in pixels",
            ("small=100x100@",): "give frames a second",
            ("small=100x100@0",): "give frames a second",
            ("small=100x100@25x",): "give frames a second",
            ("small=100x100,format=jpeg",): "jpeg",
            ("small=100x100,memory=disk",): "give host or cuda",
            ("small=100x100,quality=9",): "give format=F or memory=host|cuda",
            ("a=100x100", "a=50x50"): 'there is an output "a" already',
            ("x" * 60 + "=100x100",): "its channel would be called cam-xxx",
        }
        for outputs, reason in cases.items():
            with self.subTest(outputs=outputs):
                arguments = [word for output in outputs for word in ("--output", output)]
                source = self.ingest(path, *arguments)
                err = self.finish(source, 2)[1].decode()
                self.assertIn("--output", err)
                self.assertIn(reason, err)

    def test_an_output_whose_key_is_taken_is_a_failure(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p", seconds=1)
        first = self.ingest(path, "--loop", "--realtime", key="cam-small")
        self.finish(self.framelog(1, key="cam-small"))
        err = self.finish(self.ingest(path, "--output", "small=160x120"), 1)[1].decode()
        self.end(first)
        self.assertIn("--output small:", err)
        self.assertIn("cam-small", err)


if __name__ == "__main__":
    main()
