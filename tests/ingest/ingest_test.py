# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the tests of the ingester share: streams that ffmpeg makes, its decode of them to compare
with, and a subscriber that logs every frame.

Needs $CUFRAMES and $FRAMELOG. A test that needs a program or an encoder which is not there is
skipped.
"""
import collections
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))

from toolbox import CUFRAMES, TIMEOUT_S, ToolTest  # noqa: E402

FRAMELOG = os.environ["FRAMELOG"]
SKIPPED = 77
# A signal ends the ingester well within a second; the rest is for machines with much else to do.
PROMPT_S = 4

DISCONTINUITY, CORRUPT, GENERATION, KEY, PACKET, INTERLACED, TOP_FIELD_FIRST = (
    1 << bit for bit in range(7))
UNKNOWN, RECEIVED, CAMERA = 0, 1, 2

Frame = collections.namedtuple(
    "Frame",
    "seq missed pts_ns generation flags size format source capture_ns published_ns md5 packet",
)
Summary = collections.namedtuple("Summary", "published copied dropped left_out damaged reconnects")


def parse_frames(text):
    frames = []
    for line in text.splitlines():
        (seq, missed, pts, generation, flags, size, name, source, capture, published, md5,
         packet) = line.split()
        frames.append(
            Frame(int(seq), int(missed), int(pts), int(generation), int(flags), size, name,
                  int(source), int(capture), int(published), md5,
                  None if packet == "-" else int(packet))
        )
    return frames


def parse_summary(text):
    found = re.search(
        r"end: (\d+) frames published, (\d+) of them copied; (\d+) dropped, (\d+) left out, "
        r"(\d+) damaged; (\d+) reconnects",
        text,
    )
    assert found, "no summary in: " + text
    return Summary(*map(int, found.groups()))


@functools.lru_cache(maxsize=None)
def encoders():
    text = subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], capture_output=True, text=True,
                          check=True).stdout
    return {line.split()[1] for line in text.splitlines() if len(line.split()) > 1}


class IngestTest(ToolTest):
    def setUp(self):
        super().setUp()
        # A GPU is for those tests that bring one.
        self.env["CUFRAMES_LIBCUDA"] = "/nonexistent/libcuda.so.1"
        self.work = tempfile.mkdtemp(prefix="cfi", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.work)

    def path(self, name):
        return os.path.join(self.work, name)

    def ffmpeg(self, *args):
        """Runs ffmpeg, which must succeed; gives its standard output."""
        done = subprocess.run(["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", *args],
                              capture_output=True, stdin=subprocess.DEVNULL, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr.decode(errors="replace"))
        return done.stdout

    def stream(self, name, encoder, *options, size="320x240", seconds=2, rate=25,
               picture="testsrc2"):
        """A video made by an encoder; its path."""
        if encoder not in encoders():
            self.skipTest(f"ffmpeg has no encoder {encoder}")
        path = self.path(name)
        self.ffmpeg("-f", "lavfi", "-i", f"{picture}=size={size}:rate={rate}:duration={seconds}",
                    "-threads", "2", "-c:v", encoder, *options, path)
        return path

    def decoded_md5(self, path, pix_fmt, *filters, flags="0"):
        """What ffmpeg makes of it: one md5 for each picture."""
        text = self.ffmpeg("-flags", flags, "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", *filters,
                           "-pix_fmt", pix_fmt, "-f", "framemd5", "-")
        return [line.split(b",")[-1].strip().decode() for line in text.splitlines()
                if not line.startswith(b"#")]

    def ingest(self, *args, key="cam", **options):
        return self.start("ingest", *args, "--key", key, **options)

    def framelog(self, *args, key="cam"):
        return self.start(key, *map(str, args), program=FRAMELOG)

    def log_all(self, *args, code=0):
        """Every frame that `cuframes ingest ARGS` publishes, and its summary."""
        reader = self.framelog()
        source = self.ingest(*args, "--policy", "wait", "--ack-timeout-ms", "20000",
                             "--wait-subscribers", "1")
        err = self.finish(source, code)[1].decode()
        out = self.finish(reader)[0].decode()
        return parse_frames(out), parse_summary(err), err


def main():
    if not shutil.which("ffmpeg"):
        print("ffmpeg is not there", file=sys.stderr)
        sys.exit(SKIPPED)
    result = unittest.main(exit=False, verbosity=2).result
    if result.testsRun and len(result.skipped) == result.testsRun:
        sys.exit(SKIPPED)
    sys.exit(not result.wasSuccessful())
