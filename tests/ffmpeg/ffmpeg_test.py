# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the tests of the FFmpeg integration share: the FFmpeg under test, and what it says.

$FFMPEG_KIND is "stock" (the system's tools through cuframes-ffmpeg, in $CUFRAMES_FFMPEG) or
"patched" (the programs in the folder $FFMPEG_FOLDER, which ./dev ffmpeg builds; skipped without).
Streams and the direct decode to compare with are made by the system's ffmpeg.
"""
import collections
import fractions
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "ingest"))

import ingest_test  # noqa: E402

KIND = os.environ["FFMPEG_KIND"]
FOLDER = os.environ.get("FFMPEG_FOLDER", "")

# One picture as framemd5 shows it: seconds, bytes, checksum.
Picture = collections.namedtuple("Picture", "time size md5")
Closing = collections.namedtuple("Closing", "given copied missed")


def tool(name):
    """The words that start ffmpeg or ffprobe."""
    if KIND == "stock":
        return [os.environ["CUFRAMES_FFMPEG"], name]
    return [os.path.join(FOLDER, name)]


def parse_framemd5(text):
    base, pictures = None, []
    for line in text.splitlines():
        found = re.match(r"#tb 0: (\d+)/(\d+)", line)
        if found:
            base = fractions.Fraction(int(found[1]), int(found[2]))
        if line and not line.startswith("#"):
            _, _, pts, _, size, md5 = (word.strip() for word in line.split(","))
            pictures.append(Picture(int(pts) * base, int(size), md5))
    return pictures


class FFmpegTest(ingest_test.IngestTest):
    def start_ff(self, *args, name="ffmpeg", level="info", **options):
        words = [*tool(name), "-hide_banner", "-loglevel", level]
        if name == "ffmpeg":
            words += ["-nostdin", "-nostats", "-y"]
        return self.start(*words[1:], *args, program=words[0], **options)

    def run_ff(self, *args, code=0, **options):
        """Gives (standard output, standard error) as text."""
        out, err = self.finish(self.start_ff(*args, **options), code)
        return (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace")

    def probe(self, *args):
        out, _ = self.run_ff("-of", "json", *args, name="ffprobe", level="error")
        return json.loads(out)

    def start_reading(self, url, *options, before=(), **more):
        """Reads a channel that may have to come first; its pictures are for end_reading()."""
        return self.start_ff("-open_timeout", "20", *before, "-i", url, "-fps_mode",
                             "passthrough", "-copyts", "-enc_time_base", "-1", *options, "-f",
                             "framemd5", "-", **more)

    def end_reading(self, process, code=0):
        """Gives the pictures and what was said."""
        out, err = self.finish(process, code)
        return parse_framemd5(out.decode()), err.decode(errors="replace")

    def read_ingested(self, path, *options, before=(), ingest=()):
        """What a reader gets of `cuframes ingest PATH`, nothing lost."""
        reader = self.start_reading("cuframes://cam?timeline=channel", *options, before=before,
                                    level="verbose")
        source = self.ingest(path, "--policy", "wait", "--ack-timeout-ms", "20000",
                             "--wait-subscribers", "1", *ingest)
        pictures, err = self.end_reading(reader)
        self.finish(source)
        return pictures, self.closing(err), err

    def closing(self, err):
        """The demuxer's own count."""
        found = re.search(r"(\d+) frames, (\d+) of them copied; (\d+) missed", err)
        self.assertTrue(found, "no closing line in: " + err)
        return Closing(*map(int, found.groups()))

    def direct(self, path, pix_fmt):
        """The system's own decode of a file."""
        return parse_framemd5(self.ffmpeg(
            "-copyts", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-enc_time_base",
            "-1", "-pix_fmt", pix_fmt, "-f", "framemd5", "-").decode())

    def held(self, key="cam"):
        """Frames that the readers of a channel hold, as its publisher sees it."""
        done = subprocess.run([ingest_test.CUFRAMES, "info", key, "--json"], env=self.env,
                              capture_output=True, timeout=ingest_test.TIMEOUT_S)
        if done.returncode:
            return -1
        return sum(one["held"] for one in json.loads(done.stdout)["subscribers"])


def main():
    if KIND == "patched" and not os.access(os.path.join(FOLDER, "ffmpeg"), os.X_OK):
        print(f"there is no {FOLDER}/ffmpeg: ./dev ffmpeg builds it", file=sys.stderr)
        sys.exit(ingest_test.SKIPPED)
    ingest_test.main()
