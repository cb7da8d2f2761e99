# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What the tests of the GStreamer plug-in share: pipelines of gst-launch-1.0 with the plug-in of this
build, and checksums of pictures to compare with what the command sees.

Needs $CUFRAMES and $GST_PLUGINS, the folder of the plug-in; $GST_PRELOAD is what a pipeline must
load first when the plug-in is built with a sanitizer.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))

from toolbox import TIMEOUT_S, ToolTest  # noqa: E402

SKIPPED = 77
GST_LAUNCH = shutil.which("gst-launch-1.0")
# One registry for all tests of this folder: it is written once.
REGISTRY = os.path.join(tempfile.gettempdir(), f"cuframes-gst-registry-{os.getuid()}-"
                        f"{zlib.crc32(os.environ['GST_PLUGINS'].encode()):08x}")


def has_element(name):
    return subprocess.run(["gst-inspect-1.0", "--exists", name], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def picture_size(name, width, height):
    """Bytes of a picture in GStreamer's own layout, for widths that are multiples of 8."""
    bits = {"NV12": 12, "I420": 12, "RGB": 24, "BGR": 24, "RGBA": 32, "BGRA": 32, "GRAY8": 8,
            "GRAY16_LE": 16, "P010_10LE": 24, "Y444": 24}[name]
    return width * height * bits // 8


class GstTest(ToolTest):
    def setUp(self):
        super().setUp()
        self.work = tempfile.mkdtemp(prefix="cfg", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.work)
        self.env.update(GST_PLUGIN_PATH=os.environ["GST_PLUGINS"], GST_REGISTRY=REGISTRY)

    def path(self, name):
        return os.path.join(self.work, name)

    def need_elements(self, *names):
        for name in names:
            if not has_element(name):
                self.skipTest(f"GStreamer's element {name} is not there")

    def pipeline_env(self):
        """The environment of a program that loads the plug-in."""
        env = dict(self.env)
        if os.environ.get("GST_PRELOAD"):
            # What GStreamer and GLib keep to the end is not ours to judge.
            env.update(LD_PRELOAD=os.environ["GST_PRELOAD"],
                       ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0")
        return env

    def launch(self, description, *options, **more):
        """
        A pipeline that runs; -e: SIGINT ends it with EOS, once it plays. While a live source's first
        buffer waits in the sink for that, the EOS waits for the buffer and the bin for the EOS: a
        deadlock of GStreamer (1.22.0), with stock elements, too.
        """
        return self.start("-e", *options, *description.split(), program=GST_LAUNCH,
                          env=self.pipeline_env(), **more)

    def run_pipeline(self, description, *options, code=0):
        """A pipeline to its end; what it said."""
        process = self.launch(description, *options)
        out, err = self.finish(process, code)
        return (out + err).decode(errors="replace")

    def element_error(self, description):
        """What a pipeline says that fails."""
        process = self.launch(description)
        try:
            out, err = process.communicate(timeout=TIMEOUT_S / 2)
            self.assertNotEqual(process.returncode, 0, out + err)
        except subprocess.TimeoutExpired:
            # An error that comes before gst-launch waits for one (it is told in the streaming thread)
            # is printed, and does not end it: so it is with stock elements, too.
            process.kill()
            out, err = process.communicate()
            self.assertNotIn(b"Setting pipeline to NULL", out + err)
        text = (out + err).decode(errors="replace")
        self.assertIn("ERROR: from element", text)
        return text

    def split(self, path, size):
        """CRC-32 of each picture of a file of raw pictures."""
        with open(path, "rb") as file:
            data = file.read()
        self.assertEqual(len(data) % size, 0, "the file ends within a picture")
        return [zlib.crc32(data[i:i + size]) for i in range(0, len(data), size)]

    def checksums(self, path):
        """Of a file that 'cuframes sub --checksum' wrote: sequence number to CRC-32."""
        with open(path, encoding="ascii") as file:
            return {int(seq): int(sum_, 16) for seq, sum_ in map(str.split, file)}

    def reader(self, key, *args, name="sums"):
        return self.start("sub", key, "--mode", "order", "--checksum", self.path(name), *args)

    def check_restarts(self, text, count):
        """Of what identity says: the channel's numbers began again so often, each with DISCONT."""
        lines = [line for line in text.splitlines() if "chain" in line]
        numbers = [int(line.split(" offset: ")[1].split(",")[0]) for line in lines]
        restarts = [line for line, number, before in zip(lines[1:], numbers[1:], numbers)
                    if number <= before]
        self.assertEqual(len(restarts), count, numbers)
        for line in lines[:1] + restarts:
            self.assertIn("discont", line)

    def readers(self, key):
        """Who reads a channel; None while it is away."""
        process = self.start("info", key, "--json")
        out, _ = process.communicate(timeout=TIMEOUT_S)
        return json.loads(out)["subscribers"] if process.returncode == 0 else None

    def wait_for_reading(self, key, frames=5):
        """Until somebody reads the channel, and everybody has so many frames."""

        def reading():
            readers = self.readers(key)
            return readers and all(reader["received"] >= frames for reader in readers)

        self.wait_for(reading, f"a reader of {key} with {frames} frames")

    def wait_for_channel(self, key):
        self.wait_for(lambda: os.path.exists(f"{self.dir}/{key}.sock"), f"channel {key}")


def main():
    if not GST_LAUNCH or not has_element("videotestsrc"):
        print("gst-launch-1.0 or its base plug-ins are not there", file=sys.stderr)
        sys.exit(SKIPPED)
    result = unittest.main(exit=False, verbosity=2).result
    if result.testsRun and len(result.skipped) == result.testsRun:
        sys.exit(SKIPPED)
    sys.exit(not result.wasSuccessful())


__all__ = ["GstTest", "SKIPPED", "TIMEOUT_S", "has_element", "main", "picture_size"]
