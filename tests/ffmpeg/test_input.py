# SPDX-License-Identifier: LGPL-2.1-or-later
"""
How the input behaves: what it tells before a frame was read, its options, holding frames, and the
ends: closed, killed, stopped, interrupted.
"""
import shutil
import signal
import time

from ffmpeg_test import KIND, FFmpegTest, main, parse_framemd5, tool
from ingest_test import PROMPT_S


class Input(FFmpegTest):
    def stop_under(self, reader):
        """A publisher that does nothing any more since a reader had frames; given with it."""
        source = self.source("cam")
        reader = self.start_ff(*reader, "-i", "cuframes://cam", "-f", "null", "-", level="verbose")
        self.wait_for(lambda: any(one["received"] > 3 for one in
                                  self.run_json("info", "cam", "--json")["subscribers"]), "frames")
        self.wait_until_it_catches(reader, signal.SIGINT)
        source.send_signal(signal.SIGSTOP)
        return source, reader

    def test_probing_needs_no_frame(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p", "-color_range", "tv",
                           "-colorspace", "bt709", "-vf", "setsar=4/3", rate="30000/1001")
        source = self.ingest(path, "--wait-subscribers", "99")
        self.wait_for(lambda: self.held("cam") == 0, "the channel")
        started = time.monotonic()
        stream = self.probe("-show_streams", "cuframes://cam")["streams"][0]
        self.assertLess(time.monotonic() - started, PROMPT_S)
        for name, value in {
            "codec_name": "wrapped_avframe", "pix_fmt": "yuv420p", "width": 320, "height": 240,
            "r_frame_rate": "30000/1001", "avg_frame_rate": "30000/1001",
            "sample_aspect_ratio": "4:3", "color_range": "tv", "color_space": "bt709",
            "time_base": "1/1000000000",
        }.items():
            self.assertEqual(stream[name], value, name)
        self.end(source)

    def test_frames_tell_their_numbers(self):
        source = self.source("cam", "--fps", "50", "--policy", "wait", "--wait-subscribers", "1")
        frames = self.probe("-show_frames", "-read_intervals", "%+#10", "cuframes://cam")["frames"]
        self.end(source)
        self.assertEqual([int(f["tags"]["cuframes.seq"]) for f in frames], list(range(10)))
        self.assertEqual({f["pix_fmt"] for f in frames}, {"nv12"})

    def test_options_in_the_url(self):
        source = self.source("cam", "--fps", "100", "--policy", "wait", "--wait-subscribers", "1")
        frames = self.probe("-show_frames", "-read_intervals", "%+#5",
                            "cuframes://cam?every=3&name=third")["frames"]
        self.end(source)
        numbers = [int(f["tags"]["cuframes.seq"]) for f in frames]
        self.assertEqual([b - a for a, b in zip(numbers, numbers[1:])], [3, 3, 3, 3])

    def test_who_comes_late_starts_at_zero(self):
        source = self.source("cam", "--fps", "50")
        self.wait_for(lambda: self.run_json("info", "cam", "--json")["published"] > 60, "frames")
        for mode in ("order", "newest"):
            with self.subTest(mode=mode):
                out, _ = self.run_ff("-i", f"cuframes://cam?mode={mode}", "-fps_mode", "passthrough",
                                     "-enc_time_base", "-1", "-t", "0.5", "-f", "framemd5", "-")
                pictures = parse_framemd5(out)
                self.assertEqual(pictures[0].time, 0)
                self.assertGreater(len(pictures), 10)
        own = self.probe("-show_frames", "-read_intervals", "%+#2", "cuframes://cam?timeline=channel")
        self.assertGreater(float(own["frames"][0]["pts_time"]), 1)
        self.end(source)

    def test_newest(self):
        source = self.source("cam", "--fps", "200")
        # Slower than the source: with mode=newest what is late is left out.
        _, err = self.run_ff("-readrate", "1", "-i", "cuframes://cam?mode=newest", "-frames:v",
                             "5", "-vf", "null", "-f", "null", "-", level="verbose")
        self.end(source)
        self.assertGreaterEqual(self.closing(err).given, 5)

    def test_what_is_wrong_is_said(self):
        for url, words in {
            "cuframes://nobody": "nobody",
            "cuframes://no/body": "no/body",
            "cuframes://cam?colour=red": "colour",
            "cuframes://cam?mode": "not option=value",
        }.items():
            with self.subTest(url=url):
                reader = self.start_ff("-i", url, "-f", "null", "-")
                _, err = reader.communicate(timeout=PROMPT_S)
                self.assertNotEqual(reader.returncode, 0)
                self.assertIn(words, err.decode())

    def test_listed_as_sources(self):
        sources = [self.source("cam1"), self.source("cam2", "--format", "rgb")]
        out, _ = self.run_ff("-sources", "cuframes")
        for source in sources:
            self.end(source)
        self.assertRegex(out, r"cuframes://cam1 \[64x48 nv12 in host memory, .*\] \(video\)")
        self.assertRegex(out, r"cuframes://cam2 \[64x48 rgb in host memory, .*\] \(video\)")

    def test_times_and_options_end_a_reading(self):
        """-t of an input that has no end; -rw_timeout, which is not for inputs that are no files."""
        source = self.source("cam", "--fps", "50")
        out, _ = self.run_ff("-t", "0.5", "-i", "cuframes://cam", "-fps_mode", "passthrough", "-f",
                             "framemd5", "-")
        self.assertIn(len(parse_framemd5(out)), (25, 26))
        reader = self.start_ff("-rw_timeout", "1000000", "-i", "cuframes://cam", "-f", "null", "-")
        _, err = reader.communicate(timeout=20)
        self.assertNotEqual(reader.returncode, 0)
        self.assertIn("rw_timeout", err.decode())
        self.end(source)

    def test_ffplay(self):
        """Shows frames, without a screen, and ends with the channel."""
        if KIND != "stock" or not shutil.which("ffplay"):
            self.skipTest("this FFmpeg has no ffplay")
        source = self.source("cam", "--fps", "50", "--frames", "60", "--format", "yuv420p",
                             "--wait-subscribers", "1")
        player = self.start(*tool("ffplay")[1:], "-hide_banner", "-loglevel", "verbose", "-autoexit",
                            "cuframes://cam?open_timeout=10", program=tool("ffplay")[0],
                            env=dict(self.env, SDL_VIDEODRIVER="dummy", SDL_AUDIODRIVER="dummy"))
        self.wait_for(lambda: any(one["received"] > 30 for one in
                                  self.run_json("info", "cam", "--json")["subscribers"]), "frames")
        _, err = self.finish(player)
        self.finish(source)
        self.assertGreater(self.closing(err.decode(errors="replace")).given, 50)

    def test_known_by_name(self):
        self.assertIn("cuframes", self.run_ff("-devices")[0])
        self.assertIn("open_timeout", self.run_ff("-h", "demuxer=cuframes")[0])

    def test_frames_are_held_where_they_are(self):
        # "reverse" keeps all that it gets: three of four granted are held at the publisher, for
        # the next must be read; the others are copied, and all is as it was.
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p")
        reader = self.start_reading("cuframes://cam", "-vf", "reverse", level="verbose")
        source = self.ingest(path, "--policy", "wait", "--ack-timeout-ms", "20000",
                             "--wait-subscribers", "1", "--realtime")
        self.wait_for(lambda: self.held() == 3, "three held frames")
        pictures, err = self.end_reading(reader)
        self.finish(source)
        expected = self.direct(path, "yuv420p")
        self.assertEqual([p.md5 for p in pictures], [p.md5 for p in reversed(expected)])
        self.assertEqual(self.closing(err), (50, 47, 0))
        self.assertIn("copying frames", err)

    def test_more_holds_on_request(self):
        path = self.stream("a.mp4", "libx264", "-pix_fmt", "yuv420p", seconds=1)
        pictures, closing, _ = self.read_ingested(path, "-vf", "reverse",
                                                  before=("-holds", "11"),
                                                  ingest=("--slots", "20"))
        self.assertEqual((len(pictures), closing.copied), (25, 15))

    def test_a_change_of_size(self):
        source = self.source("cam", "--format", "yuv420p", "--alternate-size", "32x24",
                             "--alternate-every", "5", "--frames", "20", "--policy", "wait",
                             "--wait-subscribers", "1")
        pictures, _ = self.end_reading(self.start_reading("cuframes://cam", "-noautoscale"))
        self.finish(source)
        big, small = 64 * 48 * 3 // 2, 32 * 24 * 3 // 2
        self.assertEqual([p.size for p in pictures], ([big] * 5 + [small] * 5) * 2)

    def test_timeout(self):
        source, reader = self.stop_under(("-timeout", "0.5"))
        _, err = reader.communicate(timeout=PROMPT_S)
        self.assertIn("no frame within the timeout", err.decode())
        source.send_signal(signal.SIGCONT)
        self.end(source)

    def test_opening_ends_when_the_publisher_does_not_answer(self):
        """Stopped, it still takes connections: as long as was said, else a second."""
        source = self.source("cam")
        source.send_signal(signal.SIGSTOP)
        for scheme in ("cuframes", "cuframes_packets"):
            for before, least in (((), 1), (("-timeout", "0.3"), 0.3), (("-open_timeout", "2"), 2)):
                with self.subTest(scheme=scheme, before=before):
                    started = time.monotonic()
                    reader = self.start_ff(*before, "-i", f"{scheme}://cam", "-f", "null", "-")
                    _, err = reader.communicate(timeout=20)
                    took = time.monotonic() - started
                    self.assertNotEqual(reader.returncode, 0)
                    self.assertRegex(err.decode(), "stopped, or very busy|answer")
                    self.assertGreaterEqual(took, least)
                    self.assertLess(took, PROMPT_S)
        source.send_signal(signal.SIGCONT)
        self.end(source)

    def test_waiting_for_an_answer_can_be_interrupted(self):
        source = self.source("cam")
        source.send_signal(signal.SIGSTOP)
        for scheme in ("cuframes", "cuframes_packets"):
            with self.subTest(scheme=scheme):
                reader = self.start_ff("-open_timeout", "-1", "-i", f"{scheme}://cam", "-f", "null",
                                       "-")
                self.wait_until_it_catches(reader, signal.SIGINT)
                time.sleep(0.5)
                started = time.monotonic()
                reader.send_signal(signal.SIGINT)
                reader.communicate(timeout=20)
                self.assertLess(time.monotonic() - started, PROMPT_S)
        source.send_signal(signal.SIGCONT)
        self.end(source)

    def test_waiting_for_a_channel_can_be_interrupted(self):
        reader = self.start_ff("-open_timeout", "-1", "-i", "cuframes://cam", "-f", "null", "-")
        self.wait_until_it_catches(reader, signal.SIGINT)
        time.sleep(0.2)
        started = time.monotonic()
        reader.send_signal(signal.SIGINT)
        reader.communicate(timeout=PROMPT_S)
        self.assertLess(time.monotonic() - started, PROMPT_S)

    def test_interrupted_while_frames_come(self):
        source = self.source("cam", "--format", "yuv420p")
        path = self.path("a.mkv")
        reader = self.start_ff("-i", "cuframes://cam", "-c:v", "mpeg4", path)
        self.wait_for(lambda: self.run_json("info", "cam", "--json")["published"] > 30, "frames")
        reader.send_signal(signal.SIGINT)
        self.finish(reader, 255)
        self.end(source)
        # What was written is whole.
        self.ffmpeg("-xerror", "-i", path, "-f", "null", "-")

    def test_interrupted_while_nothing_comes(self):
        source, reader = self.stop_under(())
        # As with every input that waits: the first asks FFmpeg to end, the second ends the wait.
        reader.send_signal(signal.SIGINT)
        time.sleep(0.1)
        reader.send_signal(signal.SIGINT)
        reader.communicate(timeout=PROMPT_S)
        source.send_signal(signal.SIGCONT)
        self.end(source)

    def test_publisher_that_closes(self):
        source = self.source("cam", "--frames", "20", "--wait-subscribers", "1")
        _, err = self.run_ff("-i", "cuframes://cam", "-f", "null", "-", level="verbose")
        self.finish(source)
        self.assertIn("closed the channel", err)

    def test_publisher_that_dies(self):
        source = self.source("cam")
        reader = self.start_ff("-i", "cuframes://cam", "-f", "null", "-", level="verbose")
        self.wait_for(lambda: self.run_json("info", "cam", "--json")["subscribers"], "a reader")
        source.kill()
        _, err = reader.communicate(timeout=PROMPT_S)
        self.assertIn("the publisher died", err.decode())

    def test_reconnect(self):
        source = self.source("cam", "--frames", "30", "--fps", "60", "--wait-subscribers", "1")
        reader = self.start_reading("cuframes://cam?reconnect=1", "-frames:v", "50",
                                    level="verbose")
        self.finish(source)
        source = self.source("cam", "--fps", "60")
        pictures, err = self.end_reading(reader)
        self.end(source)
        self.assertEqual(len(pictures), 50, err)
        # Time goes on, though the second publisher began anew.
        self.assertTrue(all(a.time < b.time for a, b in zip(pictures, pictures[1:])))


if __name__ == "__main__":
    main()
