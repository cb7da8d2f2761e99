# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Recordings: where they begin and end, segments, names, and what can go wrong.
"""
import os
import resource
import shutil
import signal
import stat
import subprocess
import time

import ingest_test
from packet_test import PacketTest

B_FRAMES = ["libx264", "-bf", "3", "-g", "25", "-pix_fmt", "yuv420p"]
PLAIN = ["libx264", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p"]


class Recording(PacketTest):
    def live(self, *args, key="cam", name="a.mp4", seconds=4, **options):
        """A file that is played for ever."""
        source = self.path(name)
        if not os.path.exists(source):
            self.clip(name, PLAIN, ["aac"], seconds=seconds)
        return self.ingest(source, "--realtime", "--loop", "--decode", "off", *args, key=key,
                           **options)

    def recorded_seconds(self, path):
        packets = self.packets_of(path)[0]
        return packets[-1].pts - packets[0].pts

    def test_it_begins_with_a_key_frame_and_ends_by_itself(self):
        source = self.live()
        time.sleep(1.3)
        out, _ = self.finish(self.record(self.path("b.mp4"), "--duration", "2"))
        self.assertIn(b"b.mp4: 2.", out)
        self.assertAlmostEqual(self.recorded_seconds(self.path("b.mp4")), 2, delta=0.2)
        packets = self.probe(self.path("b.mp4"), "-select_streams", "v", "-show_packets")["packets"]
        self.assertIn("K", packets[0]["flags"])
        self.assertEqual(self.decode(self.path("b.mp4")), "")
        self.end(source)

    def test_an_input_that_is_over_at_once(self):
        """Who is waited for is one who can read: all comes, however soon the channel closes."""
        clip = self.clip("three.mkv", PLAIN, seconds=0.12)
        for decode in ("off", "cpu") * 3:
            recorder = self.record(self.path("b.mkv"), "--pre-roll", "3600", "--overwrite")
            self.finish(self.ingest(clip, "--wait-subscribers", "1", "--decode", decode))
            self.finish(recorder)
            self.same_packets(self.packets_of(self.path("b.mkv")), self.packets_of(clip))

    def test_pre_roll(self):
        source = self.live()
        time.sleep(3)
        began = time.monotonic()
        self.finish(self.record(self.path("b.mkv"), "--pre-roll", "2", "--duration", "3"))
        # Not the three seconds that it would take from now on.
        self.assertLess(time.monotonic() - began, 2.9)
        self.assertGreaterEqual(self.recorded_seconds(self.path("b.mkv")), 2.9)
        self.end(source)

    def test_segments(self):
        source = self.live()
        self.finish(self.record(self.path("b.mp4"), "--segment", "1", "--duration", "3.5"))
        self.end(source)
        names = sorted(name for name in os.listdir(self.work) if name.startswith("b-"))
        self.assertEqual(names[:3], ["b-00001.mp4", "b-00002.mp4", "b-00003.mp4"])
        for name in names:
            packets = self.probe(self.path(name), "-select_streams", "v", "-show_packets")["packets"]
            self.assertIn("K", packets[0]["flags"])
            self.assertAlmostEqual(float(packets[0]["pts_time"]), 0, delta=0.03)
            self.assertEqual(self.decode(self.path(name)), "")
        # Nothing is in two of them, nothing in none: 25 pictures a second.
        counts = [len(self.packets_of(self.path(name))[0]) for name in names[:3]]
        self.assertEqual(counts, [25, 25, 25])

    def test_names(self):
        source = self.live()
        open(self.path("n-001.ts"), "wb").close()
        self.finish(self.record(self.path("n-%03d.ts"), "--duration", "0.5"))
        self.assertGreater(os.path.getsize(self.path("n-002.ts")), 0)
        self.assertEqual(os.path.getsize(self.path("n-001.ts")), 0)
        out, _ = self.finish(self.record(self.path("%Y-%d.mkv"), "--duration", "0.5"))
        self.assertIn(time.strftime("%Y-%d.mkv"), out.decode())
        self.end(source)

    def test_a_file_that_is_there_is_left_alone(self):
        source = self.live()
        path = self.path("b.mp4")
        with open(path, "wb") as file:
            file.write(b"precious")
        _, err = self.run_tool("record", "cam", path, "--duration", "1", code=1)
        self.assertIn("--overwrite", err)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"precious")
        self.run_tool("record", "cam", path, "--duration", "1", "--overwrite")
        self.assertEqual(self.decode(path), "")
        self.end(source)

    def test_killed(self):
        """Everything but the last second is in the file."""
        source = self.live()
        recorders = {name: self.record(self.path(name)) for name in ("b.mp4", "b.mkv", "b.ts")}
        time.sleep(3)
        for recorder in recorders.values():
            recorder.kill()
        # A transport stream has every packet.
        whole = self.recorded_seconds(self.path("b.ts"))
        self.assertGreater(whole, 1.2)
        for name in recorders:
            self.assertGreaterEqual(self.recorded_seconds(self.path(name)), whole - 1.1, name)
            self.assertLessEqual(len(self.decode(self.path(name)).splitlines()), 2, name)
        self.end(source)

    def test_signals_finish_the_file(self):
        source = self.live()
        recorders = {number: self.record(self.path(f"{number}.mp4"))
                     for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        time.sleep(2)
        for number, recorder in recorders.items():
            self.end(recorder, number=number)
            # The index of fragments is the last thing in a finished file.
            with open(self.path(f"{number}.mp4"), "rb") as file:
                self.assertIn(b"mfro", file.read()[-32:])
            self.assertEqual(self.decode(self.path(f"{number}.mp4")), "")
        self.end(source)

    def test_a_limit_on_the_size(self):
        source = self.live()

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

        names = ("b.mp4", "b.mkv", "b.ts")
        recorders = [self.record(self.path(name), "--pre-roll", "9", preexec_fn=limit)
                     for name in names]
        for name, recorder in zip(names, recorders):
            _, err = self.finish(recorder, 1)
            self.assertIn(b"File too large", err)
            self.assertEqual(self.decode(self.path(name)), "", name)
            self.assertGreater(self.recorded_seconds(self.path(name)), 0.5, name)
        self.end(source)

    def test_full_disk(self):
        if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
            self.skipTest("no mount namespace of its own here")
        source = self.live()
        recorders = {}
        for kind in ("mp4", "mkv", "ts"):
            disk, kept = self.path("disk-" + kind), self.path("kept." + kind)
            os.mkdir(disk)
            script = (f"mount -t tmpfs -o size=160k none {disk} || exit 77; "
                      f'"{ingest_test.CUFRAMES}" record cam {disk}/b.{kind}; code=$?; '
                      f"cp {disk}/b.{kind} {kept}; exit $code")
            recorders[kept] = self.start("-Urm", "sh", "-c", script, program="unshare")
        for kept, recorder in recorders.items():
            out, err = recorder.communicate(timeout=30)
            if recorder.returncode == 77:
                self.skipTest("no mounts here: " + err.decode())
            self.assertEqual(recorder.returncode, 1, out)
            self.assertIn(b"No space left on device", err)
            self.assertEqual(self.decode(kept), "")
            self.assertGreater(self.recorded_seconds(kept), 0.5)
        self.end(source)

    def test_no_room_at_all(self):
        source = self.live()
        os.symlink("/dev/full", self.path("full.ts"))
        _, err = self.run_tool("record", "cam", self.path("full.ts"), "--overwrite", code=1)
        self.assertIn("No space", err)
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/full").st_mode))
        self.assertTrue(os.path.islink(self.path("full.ts")))
        _, err = self.run_tool("record", "cam", self.path("no/such/b.mp4"), code=1)
        self.assertIn("No such file", err)
        self.end(source)

    def test_the_publisher_ends_or_dies(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            source = self.live()
            paths = [self.path(f"{number}.{kind}") for kind in ("mp4", "mkv", "ts")]
            recorders = [self.record(path) for path in paths]
            for path in paths:
                self.wait_for(lambda path=path: os.path.exists(path), "the file")
            time.sleep(1.2)
            source.send_signal(number)
            source.wait()
            for path, recorder in zip(paths, recorders):
                _, err = self.finish(recorder)
                self.assertIn(b"the publisher has gone", err)
                self.assertGreater(self.recorded_seconds(path), 0.5)
                self.assertEqual(self.decode(path), "")
        self.leftovers |= {"cam.sock", "cam.lock"}

    def test_another_publisher(self):
        source = self.live()
        recorder = self.record(self.path("b.mkv"), "--reconnect")
        time.sleep(1.5)
        self.end(source)
        source = self.live()
        self.wait_for(lambda: os.path.exists(self.path("b-2.mkv")), "a second file")
        time.sleep(1)
        _, err = self.end(recorder)
        self.assertIn(b"another publisher", err)
        for name in ("b.mkv", "b-2.mkv"):
            self.assertEqual(self.decode(self.path(name)), "")
        self.end(source)

    def test_two_pictures_and_their_sound(self):
        one = self.clip("a.mp4", B_FRAMES, ["aac"])
        other = self.clip("b.mp4", PLAIN, size="160x120")
        source = self.path("two.mkv")
        self.ffmpeg("-i", one, "-i", other, "-map", "0", "-map", "1", "-c", "copy", source)
        names = ("c.mp4", "c.mkv", "c.ts")
        for path in self.record_whole(source, *names, ingest=("--decode", "off")):
            copy = self.remuxed(source, "copy-" + os.path.basename(path))
            self.assertEqual(len(copy), 3)
            self.same_packets(self.packets_of(path), copy)

    def test_ten_recorders(self):
        source = self.clip("a.mp4", B_FRAMES, ["aac"])
        names = [f"{i}.mp4" for i in range(10)]
        paths = self.record_whole(source, *names)
        reference = self.packets_of(source)
        for path in paths:
            self.same_packets(self.packets_of(path), reference)

    def test_a_recorder_that_sleeps(self):
        """It tells what it lost, and goes on with a key frame."""
        source = self.ingest(self.heavy_clip("a.ts"), "--loop", "--decode", "off", "--packet-keep",
                             "1")
        recorder = self.record(self.path("b.mkv"), "--duration", "1000000")
        self.wait_for(lambda: os.path.exists(self.path("b.mkv")), "the file")
        recorder.send_signal(signal.SIGSTOP)
        self.wait_until_overtaken()
        recorder.send_signal(signal.SIGCONT)
        size = os.path.getsize(self.path("b.mkv"))
        self.wait_for(lambda: os.path.getsize(self.path("b.mkv")) > size, "more of the file")
        self.end(source)
        _, err = self.finish(recorder, 1)
        self.assertRegex(err.decode(), r"\d+ packets were lost before packet \d+")
        packets = self.packets_of(self.path("b.mkv"))[0]
        self.assertEqual([p for a, p in zip(packets, packets[1:]) if p.dts < a.dts], [])

    def test_time_stamps_that_jump_back(self):
        part = self.clip("part.ts", PLAIN, ["mp2"], seconds=1)
        source = self.path("a.ts")
        with open(source, "wb") as whole:
            for _ in range(3):
                with open(part, "rb") as file:
                    shutil.copyfileobj(file, whole)
        path, = self.record_whole(source, "b.mkv", ingest=("--decode", "off"))
        once, recorded = self.packets_of(part), self.packets_of(path)
        # What the reader of a transport stream makes of a seam is its own affair.
        self.assertGreaterEqual(len(recorded[0]), 3 * len(once[0]) - 3)
        dts = [p.dts for p in recorded[0]]
        self.assertEqual(dts, sorted(dts))
        self.assertAlmostEqual(dts[-1], 3, delta=0.3)
        self.assertAlmostEqual(recorded[1][-1].pts - recorded[0][-1].pts,
                               once[1][-1].pts - once[0][-1].pts, delta=0.1)

    def bare(self, path, *late):
        """A publisher that tells no parameters; it ends when its output is closed."""
        source = self.start("cam", path, *late, program=os.environ["BARE_PACKETS"])
        self.assertEqual(source.stdout.readline(), b"published\n")
        return source

    def end_bare(self, source):
        source.stdout.close()
        source.stdout = None
        self.finish(source)

    def test_no_parameters_beside_the_packets(self):
        """Those in the stream do, for every container and every way out."""
        for video in (PLAIN, ["libx265", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p"]):
            path = self.clip("a.ts", video, seconds=1)
            hashes = self.pictures_of(path)
            source = self.bare(path)
            names = [self.path(f"{video[0]}.{form}") for form in ("mp4", "mkv", "ts")]
            recorders = [self.record(name, "--pre-roll", "3600") for name in names]
            cats = [self.start("cat", "cam", "--packets", "--format", form)
                    for form in ("nut", "mpegts", "annexb")]
            listed, _ = self.list_packets("--kept", "--count", "25")
            self.assertEqual(len(listed), 25)
            self.wait_for(lambda: len(self.run_json("info", "cam", "--json")["subscribers"]) == 6,
                          "six readers")
            self.end_bare(source)
            for name, recorder in zip(names, recorders):
                out, _ = self.finish(recorder)
                self.assertIn(b"25 packets", out)
                self.assertEqual(self.pictures_of(name), hashes, name)
            for cat in cats:
                out, _ = self.finish(cat)
                with open(self.path("cat"), "wb") as file:
                    file.write(out)
                self.assertEqual(self.pictures_of(self.path("cat")), hashes, cat.args)

    def test_parameters_that_come_late(self):
        """What is written begins with the key frame that brings them, or that they are told with."""
        for codec, tell in (("libx264", ()), ("libx264", ("tell",)), ("libx265", ())):
            keys = ["-x265-params", "log-level=none:keyint=10:bframes=0"] if codec == "libx265" else [
                "-g", "10", "-bf", "0"]
            path = self.clip("a.ts", [codec, *keys, "-pix_fmt", "yuv420p"], seconds=1)
            hashes = self.pictures_of(path)[10:]
            source = self.bare(path, "1", *tell)
            names = [self.path(f"{codec}{len(tell)}.{form}") for form in ("mp4", "mkv", "ts")]
            recorders = [self.record(name, "--pre-roll", "3600") for name in names]
            for recorder in recorders:
                self.wait_until_said(recorder, b"has not told its parameters yet")
            self.wait_for(lambda: len(self.run_json("info", "cam", "--json")["subscribers"]) == 3,
                          "three readers")
            self.end_bare(source)
            for name, recorder in zip(names, recorders):
                out, err = self.finish(recorder)
                self.assertIn(b"0.6 s, 15 packets", out)
                self.assertNotIn(b"parameters yet", err)
                self.assertEqual(self.pictures_of(name), hashes, name)

    def wait_until_said(self, process, words):
        line = process.stderr.readline()
        self.assertIn(words, line)

    def test_parameters_that_never_come(self):
        path = self.clip("a.ts", PLAIN, seconds=1)
        words = b"none of its key frames brought them"
        source = self.bare(path, "99")
        readers = [self.record(self.path(name), "--pre-roll", "3600")
                   for name in ("b.mp4", "b.mkv", "b.ts")]
        readers += [self.start("cat", "cam", "--packets", "--format", form)
                    for form in ("nut", "mpegts", "annexb")]
        for reader in readers:
            self.wait_until_said(reader, b"has not told its parameters yet")
        self.end_bare(source)
        for reader in readers:
            self.assertIn(words, self.finish(reader, 1)[1])
        # Nor is there hope for ever: the publisher need not end.
        often = self.clip("c.ts", ["libx264", "-g", "1", "-pix_fmt", "yuv420p"], seconds=1)
        source = self.bare(often, "99")
        _, err = self.run_tool("record", "cam", self.path("d.mkv"), "--pre-roll", "3600", code=1)
        self.assertIn(words.decode(), err)
        self.end_bare(source)

    def pictures_of(self, path):
        text = self.ffmpeg("-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-")
        return [line.split(b",")[-1] for line in text.splitlines() if not line.startswith(b"#")]

    def test_a_stream_without_times(self):
        """A raw stream: it is as long as its packets."""
        source = self.bare(self.clip("a.h264", PLAIN, seconds=2))
        recorder = self.record(self.path("b.mkv"), "--pre-roll", "3600")
        cut = self.record(self.path("cut%d.mkv"), "--pre-roll", "3600", "--segment", "1")
        short = self.record(self.path("c.mp4"), "--pre-roll", "3600", "--duration", "1")
        self.assertIn(b": 1.0 s, 25 packets", self.finish(short)[0])
        self.wait_for(lambda: len(self.run_json("info", "cam", "--json")["subscribers"]) == 2,
                      "the readers")
        self.end_bare(source)
        self.assertIn(b": 2.0 s, 50 packets", self.finish(recorder)[0])
        self.assertEqual(self.finish(cut)[0].count(b": 1.0 s, 25 packets"), 2)

    def test_what_a_container_cannot_carry(self):
        source = self.ingest(self.clip("a.mkv", PLAIN, ["pcm_alaw"]), "--realtime", "--loop")
        _, err = self.run_tool("record", "cam", self.path("b.mp4"), code=1)
        self.assertIn("MP4 cannot carry pcm_alaw", err)
        self.assertIn("--video-only", err)
        self.assertFalse(os.path.exists(self.path("b.mp4")))
        self.run_tool("record", "cam", self.path("b.mp4"), "--video-only", "--duration", "1")
        self.assertEqual(len(self.packets_of(self.path("b.mp4"))), 1)
        self.run_tool("record", "cam", self.path("b.mkv"), "--duration", "1")
        self.assertEqual(len(self.packets_of(self.path("b.mkv"))), 2)
        self.end(source)

    def test_wrong_usage(self):
        for args, words in (((), "KEY and FILE"), (("b.mp4",), "KEY and FILE"),
                            (("cam", "b.avi"), ".mp4, .mkv or .ts"),
                            (("cam", "b"), "--format"),
                            (("cam", "b.mp4", "--format", "nut"), "mp4, mkv or ts"),
                            (("cam", "%d-%d.mp4"), "more than one number"),
                            (("cam", "b.mp4", "--segment", "0"), "--segment")):
            _, err = self.run_tool("record", *args, code=2)
            self.assertIn(words, err)

    def test_a_pipe_is_no_file(self):
        for name in ("-", self.path("pipe.ts")):
            if name != "-":
                os.mkfifo(name)
            for more in (("--format", "ts"), ("--format", "mp4", "--overwrite")):
                _, err = self.run_tool("record", "cam", name, *more, code=2 if name == "-" else 1)
                self.assertIn("cuframes cat cam --packets", err)
        self.assertFalse(os.path.exists("-"))

    def test_no_channel_and_no_packets(self):
        _, err = self.run_tool("record", "cam", self.path("b.mp4"), "--wait", "0", code=1)
        self.assertIn("cam", err)
        source = self.ingest(self.clip("a.mp4", PLAIN), "--realtime", "--loop", "--no-packets")
        _, err = self.run_tool("record", "cam", self.path("b.mp4"), code=1)
        self.assertIn("packets", err)
        self.assertFalse(os.path.exists(self.path("b.mp4")))
        self.end(source)


if __name__ == "__main__":
    ingest_test.main()
