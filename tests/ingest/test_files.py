# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Files: real time, loops, the frame rate limit, slots that run out, damage, and what is no video.
"""
import os
import random
import signal
import time

from ingest_test import (CORRUPT, DISCONTINUITY, PROMPT_S, UNKNOWN, IngestTest, main, parse_frames,
                         parse_summary)


class Files(IngestTest):
    def video(self, name="a.mp4", **options):
        return self.stream(name, "libx264", "-bf", "2", "-pix_fmt", "yuv420p", **options)

    def fails(self, *args, code=1):
        """The one line that a command says which fails at once."""
        began = time.monotonic()
        _, err = self.run_tool("ingest", *args, "--key", "cam", code=code)
        self.assertLess(time.monotonic() - began, 10)
        lines = [line for line in err.splitlines() if "error:" in line]
        self.assertEqual(len(lines), 1, err)
        return lines[0]

    def test_real_time(self):
        path = self.video(seconds=2)
        frames, _, _ = self.log_all(path, "--realtime")
        for frame in frames:
            late = (frame.published_ns - frames[0].published_ns) - (frame.pts_ns - frames[0].pts_ns)
            # Never early, but for the first frame's own lateness.
            self.assertGreater(late, -20e6)
        self.assertGreaterEqual(frames[-1].published_ns - frames[0].published_ns, 1.9e9)

    def loop(self, path):
        reader = self.framelog(130)
        source = self.ingest(path, "--loop", "--policy", "wait", "--ack-timeout-ms", "20000",
                             "--wait-subscribers", "1")
        frames = parse_frames(self.finish(reader)[0].decode())
        self.end(source)
        once = self.decoded_md5(path, "yuv420p")
        self.assertEqual([f.md5 for f in frames], (once * 3)[:130])
        self.assertEqual([f.seq for f in frames if f.flags & DISCONTINUITY], [50, 100])
        self.assertEqual(len({f.generation for f in frames}), 1)
        steps = {b.pts_ns - a.pts_ns for a, b in zip(frames, frames[1:])}
        self.assertEqual(steps, {40000000})

    def test_loop(self):
        self.loop(self.video())

    def test_loop_of_a_stream_without_an_index(self):
        self.loop(self.video("a.ts"))

    def test_frame_rate_limit(self):
        frames, summary, _ = self.log_all(self.video(seconds=4), "--fps", "10")
        self.assertEqual(len(frames), 40)
        self.assertEqual(summary.left_out, 60)
        self.assertEqual(summary.copied, 0)

    def test_files_have_no_capture_time(self):
        frames, _, _ = self.log_all(self.video())
        self.assertEqual({f.source for f in frames}, {UNKNOWN})

    def test_readers_that_hold_all_slots_cost_frames_but_stall_nobody(self):
        path = self.video(seconds=4)
        expected = self.decoded_md5(path, "yuv420p")
        holders = [self.framelog(0, 300) for _ in range(3)]
        source = self.ingest(path, "--slots", "2", "--realtime", "--wait-subscribers", "3")
        err = self.finish(source)[1].decode()
        summary = parse_summary(err)
        self.assertEqual(summary.published + summary.dropped, 100, err)
        self.assertGreater(summary.published, 0)
        for holder in holders:
            for frame in parse_frames(self.finish(holder)[0].decode()):
                self.assertIn(frame.md5, expected)

    def test_readers_that_keep_every_slot(self):
        """Slots that the decoder wants are all held: it decodes on, elsewhere."""
        path = self.video(seconds=3)
        expected = self.decoded_md5(path, "yuv420p")
        holders = [self.framelog(0, 60000, 2 * i) for i in range(16)]
        source = self.ingest(path, "--slots", "2", "--realtime", "--wait-subscribers", "16")
        err = self.finish(source)[1].decode()
        summary = parse_summary(err)
        self.assertEqual(summary.published + summary.dropped, 75, err)
        self.assertGreater(summary.dropped, 0, err)
        for holder in holders:
            holder.kill()
            out, _ = holder.communicate()
            for frame in parse_frames(out.decode()):
                self.assertIn(frame.md5, expected)

    def test_damage_is_flagged(self):
        path = self.video("a.h264", seconds=4)
        with open(path, "r+b") as file:
            data = bytearray(file.read())
            for offset in range(len(data) // 3, len(data) // 2, 97):
                data[offset] ^= 0xFF
            file.seek(0)
            file.write(data)
        frames, summary, err = self.log_all(path)
        self.assertTrue(any(f.flags & CORRUPT for f in frames), err)
        self.assertGreater(summary.damaged, 0, err)

    def test_a_truncated_file_ends(self):
        path = self.video("a.ts", seconds=4)
        os.truncate(path, os.path.getsize(path) // 2)
        frames, _, _ = self.log_all(path)
        self.assertGreater(len(frames), 20)

    def test_no_such_file(self):
        self.assertIn("no such file", self.fails(self.path("none.mp4")))

    def test_a_directory(self):
        self.assertIn("directory", self.fails(self.work))

    def test_no_video(self):
        text = self.path("a.txt")
        with open(text, "w", encoding="ascii") as file:
            file.write("This is no video.\n" * 500)
        noise = self.path("a.mp4")  # the same each time: other noise may look like a format
        with open(noise, "wb") as file:
            file.write(random.Random(1).randbytes(200000))
        start = self.path("a.h264")  # its start codes are taken for a stream
        with open(start, "wb") as file:
            for nal in range(2000):
                file.write(b"\0\0\1\x65" + random.Random(nal).randbytes(100))
        empty = self.path("empty.mkv")
        with open(empty, "wb"):
            pass
        for path in (text, noise, start, empty):
            with self.subTest(path=path):
                self.assertIn("not a video", self.fails(path))

    def test_sound_only(self):
        path = self.path("a.wav")
        self.ffmpeg("-f", "lavfi", "-i", "sine=duration=1", path)
        self.assertIn("no video", self.fails(path))

    def test_a_key_that_is_taken(self):
        path = self.video()
        first = self.ingest(path, "--loop", "--realtime")
        self.wait_for(lambda: os.path.exists(f"{self.dir}/cam.sock"), "the channel")
        self.assertIn("cam", self.fails(path))
        self.end(first)

    def test_a_signal_ends_it_at_once(self):
        path = self.video(seconds=10)
        for number in (signal.SIGTERM, signal.SIGINT):
            source = self.ingest(path, "--loop", "--realtime")
            self.wait_for(lambda: os.path.exists(f"{self.dir}/cam.sock"), "the channel")
            began = time.monotonic()
            self.end(source, number=number)
            self.assertLess(time.monotonic() - began, PROMPT_S)

    def test_a_signal_ends_a_wait_for_a_subscriber(self):
        source = self.ingest(self.video(), "--wait-subscribers", "1")
        self.wait_for(lambda: os.path.exists(f"{self.dir}/cam.sock"), "the channel")
        self.end(source)

    def test_statistics(self):
        path = self.video(seconds=20)
        source = self.ingest(path, "--realtime", "--stats-interval", "0.3")
        self.wait_for(lambda: os.path.exists(f"{self.dir}/cam.sock"), "the channel")
        time.sleep(1.2)
        info = self.run_json("info", "cam", "--json")
        self.assertEqual(info["width"], 320)
        self.assertEqual(info["format"], "yuv420p")
        err = self.end(source)[1].decode()
        self.assertIn(" fps, ", err)


if __name__ == "__main__":
    main()
