# SPDX-License-Identifier: LGPL-2.1-or-later
"""
MPEG-TS for servers, over the interfaces that they have: MediaMTX ("source: unix+mpegts://PATH") listens on a
Unix socket and the feed connects to it; go2rtc ("exec:COMMAND") starts a command, takes the format from
the first bytes of its output, and closes the pipe when nobody looks any more. The servers' side is
played by a few lines here.
"""
import signal
import socket
import subprocess
import threading

from ffmpeg_test import FFmpegTest, main  # first: it finds the others
from ingest_test import CUFRAMES, PROMPT_S
from packet_test import PacketTest

TS_PACKET, SYNC = 188, 0x47
START_CODE = b"\0\0\0\1"


class Feeds(FFmpegTest, PacketTest):
    def camera(self, *options, seconds=2):
        clip = self.clip("a.mp4", ["libx264", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p"], ["aac"],
                         seconds=seconds)
        return clip, lambda readers=1: self.ingest(
            clip, "--realtime", "--decode", "off", "--wait-subscribers", str(readers), "--packet-keep", "60",
            *options)

    def listen(self, enough=1 << 40):
        """As net.Listen("unix") and one Accept: a path, and what came, when the feed has ended or that
        is enough."""
        path, got = self.path("feed.sock"), []
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(server.close)
        server.bind(path)
        server.listen(1)
        server.settimeout(30)

        def read():
            with server.accept()[0] as feed:
                while sum(map(len, got)) < enough and (data := feed.recv(65536)):
                    got.append(data)

        thread = threading.Thread(target=read)
        thread.start()

        def end():
            thread.join(30)
            return b"".join(got)

        return path, end

    def same_stream(self, data, clip):
        """A transport stream with the clip's packets."""
        self.assertEqual(len(data) % TS_PACKET, 0)
        self.assertEqual({data[i] for i in range(0, len(data), TS_PACKET)}, {SYNC})
        path = self.path("feed.ts")
        with open(path, "wb") as file:
            file.write(data)
        got, wanted = self.packets_of(path), self.remuxed(clip, "reference.ts")
        for index, packets in wanted.items():
            early = len(packets) - len(got[index])
            self.assertIn(early, range(3 if index else 1))
            self.assertEqual([p.hash for p in got[index]], [p.hash for p in packets[early:]])
            for was, now in zip(packets[early:], got[index]):
                self.assertAlmostEqual(now.pts - was.pts, got[0][0].pts - wanted[0][0].pts, delta=0.003)

    def test_mediamtx_listens_and_ffmpeg_connects(self):
        path, end = self.listen()
        clip, start = self.camera()
        feed = self.start_ff("-open_timeout", "20", "-copyts", "-i", "cuframes_packets://cam?start=oldest",
                             "-map", "0", "-c", "copy", "-f", "mpegts", "unix:" + path)
        source = start()
        self.finish(feed)
        self.finish(source)
        self.same_stream(end(), clip)

    def test_a_server_that_goes_ends_the_feed(self):
        path, end = self.listen(enough=100000)
        _, start = self.camera("--loop")
        feed = self.start_ff("-open_timeout", "20", "-i", "cuframes_packets://cam", "-map", "0", "-c", "copy",
                             "-f", "mpegts", "unix:" + path)
        source = start()
        _, err = feed.communicate(timeout=20)
        self.assertNotEqual(feed.returncode, 0)
        self.assertIn("Broken pipe", err.decode())
        self.assertGreaterEqual(len(end()), 100000)
        self.end(source)

    def test_go2rtc_reads_the_output_of_cat(self):
        clip, start = self.camera()
        cat = self.start("cat", "cam", "--packets", "--format", "mpegts", "--wait", "20")
        source = start()
        out, _ = self.finish(cat)
        self.finish(source)
        self.assertEqual(out[0], SYNC)
        self.same_stream(out, clip)

    def test_go2rtc_knows_annex_b_by_its_first_bytes(self):
        _, start = self.camera()
        cat = self.start("cat", "cam", "--packets", "--format", "annexb", "--wait", "20")
        source = start()
        out, _ = self.finish(cat)
        self.finish(source)
        self.assertEqual(out[:4], START_CODE)

    def test_go2rtc_closes_the_pipe(self):
        _, start = self.camera("--loop")
        source = start(0)
        cat = subprocess.Popen([CUFRAMES, "cat", "cam", "--packets", "--format", "mpegts", "--wait", "20"],
                               env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
        self.assertEqual(cat.stdout.read(TS_PACKET)[0], SYNC)
        cat.stdout.close()
        # Of itself, by the next write; one that is asked to end does so, too.
        self.assertIsNotNone(cat.wait(PROMPT_S))
        cat = self.start("cat", "cam", "--packets", "--format", "mpegts", "--wait", "20")
        self.wait_until_it_catches(cat, signal.SIGINT)
        cat.send_signal(signal.SIGINT)
        cat.communicate(timeout=PROMPT_S)
        self.end(source)


if __name__ == "__main__":
    main()
