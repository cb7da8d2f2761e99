# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the tests of packets share: clips with sound that ffmpeg makes, what is in a container, packet
for packet, and recorders.
"""
import atexit
import collections
import fcntl
import fractions
import functools
import json
import os
import select
import shutil
import subprocess
import tempfile

from ingest_test import IngestTest, encoders

Packet = collections.namedtuple("Packet", "dts pts size hash")

# Tolerance of times: Matroska counts in milliseconds.
TICK_S = 0.0011


def parse_framehash(text):
    """For each stream a list of its packets, times in seconds."""
    time_bases, streams = {}, {}
    for line in text.splitlines():
        if line.startswith("#tb "):
            index, base = line[4:].split(":")
            time_bases[int(index)] = fractions.Fraction(base.strip())
        elif line and not line.startswith("#"):
            index, dts, pts, _, size, digest = (word.strip() for word in line.split(",")[:6])
            base = time_bases[int(index)]
            streams.setdefault(int(index), []).append(
                Packet(float(int(dts) * base), float(int(pts) * base), int(size), digest))
    return streams


@functools.lru_cache(maxsize=None)
def clips_directory():
    directory = tempfile.mkdtemp(prefix="cfp", dir="/tmp")
    atexit.register(shutil.rmtree, directory)
    return directory


@functools.lru_cache(maxsize=None)
def made_clip(extension, source, video, sound, audio):
    """Each clip is encoded once; its path."""
    path = os.path.join(clips_directory(), f"{len(os.listdir(clips_directory()))}{extension}")
    sound_input = ["-f", "lavfi", "-i", sound] if sound else []
    subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i", source,
                    *sound_input, "-threads", "2", "-c:v", *video,
                    *(["-c:a", *audio] if audio else []), path],
                   stdin=subprocess.DEVNULL, timeout=120, check=True)
    return path


class PacketTest(IngestTest):
    def clip(self, name, video, audio=None, size="320x240", seconds=2, rate="25", filters="",
             picture="testsrc2"):
        """A clip with picture and sound; `video` and `audio` are lists of ffmpeg's options."""
        for codec in (video[0], audio[0] if audio else "aac"):
            if codec not in encoders():
                self.skipTest(f"ffmpeg has no encoder {codec}")
        source = f"{picture}=size={size}:rate={rate}:duration={seconds}{filters}"
        sound = f"sine=frequency=440:duration={seconds}" if audio else None
        made = made_clip(os.path.splitext(name)[1], source, tuple(video), sound, tuple(audio or ()))
        # A copy: some tests damage it.
        return shutil.copyfile(made, self.path(name))

    def heavy_clip(self, name):
        """A second of megabytes: played as fast as can be, it soon fills any ring."""
        return self.clip(name, ["mpeg2video", "-q:v", "1", "-g", "12", "-pix_fmt", "yuv420p"],
                         seconds=1, size="1280x720", filters=",noise=alls=60:allf=t")

    def wait_until_overtaken(self):
        """Until none of the packets that come now is kept any more."""
        first = self.list_packets("--count", "1")[0][0]["seq"]
        self.wait_for(lambda: self.list_packets("--kept", "--count", "1")[0][0]["seq"] > first + 100,
                      "other packets")

    def stalled(self, *args):
        """A command whose output nobody reads until it has been overtaken."""
        process = self.start(*args, bufsize=0)
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
        select.select([process.stdout], [], [], 10)
        self.wait_until_overtaken()
        return process

    def read_some(self, process, size):
        data = b""
        while len(data) < size:
            piece = process.stdout.read(65536)
            self.assertTrue(piece, "the output has ended")
            data += piece
        return data

    def packets_of(self, path, *options):
        """What is in a container, as ffmpeg reads it."""
        return parse_framehash(self.ffmpeg(*options, "-i", path, "-map", "0", "-c", "copy", "-f",
                                           "framehash", "-hash", "md5", "-").decode())

    def remuxed(self, path, name):
        """The clip in another container, by ffmpeg itself: what a recording is to be like."""
        copy = self.path(name)
        if path != copy:
            self.ffmpeg("-i", path, "-map", "0", "-c", "copy", copy)
        return self.packets_of(copy)

    def same_packets(self, recorded, source, times=True):
        self.assertEqual(sorted(recorded), sorted(source))
        for index, packets in source.items():
            self.assertEqual([p.hash for p in recorded[index]], [p.hash for p in packets],
                             f"stream {index}")
        if times:
            self.same_times(recorded, source)

    def same_times(self, recorded, source):
        """Each packet has its time, but for a start that all streams share."""
        start = recorded[0][0].pts - source[0][0].pts
        for index, packets in source.items():
            for was, now in zip(packets, recorded[index]):
                self.assertAlmostEqual(now.pts - was.pts, start, delta=2 * TICK_S,
                                       msg=f"stream {index}")

    def record(self, path, *args, key="cam", **options):
        return self.start("record", key, path, *args, **options)

    def record_whole(self, source, *names, ingest=()):
        """Plays a file once and records all of it under each of the names; their paths."""
        paths = [self.path(name) for name in names]
        recorders = [self.record(path, "--pre-roll", "3600") for path in paths]
        ingest = self.ingest(source, "--realtime", "--wait-subscribers", str(len(paths)), *ingest)
        for recorder in recorders:
            self.finish(recorder)
        self.finish(ingest)
        return paths

    def decode(self, path):
        """Decodes everything; what ffmpeg complains about."""
        done = subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-i", path, "-map",
                               "0", "-f", "null", "-"], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        # Decoded sound can be a sample longer than its packet says; packets are compared elsewhere.
        return "".join(line for line in done.stderr.splitlines(True)
                       if "non monotonically increasing dts to muxer" not in line)

    def probe(self, path, *entries):
        out = subprocess.run(["ffprobe", "-v", "error", "-of", "json", *entries, path],
                             capture_output=True, text=True, timeout=60, check=True).stdout
        return json.loads(out)

    def size_of(self, path):
        video = next(s for s in self.probe(path, "-show_streams")["streams"]
                     if s["codec_type"] == "video")
        return f"{video['width']}x{video['height']}"

    def list_packets(self, *args, key="cam"):
        """Every packet that `cuframes packets` lists, and what it says at the end."""
        out, err = self.finish(self.start("packets", key, "--json", *args))
        return [json.loads(line) for line in out.decode().splitlines()], err.decode()
