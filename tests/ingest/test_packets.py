# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Packets that the ingester shares: beside frames, without frames, and with frames on demand; what
`cuframes packets` and `cuframes cat --packets` make of them.
"""
import json
import os
import signal
import socket
import stat
import subprocess
import time

import ingest_test
from ingest_test import DISCONTINUITY, PACKET, PROMPT_S, parse_frames
from packet_test import PacketTest, parse_framehash

B_FRAMES = ["libx264", "-bf", "3", "-g", "25", "-pix_fmt", "yuv420p"]
PLAIN = ["libx264", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p"]


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Packets(PacketTest):
    def start_logged(self, *args, key="cam"):
        """An ingester whose log is a file."""
        self.log = self.path("ingest.log")
        with open(self.log, "wb") as log:
            return self.ingest(*args, key=key, stderr=log)

    def read_log(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read()

    def wait_for_log(self, words, count=1):
        self.wait_for(lambda: self.read_log().count(words) >= count, words)

    def test_frames_name_their_packets(self):
        for name, video, args in (("b.mp4", B_FRAMES, ()), ("a.mkv", PLAIN, ("--threads", "1"))):
            source = self.clip(name, video, ["aac"], seconds=1)
            reader = self.framelog()
            lister = self.start("packets", "cam", "--kept", "--json", "--wait", "20")
            self.finish(self.ingest(source, "--policy", "wait", "--ack-timeout-ms", "20000",
                                    "--wait-subscribers", "2", "--realtime", *args))
            frames = parse_frames(self.finish(reader)[0].decode())
            packets = self.parse_list(self.finish(lister)[0])
            self.assertEqual(len(frames), 25)
            self.assertEqual([p["seq"] for p in packets], list(range(len(packets))))
            for frame in frames:
                self.assertTrue(frame.flags & PACKET)
                packet = packets[frame.packet]
                self.assertEqual(packet["codec"], "h264")
                self.assertEqual(packet["pts"], frame.pts_ns)
            self.assertEqual(len({f.packet for f in frames}), 25)

    def parse_list(self, out):
        import json
        return [json.loads(line) for line in out.decode().splitlines()]

    def test_no_packets(self):
        source = self.ingest(self.clip("a.mp4", PLAIN), "--realtime", "--loop", "--no-packets")
        reader = self.framelog(3)
        frames = parse_frames(self.finish(reader)[0].decode())
        self.assertEqual([f for f in frames if f.flags & PACKET], [])
        _, err = self.run_tool("packets", "cam", code=1)
        self.assertIn("packets", err)
        self.end(source)

    def test_video_alone(self):
        source = self.ingest(self.clip("a.mp4", PLAIN, ["aac"]), "--realtime", "--loop",
                             "--packet-streams", "video")
        packets, _ = self.list_packets("--count", "30")
        self.assertEqual({p["codec"] for p in packets}, {"h264"})
        self.end(source)

    def test_the_list(self):
        source = self.ingest(self.clip("a.mp4", PLAIN, ["aac"]), "--realtime", "--loop")
        out, _ = self.run_tool("packets", "cam", "--count", "5")
        lines = out.splitlines()
        self.assertEqual(lines[0], "# stream 0: video h264 320x240, 25.00 a second, length")
        self.assertIn("# stream 1: audio aac 44100 Hz, 1 channels", lines[1])
        self.assertEqual(len([line for line in lines if not line.startswith("#")]), 5)
        packets, _ = self.list_packets("--count", "40", "--stream", "0")
        self.assertTrue(packets[0]["key"])
        self.assertEqual({p["stream"] for p in packets}, {0})
        self.assertEqual([p["dts"] for p in packets], sorted(p["dts"] for p in packets))
        began = time.monotonic()
        self.list_packets("--duration", "0.5")
        self.assertLess(time.monotonic() - began, 2)
        self.end(source)

    def test_a_list_that_is_not_read(self):
        """The one who reads it is told at the end, and the publisher does not wait."""
        source = self.ingest(self.heavy_clip("a.ts"), "--loop", "--decode", "off", "--packet-keep",
                             "1")
        lister = self.stalled("packets", "cam", "--json")
        text = self.read_some(lister, 20000)
        self.end(source)
        out, err = self.finish(lister)
        packets = [json.loads(line) for line in (text + out).splitlines()]
        lost = [p for p in packets if p["lost"]]
        self.assertGreater(len(lost), 0)
        for packet in lost:
            self.assertTrue(packet["key"])
        # Each gap in the numbers is told, once and by its length.
        for before, after in zip(packets, packets[1:]):
            self.assertEqual(after["lost"], after["seq"] - before["seq"] - 1)
        total = sum(p["lost"] for p in lost)
        self.assertIn(f"{total} packets were lost: the reader of this list was too slow",
                      err.decode())

    def test_loops_go_on(self):
        source = self.ingest(self.clip("a.mp4", B_FRAMES, ["aac"], seconds=1), "--realtime", "--loop")
        packets, _ = self.list_packets("--duration", "2.5")
        for stream in (0, 1):
            mine = [p for p in packets if p["stream"] == stream]
            dts = [p["dts"] for p in mine]
            self.assertEqual(dts, sorted(set(dts)))
            breaks = [p for p in mine if p["discontinuity"]]
            self.assertGreaterEqual(len(breaks), 1)
            self.assertLess(max(b - a for a, b in zip(dts, dts[1:])), 0.1e9)
        self.assertEqual(len({p["generation"] for p in packets}), 1)
        self.end(source)

    def test_a_packet_that_is_too_large(self):
        # Noise in the second picture alone: more than 4 MiB without loss.
        source = self.clip("a.mkv", ["ffv1", "-pix_fmt", "yuv444p"], size="1920x1080", seconds=1,
                           rate="5", filters=",format=yuv444p,noise=alls=100:allf=t:enable='eq(n,1)'",
                           picture="color")
        reader = self.framelog()
        ingest = self.ingest(source, "--wait-subscribers", "2", "--policy", "wait",
                             "--ack-timeout-ms", "20000", "--realtime")
        packets, _ = self.list_packets("--kept", "--wait", "20")
        _, err = self.finish(ingest)
        self.assertEqual(len(parse_frames(self.finish(reader)[0].decode())), 5)
        self.assertIn(b"is left out: at most", err)
        self.assertIn(b"4 shared; 1 too large", err)
        self.assertEqual(len(packets), 4)
        self.assertEqual([p["discontinuity"] for p in packets], [False, True, False, False])

    def test_raw_video_has_no_packets(self):
        source = self.ingest("testsrc2=size=64x48:rate=25", "--input-format", "lavfi", "--realtime")
        self.finish(self.framelog(3))
        _, err = self.run_tool("packets", "cam", code=1)
        self.assertIn("packets", err)
        self.end(source)

    def test_without_decoding(self):
        source = self.start_logged(self.clip("a.mp4", PLAIN, ["aac"]), "--realtime", "--loop",
                                   "--decode", "off")
        self.list_packets("--count", "20")
        _, err = self.run_tool("sub", "cam", "--frames", "1", code=1)
        self.assertIn("packets", err)
        self.end(source)
        self.assertIn("without decoding", self.read_log())
        for args, words in ((("--no-packets",), "nothing to share"), (("--size", "64x48"), "--size"),
                            (("--fps", "5"), "--fps")):
            _, err = self.run_tool("ingest", "a.mp4", "--key", "cam", "--decode", "off", *args,
                                   code=2)
            self.assertIn(words, err)

    def test_sound_alone_without_decoding(self):
        path = self.path("a.m4a")
        self.ffmpeg("-f", "lavfi", "-i", "sine=duration=3", "-c:a", "aac", path)
        recorder = self.record(self.path("b.mkv"), "--pre-roll", "3600")
        self.finish(self.ingest(path, "--realtime", "--wait-subscribers", "1", "--decode", "off"))
        self.finish(recorder)
        self.same_packets(self.packets_of(self.path("b.mkv")), self.packets_of(path))

    def test_on_demand(self):
        path = self.clip("a.mkv", ["libx264", "-bf", "2", "-g", "100", "-pix_fmt", "yuv420p"],
                         seconds=4, size="640x360")
        expected = self.decoded_md5(path, "yuv420p")
        source = self.start_logged(path, "--realtime", "--loop", "--decode", "on-demand",
                                   "--on-demand-stop", "0.5")
        self.wait_for_log("decoding pauses")
        # A reader of packets does not make it decode.
        before = cpu_seconds(source)
        self.list_packets("--duration", "1.5")
        idle = cpu_seconds(source) - before
        self.assertLess(idle, 0.1)
        self.assertNotIn("somebody reads", self.read_log())
        # A reader of frames gets one at once, in the middle of a group of pictures that takes 4 s.
        began = time.monotonic()
        first = parse_frames(self.finish(self.framelog(1))[0].decode())[0]
        self.assertLess(time.monotonic() - began, 1)
        self.assertIn(first.md5, expected)
        self.assertTrue(first.flags & DISCONTINUITY)
        self.assertGreater(first.pts_ns, 1e9)
        frames = parse_frames(self.finish(self.framelog(40))[0].decode())
        self.assertEqual([f for f in frames if f.md5 not in expected], [])
        self.wait_for_log("decoding pauses", 2)
        # Whoever comes now gets nothing that is old.
        self.list_packets("--duration", "1")
        newest, = self.list_packets("--count", "1", "--stream", "0")[0]
        reader = self.start("snapshot", "cam", self.path("now.png"))
        self.finish(reader)
        late = parse_frames(self.finish(self.framelog(1))[0].decode())[0]
        self.assertGreater(late.pts_ns, frames[-1].pts_ns + 0.5e9)
        self.assertGreaterEqual(late.packet, newest["seq"])
        self.end(source)

    def test_on_demand_over_the_ends_of_a_loop(self):
        """The file is opened again more often than it takes to see that nobody reads."""
        path = self.clip("short.mp4", PLAIN, seconds=0.4)
        source = self.start_logged(path, "--realtime", "--loop", "--decode", "on-demand",
                                   "--on-demand-stop", "1.2")
        self.wait_for_log("decoding pauses")
        self.finish(self.framelog(40))
        self.wait_for_log("decoding pauses", 2)
        self.assertEqual(self.read_log().count("somebody reads"), 1)
        self.end(source)

    def test_on_demand_for_those_that_were_there_first(self):
        path = self.clip("a.mp4", PLAIN, seconds=1)
        reader = self.framelog(30)
        source = self.start_logged(path, "--realtime", "--loop", "--decode", "on-demand")
        frames = parse_frames(self.finish(reader)[0].decode())
        self.assertEqual([f.missed for f in frames], [0] * 30)
        self.end(source)


class Cat(PacketTest):
    def live(self, *args, video=tuple(PLAIN)):
        path = self.clip("a.mp4", list(video), ["aac"], seconds=4)
        return path, self.ingest(path, "--realtime", "--loop", "--decode", "off", *args)

    def run_of(self, whole, part):
        """`part` is in `whole`, played again and again, without a gap."""
        start = whole.index(part[0])
        self.assertEqual(part, [whole[(start + i) % len(whole)] for i in range(len(part))])

    def test_to_a_pipe(self):
        path, source = self.live()
        for form, other in (("mpegts", "r.ts"), ("nut", "r.nut"), ("annexb", "r.h264")):
            out, _ = self.finish(self.start("cat", "cam", "--packets", "--format", form, "--seconds",
                                            "1.5"))
            copy = self.path("cat." + form)
            with open(copy, "wb") as file:
                file.write(out)
            if form == "annexb":
                self.ffmpeg("-i", path, "-map", "0:v", "-c", "copy", self.path(other))
                reference = self.packets_of(self.path(other))
            else:
                reference = self.remuxed(path, other)
            packets = self.packets_of(copy)
            self.assertEqual(len(packets), 1 if form == "annexb" else 2)
            for index in packets:
                # The last packets may be cut off by the end of the time.
                self.assertGreater(len(packets[index]), 25)
                self.run_of([p.hash for p in reference[index]],
                            [p.hash for p in packets[index]][:-2])
        self.end(source)

    def test_a_pipe_that_is_not_read(self):
        source = self.ingest(self.heavy_clip("a.ts"), "--loop", "--decode", "off", "--packet-keep",
                             "1")
        cat = self.stalled("cat", "cam", "--packets", "--format", "nut")
        data = self.read_some(cat, 4 << 20)
        self.end(source)
        out, err = self.finish(cat)
        self.assertRegex(err.decode(), r"[1-9]\d* packets were lost: the reader was too slow")
        copy = self.path("cat.nut")
        with open(copy, "wb") as file:
            file.write(data + out)
        # NUT keeps presentation times alone; ffmpeg makes the others up from the packet before.
        pts = [p.pts for p in self.packets_of(copy)[0]]
        self.assertEqual(pts, sorted(set(pts)))
        self.assertGreater(max(b - a for a, b in zip(pts, pts[1:])), 0.5)

    def test_a_reader_that_goes_away(self):
        _, source = self.live()
        cat = self.start("cat", "cam", "--packets")
        cat.stdout.read(1000)
        cat.stdout.close()
        cat.stdout = None
        self.finish(cat, 1)
        self.end(source)

    def connect(self, path, seconds):
        return subprocess.Popen(
            ["ffmpeg", "-hide_banner", "-loglevel", "error", "-i", "unix:" + path, "-t", str(seconds),
             "-map", "0", "-c", "copy", "-f", "framehash", "-hash", "md5", "-"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_to_a_socket(self):
        path, source = self.live()
        name = self.path("cam.ts")
        cat = self.start("cat", "cam", "--packets", "--format", "mpegts", "--to", "unix:" + name)
        self.wait_for(lambda: os.path.exists(name), "the socket")
        self.assertEqual(stat.S_IMODE(os.stat(name).st_mode), 0o600)
        clients = [self.connect(name, 1.5) for _ in range(3)]
        hashes = {p.hash for p in self.remuxed(path, "r.ts")[0]}
        for client in clients + [self.connect(name, 1)]:
            out, err = client.communicate(timeout=20)
            self.assertEqual(client.returncode, 0, err)
            packets = parse_framehash(out.decode())
            self.assertEqual(len(packets), 2)
            self.assertGreater(len(packets[0]), 20)
            self.assertEqual([p for p in packets[0] if p.hash not in hashes], [])
        began = time.monotonic()
        self.end(cat)
        self.assertLess(time.monotonic() - began, PROMPT_S)
        self.assertFalse(os.path.exists(name))
        self.end(source)

    def test_a_slow_client_is_dropped(self):
        path = self.heavy_clip("a.ts")
        source = self.ingest(path, "--loop", "--decode", "off", "--packet-keep", "1")
        name = self.path("cam.ts")
        cat = self.start("cat", "cam", "--packets", "--format", "mpegts", "--to", "unix:" + name)
        self.wait_for(lambda: os.path.exists(name), "the socket")
        with socket.socket(socket.AF_UNIX) as slow:
            slow.settimeout(10)
            slow.connect(name)
            self.wait_until_overtaken()
            try:
                while slow.recv(65536):
                    pass
            except ConnectionResetError:
                pass
        _, err = self.end(cat)
        self.assertRegex(err, b"dropped: it (reads too slowly|does not read)")
        self.end(source)

    def test_names_of_sockets(self):
        _, source = self.live()
        name = self.path("s")
        open(name, "wb").close()
        _, err = self.run_tool("cat", "cam", "--packets", "--to", "unix:" + name, code=1)
        self.assertIn("remove it", err)
        os.unlink(name)
        # One that a dead process has left is taken over.
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(name)
        cat = self.start("cat", "cam", "--packets", "--to", "unix:" + name)
        self.wait_for(lambda: self.answers(name), "the socket")
        _, err = self.run_tool("cat", "cam", "--packets", "--to", "unix:" + name, code=1)
        self.assertIn("in use", err)
        self.assertTrue(self.answers(name))
        self.end(cat)
        self.end(source)

    def answers(self, name):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(name) == 0

    def test_the_publisher_goes_away(self):
        _, source = self.live()
        name = self.path("s")
        cat = self.start("cat", "cam", "--packets", "--to", "unix:" + name)
        pipe = self.start("cat", "cam", "--packets", "--format", "mpegts", stdout=subprocess.DEVNULL)
        self.wait_for(lambda: os.path.exists(name), "the socket")
        client = self.connect(name, 100)
        time.sleep(1)
        self.end(source, number=signal.SIGTERM)
        self.finish(pipe)
        _, err = self.finish(cat)
        self.assertIn(b"the publisher has gone", err)
        out, _ = client.communicate(timeout=20)
        self.assertGreater(len(parse_framehash(out.decode())[0]), 10)

    def test_wrong_usage(self):
        for args, words in ((("--packets", "--format", "raw"), "nut, mpegts or annexb"),
                            (("--packets", "--frames", "3"), "--packets is not"),
                            (("--format", "mpegts"), "raw, y4m or nut"),
                            (("--to", "unix:x"), "--packets"),
                            (("--packets", "--to", "tcp:x"), "unix:PATH"),
                            (("--packets", "--to", "unix:" + "x" * 200), "at most")):
            _, err = self.run_tool("cat", "cam", *args, code=2)
            self.assertIn(words, err)

    def test_annex_b_of_another_codec(self):
        source = self.ingest(self.clip("a.mkv", ["mjpeg", "-pix_fmt", "yuvj420p"]), "--realtime",
                             "--loop")
        _, err = self.run_tool("cat", "cam", "--packets", "--format", "annexb", code=1)
        self.assertIn("H.264 and HEVC alone", err)
        _, err = self.run_tool("cat", "cam", "--packets", "--format", "annexb", "--to",
                               "unix:" + self.path("s"), code=1)
        self.assertIn("H.264 and HEVC alone", err)
        self.end(source)


if __name__ == "__main__":
    ingest_test.main()
