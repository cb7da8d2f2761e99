# SPDX-License-Identifier: LGPL-2.1-or-later
"""
Programs that load the library, when one of its allocations, or of what loads it, fails: they end, by
themselves, with an error or as if nothing had been, and never without a word. A sample of the
allocations of each.
"""
import os
import random
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))

from toolbox import TIMEOUT_S, ToolTest, main  # noqa: E402

FAIL_ALLOCATION = os.environ["FAIL_ALLOCATION_LIBRARY"]
PYTHON = os.environ.get("PYTHON")
WRAPPER = os.environ.get("CUFRAMES_FFMPEG")
GST_PLUGINS = os.environ.get("GST_PLUGINS")
SAMPLE = 12

READ_AND_PUBLISH = """
import cuframes
with cuframes.open("cam", timeout=20) as sub:
    kept = sub.next_frame(20000).hold()
    kept.copy().release()
    memoryview(kept.planes[0])
    kept.release()
cuframes.info("cam")
cuframes.list()
with cuframes.Publisher("own", 64, 48, "gray") as pub:
    pub.send(memoryview(bytes(64 * 48)).cast("B", (48, 64)))
    pub.enable_packets([cuframes.Stream(codec_name="h264")])
    pub.send_packet(b"packet", pts=1)
"""


class Loading(ToolTest):
    def setUp(self):
        super().setUp()
        self.part = "cuframes"
        self.source("cam", "--fps", "100")
        self.allocations = f"/tmp/allocations-{os.getpid()}"
        self.addCleanup(lambda: os.path.exists(self.allocations) and os.unlink(self.allocations))

    def tearDown(self):
        # Whatever they did, the channel is there.
        self.run_tool("sub", "cam", "--frames", "3")
        self.end(self.processes[0])

    def try_once(self, args, number):
        """Whether it ended with an error."""
        environment = dict(self.env, LD_PRELOAD=FAIL_ALLOCATION, ALLOCATIONS_OF=self.part,
                           FAIL_ALLOCATION=str(number), ALLOCATIONS=self.allocations)
        what = f"{args}: allocation {number} fails"
        try:
            done = subprocess.run(args, env=environment, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S,
                                  capture_output=True, check=False)
        except subprocess.TimeoutExpired as late:
            self.fail(f"{what}: it hangs: {late.stderr}")
        said = done.stdout + done.stderr
        self.assertGreaterEqual(done.returncode, 0, f"{what}: {said[-1000:]}")
        if number == 0:
            self.assertEqual(done.returncode, 0, f"{what}: {said[-1000:]}")
        if done.returncode:
            self.assertTrue(said.strip(), f"{what}, without a word")
        return done.returncode != 0, said.decode(errors="replace")

    def fail_some(self, *args):
        """What was said when it ended with an error."""
        # Twice: what is kept for the next time is there then.
        for _ in range(2):
            self.try_once(args, 0)
        with open(self.allocations, encoding="ascii") as file:
            count = int(file.read())
        self.assertGreater(count, 0)
        chosen = sorted(random.Random(count).sample(range(1, count + 1), min(SAMPLE, count)))
        tried = [self.try_once(args, number) for number in chosen]
        return [said for failed, said in tried if failed]

    @unittest.skipUnless(PYTHON, "the Python package is not built")
    def test_python(self):
        self.env.update(PYTHONPATH=os.environ["PYTHON_PACKAGE"], PYTHONDONTWRITEBYTECODE="1")
        errors = self.fail_some(PYTHON, "-c", READ_AND_PUBLISH)
        self.assertGreater(len(errors), 2)
        for said in errors:
            self.assertRegex(said.strip().splitlines()[-1], r"^(cuframes\.\w+|MemoryError)\b", said)

    @unittest.skipUnless(WRAPPER and shutil.which("ffmpeg"), "there is no FFmpeg")
    def test_ffmpeg(self):
        read = (WRAPPER, "-hide_banner", "-f", "cuframes", "-i", "cam", "-frames:v", "2", "-f", "null", "-")
        errors = self.fail_some(*read)
        errors += self.fail_some(WRAPPER, "-hide_banner", "-f", "lavfi", "-i", "testsrc2=size=64x48",
                                 "-frames:v", "2", "-f", "cuframes", "own")
        self.assertGreater(len(errors), 2)
        # What puts the formats into a stock FFmpeg.
        self.part = "ffmpeg-shim"
        for said in self.fail_some(*read):
            self.assertIn("cuframes-ffmpeg: out of memory", said)

    @unittest.skipUnless(GST_PLUGINS and shutil.which("gst-launch-1.0"), "there is no GStreamer")
    def test_gstreamer(self):
        self.env.update(GST_PLUGIN_PATH=GST_PLUGINS, GST_REGISTRY=self.allocations + ".registry")
        self.addCleanup(os.unlink, self.allocations + ".registry")
        errors = self.fail_some("gst-launch-1.0", "cuframessrc", "key=cam", "num-buffers=2", "!", "fakesink")
        errors += self.fail_some("gst-launch-1.0", "videotestsrc", "num-buffers=2", "!",
                                 "video/x-raw,width=64,height=48", "!", "cuframessink", "key=own")
        self.assertGreater(len(errors), 2)


if __name__ == "__main__":
    main()
