# SPDX-License-Identifier: LGPL-2.1-or-later
"""
That the benchmark works from end to end, with few samples: every figure is there, and the page is
made of them. How large the figures are is not looked at; that the paths which are to make no system
call make none is.

Needs $CUFRAMES, $BENCH_BUILD (the build folder) and $SANITIZED (not empty where a sanitizer's own
system calls would be found).
"""
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
CUFRAMES = os.environ["CUFRAMES"]
TIMEOUT_S = 100


def missing():
    """What the whole benchmark needs and this machine lacks, or None."""
    for program in ("ffmpeg", "gnuplot", "lscpu"):
        if not shutil.which(program):
            return f"no {program} here"
    if not importlib.util.find_spec("numpy"):
        return "no NumPy here"
    help_text = subprocess.run([CUFRAMES, "ingest", "--help"], capture_output=True, text=True,
                               timeout=TIMEOUT_S, check=False)
    return None if "--threads" in help_text.stdout else "built without FFmpeg's libraries"


class Bench(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="cfb", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir)

    def run_bench(self, *args, code=0):
        result = subprocess.run([CUFRAMES, "bench", *args], capture_output=True, text=True,
                                env=dict(os.environ, TMPDIR=self.dir), timeout=TIMEOUT_S,
                                check=False)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertEqual(os.listdir(self.dir), [], "left behind")
        return result

    def check_samples(self, samples):
        self.assertGreater(samples["samples"], 0)
        self.assertGreater(samples["p50_ns"], 0)
        self.assertGreaterEqual(samples["p99_ns"], samples["p50_ns"])

    def check_library(self, result):
        self.check_samples(result["wake"]["bare"])
        self.assertEqual(len(result["wake"]["channels"]), 5)
        for channel in result["wake"]["channels"]:
            self.check_samples(channel)
        self.assertEqual([c["subscribers"] for c in result["publish"]["channels"]],
                         [1, 8, 64, 256])
        for channel in result["publish"]["channels"]:
            self.check_samples(channel["paced"])
            self.check_samples(channel["flat_out"])
        for name in ("in_order", "newest", "empty"):
            self.check_samples(result["hold"][name])
        for name in ("attach", "first_frame"):
            self.check_samples(result["attach"][name])

    def check_python(self, result):
        self.assertGreater(result["wake"]["ratio"], 0)
        self.assertGreater(result["iteration"]["whole"]["p50"], 0)
        self.assertEqual(len(result["views"]), 3)
        for way in ("cuframes", "shared_memory", "shared_memory_copied", "queue", "pipe"):
            self.assertGreater(result["ways"][way]["flat_out"]["fps"], 0)
            self.assertGreater(result["ways"][way]["paced"]["latency_us"], 0)

    def test_json(self):
        result = json.loads(self.run_bench("--quick", "--json").stdout)
        self.check_library(result)
        if not os.environ["SANITIZED"]:
            self.assertNotEqual(result["hold"]["system_calls"], "some")
            self.assertNotEqual(result["publish"]["system_calls"], "some")

    def test_table(self):
        lines = self.run_bench("--quick", "--only", "hold", "--only", "attach").stdout.splitlines()
        self.assertEqual(len(lines), 6)
        self.assertIn("hold and release", lines[1])
        self.assertIn("attach", lines[-1])

    def test_wrong_usage(self):
        self.assertIn("no measure", self.run_bench("--only", "luck", code=2).stderr)
        self.run_bench("more", code=2)
        self.run_bench("--runtime-dir", "/" + "x" * 200, code=1)

    def test_page(self):
        reason = missing()
        if reason:
            self.skipTest(reason)
        results = os.path.join(self.dir, "results.json")
        docs = os.path.join(self.dir, "docs")
        subprocess.run([sys.executable, os.path.join(HERE, "run.py"), "--quick", "--build",
                        os.environ["BENCH_BUILD"], "--out", results], timeout=TIMEOUT_S * 2,
                       check=True)
        with open(results, encoding="utf-8") as file:
            result = json.load(file)
        self.check_library(result["library"])
        self.assertEqual([t["threads"] for t in result["decoding"]["threads"]], [1, 2])
        for way in ("floor", "cuframes", "python", "socket"):
            self.assertGreater(result["sharing"]["flat_out"][way]["writer_cpu_us"], 0)
        for ways in result["ffmpeg_read"].values():
            self.assertTrue(all(one["fps"] > 0 for one in ways.values()))
        if result["python"]:
            self.check_python(result["python"])
        subprocess.run([sys.executable, os.path.join(HERE, "report.py"), results, docs],
                       timeout=TIMEOUT_S, check=True)
        with open(os.path.join(docs, "benchmarks.md"), encoding="utf-8") as file:
            page = file.read()
        self.assertIsNone(re.search(r"@[A-Z_]+@|^@@", page, re.M))
        for plot in ("wake", "publish", "sharing"):
            self.assertIn(f"(benchmarks/{plot}.svg)", page)
            with open(os.path.join(docs, "benchmarks", plot + ".svg"), encoding="utf-8") as file:
                self.assertIn("</svg>", file.read())

    def test_every_target_has_a_note(self):
        sys.path.insert(0, HERE)
        import report  # pylint: disable=import-outside-toplevel
        notes = report.read_template()[1]
        self.assertEqual(set(notes), set(report.TARGETS))
        for text in notes.values():
            self.assertGreater(len(text), 80)


if __name__ == "__main__":
    unittest.main(verbosity=2)
