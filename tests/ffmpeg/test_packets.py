# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Encoded streams through a channel, published and read by FFmpeg: every packet with its times is the
source's, sound and picture stay together, and what cannot go on is said.
"""
import collections
import signal
import time

from ffmpeg_test import FFmpegTest, main
from ingest_test import PROMPT_S, encoders

Packet = collections.namedtuple("Packet", "dts pts duration size hash")


def parse_framehash(text):
    """{stream: [Packet]}; what is beside the data of a packet (samples to skip) is left out."""
    streams = collections.defaultdict(list)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            stream, dts, pts, duration, size, value, *_ = (w.strip() for w in line.split(","))
            streams[int(stream)].append(Packet(int(dts), int(pts), int(duration), int(size), value))
    return dict(streams)


class Packets(FFmpegTest):
    def clip(self, name, *options, audio=("-c:a", "aac"), seconds=2):
        """A clip with picture and sound; skipped without its encoders."""
        wanted = {options[i + 1] for i, word in enumerate(options) if word == "-c:v"}
        wanted |= {audio[i + 1] for i, word in enumerate(audio) if word == "-c:a"}
        if not wanted <= encoders():
            self.skipTest(f"ffmpeg lacks one of {wanted}")
        path = self.path(name)
        self.ffmpeg("-f", "lavfi", "-i", f"testsrc2=size=320x240:rate=25:duration={seconds}", "-f",
                    "lavfi", "-i", f"sine=duration={seconds}:sample_rate=48000", *options, *audio,
                    path)
        return path

    def publish(self, path, *options, before=("-re",), readers=1):
        return self.start_ff(*before, "-i", path, *(options or ("-map", "0", "-c", "copy")),
                             "-wait_subscribers", str(readers), "-f", "cuframes", "cam",
                             level="verbose")

    def read(self, *options, url="cuframes_packets://cam?start=oldest"):
        return self.start_ff("-open_timeout", "20", "-copyts", "-i", url, "-map", "0", "-c", "copy",
                             *options, level="verbose")

    def wait_for_packets(self, count):
        """Until a channel is there and has published so many."""
        self.wait_for(lambda: self.held() >= 0 and (self.run_json("info", "cam", "--json")["packets"] or {})
                      .get("published", 0) > count, "packets")

    def packets_of(self, *where, hashing=("-f", "framehash", "-")):
        return parse_framehash(self.ffmpeg("-copyts", *where, "-map", "0", "-c", "copy",
                                           *hashing).decode())

    def check(self, path):
        reader = self.read("-f", "framehash", "-")
        writer = self.publish(path, before=("-re", "-copyts"))
        out, err = self.finish(reader)
        self.finish(writer)
        expected = self.packets_of("-i", path)
        got = parse_framehash(out.decode())
        self.assertEqual(set(got), set(expected), err.decode())
        self.assertEqual(got[0], expected[0])
        # A reader begins with a picture; sound that was sent before it is not for it.
        early = len(expected[1]) - len(got[1])
        self.assertLessEqual(early, 2)
        self.assertEqual(got[1], expected[1][early:])
        self.assertIn("0 lost", err.decode())

    def test_h264_with_b_frames_and_aac(self):
        self.check(self.clip("a.mp4", "-c:v", "libx264", "-bf", "3", "-g", "25", "-pix_fmt",
                             "yuv420p"))

    def test_h264_with_slices_in_mpegts(self):
        self.check(self.clip("a.ts", "-c:v", "libx264", "-x264-params", "slices=4", "-g", "25",
                             "-pix_fmt", "yuv420p"))

    def test_hevc(self):
        self.check(self.clip("a.mp4", "-c:v", "libx265", "-x265-params",
                             "log-level=none:pools=2:keyint=25", "-pix_fmt", "yuv420p"))

    def test_av1_and_opus(self):
        self.check(self.clip("a.mkv", "-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime",
                             "-s", "160x120", audio=("-c:a", "libopus")))

    def test_mjpeg(self):
        self.check(self.clip("a.mkv", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p",
                             audio=("-c:a", "pcm_s16le")))

    def test_what_the_streams_are(self):
        path = self.clip("a.mp4", "-c:v", "libx264", "-g", "25", "-pix_fmt", "yuv420p",
                         "-metadata:s:a:0", "language=fra")
        writer = self.publish(path, readers=9)
        self.wait_for(lambda: self.held() == 0, "the channel")
        video, audio = self.probe("-show_streams", "cuframes_packets://cam")["streams"]
        self.assertEqual((video["codec_name"], video["width"], video["height"], video["pix_fmt"],
                          video["time_base"], video["r_frame_rate"]),
                         ("h264", 320, 240, "yuv420p", "1/12800", "25/1"))
        self.assertEqual((audio["codec_name"], audio["sample_rate"], audio["channels"],
                          audio["tags"]["language"]), ("aac", "48000", 1, "fra"))
        writer.kill()

    def test_recorded_files_are_whole(self):
        path = self.clip("a.mp4", "-c:v", "libx264", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p")
        for name in ("b.mp4", "b.mkv", "b.ts"):
            with self.subTest(name=name):
                copy = self.path(name)
                reader = self.read(copy)
                writer = self.publish(path)
                self.finish(reader)
                self.finish(writer)
                self.assertEqual([p.md5 for p in self.direct(copy, "yuv420p")],
                                 [p.md5 for p in self.direct(path, "yuv420p")])

    def test_decoded_by_the_reader(self):
        path = self.clip("a.mp4", "-c:v", "libx264", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p")
        reader = self.start_reading("cuframes_packets://cam?start=oldest", "-map", "0:v", "-pix_fmt",
                                    "yuv420p")
        writer = self.publish(path, before=("-re", "-copyts"))
        pictures, err = self.end_reading(reader)
        self.finish(writer)
        expected = self.direct(path, "yuv420p")
        self.assertEqual([(p.time, p.md5) for p in pictures],
                         [(p.time, p.md5) for p in expected], err)

    def test_frames_and_packets_of_one_channel(self):
        path = self.clip("a.mp4", "-c:v", "libx264", "-g", "25", "-pix_fmt", "yuv420p")
        readers = [self.read("-f", "framehash", "-"),
                   self.start_reading("cuframes://cam", before=("-holds", "20"))]
        writer = self.publish(path, "-map", "0:v", "-map", "0:v", "-map", "0:a", "-c:v:0",
                              "wrapped_avframe", "-c:v:1", "copy", "-c:a", "copy", "-slots", "22",
                              "-policy", "wait", "-ack_timeout", "20000", readers=2,
                              before=("-re", "-copyts"))
        out, err = self.finish(readers[0])
        pictures, _ = self.end_reading(readers[1])
        self.finish(writer)
        self.assertEqual(parse_framehash(out.decode()), self.packets_of("-i", path), err.decode())
        self.assertEqual([p.md5 for p in pictures], [p.md5 for p in self.direct(path, "yuv420p")])

    def test_both_of_what_the_ingester_shares(self):
        path = self.clip("a.mp4", "-c:v", "libx264", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p")
        readers = [self.read("-f", "framehash", "-"),
                   self.start_reading("cuframes://cam?timeline=channel", before=("-holds", "36"))]
        source = self.ingest(path, "--realtime", "--policy", "wait", "--ack-timeout-ms", "20000",
                             "--wait-subscribers", "2", "--slots", "38")
        out, err = self.finish(readers[0])
        pictures, _ = self.end_reading(readers[1])
        self.finish(source)
        got, expected = parse_framehash(out.decode()), self.packets_of("-i", path)
        self.assertEqual(got[0], expected[0], err.decode())
        early = len(expected[1]) - len(got[1])
        self.assertLessEqual(early, 2)
        self.assertEqual(got[1], expected[1][early:])
        # One time line: a picture has the time of the packet that it was decoded from.
        self.assertEqual([(p.time, p.md5) for p in pictures],
                         [(p.time, p.md5) for p in self.direct(path, "yuv420p")])

    def test_who_comes_late_starts_at_a_key_frame(self):
        path = self.clip("a.mp4", "-c:v", "libx264", "-bf", "0", "-g", "20", "-pix_fmt", "yuv420p",
                         seconds=4)
        writer = self.start_ff("-re", "-i", path, "-map", "0:v", "-c", "copy", "-f", "cuframes", "cam")
        self.wait_for(lambda: self.held() == 0, "the channel")
        time.sleep(1.5)
        shown = self.probe("-show_packets", "-read_intervals", "%+#30", "cuframes_packets://cam")
        packets = shown["packets"]
        self.assertEqual(packets[0]["flags"][0], "K")
        self.assertGreater(float(packets[0]["pts_time"]), 0.5)
        self.assertTrue(all(p["flags"][0] != "K" for p in packets[1:20]))
        self.finish(writer)

    def test_an_overrun_is_said_and_survived(self):
        # 64 packets are kept, and the reader sleeps for longer than that.
        writer = self.start_ff("-readrate", "8", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25",
                               "-c:v", "mpeg4", "-g", "25", "-keep", "0", "-f", "cuframes", "cam")
        self.wait_for(lambda: self.held() == 0, "the channel")
        reader = self.start_ff("-i", "cuframes_packets://cam", "-c", "copy", "-frames:v", "800", "-f",
                               "framehash", "-", level="warning")
        self.wait_for(lambda: self.run_json("info", "cam", "--json")["subscribers"], "a reader")
        time.sleep(0.5)
        reader.send_signal(signal.SIGSTOP)
        time.sleep(2)
        reader.send_signal(signal.SIGCONT)
        out, err = self.finish(reader)
        self.assertRegex(err.decode(), r"\d+ packets")
        self.assertEqual(len(parse_framehash(out.decode())[0]), 800)
        writer.kill()

    def test_new_parameters_are_followed(self):
        first = self.clip("a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p", seconds=1)
        second = self.clip("b.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-s", "160x120",
                           seconds=1)
        reader = self.start_ff("-open_timeout", "20", "-i",
                               "cuframes_packets://cam?start=oldest&reconnect=1", "-fps_mode",
                               "passthrough", "-map", "0:v", "-pix_fmt", "yuv420p", "-noautoscale",
                               "-frames:v", "40", "-f", "framemd5", "-")
        for path in (first, second):
            self.finish(self.publish(path))
        pictures, err = self.end_reading(reader)
        self.assertEqual([p.md5 for p in pictures],
                         [p.md5 for path in (first, second)
                          for p in self.direct(path, "yuv420p")][:40], err)

    def test_another_codec_ends_it_with_a_reason(self):
        first = self.clip("a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p", seconds=1)
        second = self.clip("b.mp4", "-c:v", "mpeg4", seconds=1)
        reader = self.read("-f", "framehash", "-",
                           url="cuframes_packets://cam?start=oldest&reconnect=1")
        self.finish(self.publish(first))
        writer = self.publish(second)
        _, err = reader.communicate(timeout=20)
        self.assertIn("stream 0 is h264 no longer", err.decode())
        writer.kill()

    def test_a_channel_without_packets(self):
        source = self.source("cam")
        reader = self.start_ff("-i", "cuframes_packets://cam", "-f", "null", "-")
        _, err = reader.communicate(timeout=PROMPT_S)
        self.assertNotEqual(reader.returncode, 0)
        self.assertIn("packets", err.decode())
        self.end(source)

    def test_listed_as_sources(self):
        path = self.clip("a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p")
        source = self.source("frames")
        writer = self.publish(path)
        self.wait_for(lambda: self.held() == 0, "the channel")
        self.assertRegex(self.run_ff("-sources", "cuframes_packets")[0],
                         r"cuframes_packets://cam \[h264, aac, 0 subscribers\] \(video\)")
        listed = self.run_ff("-sources", "cuframes")[0]
        self.assertIn("cuframes://frames", listed)
        # Each as what can be read of it.
        self.assertIn("cuframes_packets://cam", listed)
        self.assertNotIn("cuframes://cam", listed)
        self.assertNotIn("://frames", self.run_ff("-sources", "cuframes_packets")[0])
        self.end(source)
        writer.kill()

    def test_sound_alone_is_listed_as_sound(self):
        writer = self.start_ff("-re", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-map", "0",
                               "-c:a", "aac", "-f", "cuframes", "cam")
        self.wait_for(lambda: self.held() == 0, "the channel")
        self.assertRegex(self.run_ff("-sources", "cuframes")[0],
                         r"cuframes_packets://cam \[aac, 0 subscribers\] \(audio\)")
        writer.kill()

    def test_no_language_is_none(self):
        path = self.clip("a.mp4", "-c:v", "libx264", "-g", "25", "-pix_fmt", "yuv420p")
        writer = self.publish(path, readers=9)
        self.wait_for(lambda: self.held() == 0, "the channel")
        streams = self.probe("-show_streams", "cuframes_packets://cam")["streams"]
        self.assertEqual([s.get("tags", {}).get("language") for s in streams], [None, None])
        writer.kill()

    def test_interrupted_while_packets_come(self):
        path = self.clip("a.mp4", "-c:v", "libx264", "-g", "10", "-pix_fmt", "yuv420p", seconds=4)
        writer = self.publish(path, before=("-re", "-stream_loop", "-1"))
        copy = self.path("b.mkv")
        reader = self.start_ff("-open_timeout", "20", "-i", "cuframes_packets://cam", "-map", "0", "-c",
                               "copy", copy)
        self.wait_for_packets(60)
        reader.send_signal(signal.SIGINT)
        self.finish(reader, 255)
        self.assertGreater(len(self.packets_of("-i", copy)[0]), 10)
        self.ffmpeg("-xerror", "-i", copy, "-f", "null", "-")
        out, _ = self.run_ff("-t", "0.5", "-i", "cuframes_packets://cam", "-map", "0", "-c", "copy", "-f",
                             "framehash", "-")
        self.assertIn(len(parse_framehash(out)[0]), range(10, 20))
        writer.kill()

    def test_interrupted_while_nothing_comes(self):
        path = self.clip("a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p", seconds=4)
        writer = self.publish(path)
        reader = self.read("-f", "null", "-")
        self.wait_for_packets(20)
        self.wait_until_it_catches(reader, signal.SIGINT)
        writer.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        # As with every input that waits: the first asks FFmpeg to end, the second ends the wait.
        for _ in range(2):
            reader.send_signal(signal.SIGINT)
            time.sleep(0.1)
        reader.communicate(timeout=PROMPT_S)
        writer.kill()

    def test_timeout(self):
        path = self.clip("a.mp4", "-c:v", "libx264", "-pix_fmt", "yuv420p", seconds=4)
        writer = self.publish(path)
        self.wait_for(lambda: self.held() == 0, "the channel")
        reader = self.start_ff("-timeout", "0.5", "-i", "cuframes_packets://cam", "-c", "copy", "-f",
                               "null", "-", level="verbose")
        self.wait_for_packets(20)
        writer.send_signal(signal.SIGSTOP)
        _, err = reader.communicate(timeout=PROMPT_S)
        self.assertIn("no packet within the timeout", err.decode())
        writer.kill()


if __name__ == "__main__":
    main()
