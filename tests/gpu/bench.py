#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures channels in GPU memory on this machine, and writes the figures and a page about them.

Every figure is of one run; what is compared was measured turn by turn in the same processes.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import machine
from mps import Mps

# Program, what it measures; the second run of some is under MPS.
BENCHES = ("publish", "wake", "attach", "peer")
WITH_MPS = ("publish", "wake")

PUBLISH = "time in publish, reader works on the same GPU, asynchronous"
SYNCHRONOUS = "time in publish, reader works on the same GPU, synchronous"
AWAKE = "publish to subscriber awake"
BARE = "stream synchronise and futex wake to awake"
ATTACH = "attach, 16 slots of 4K NV12"
PEER = "peer read of a frame"
INSIDE = "the same copy inside one process"


class Figures:
    """What was measured, by name; and why something was not."""

    def __init__(self):
        self.series, self.missing = {}, {}

    def run(self, program, bench, environment):
        with tempfile.TemporaryDirectory(prefix="cft", dir="/tmp") as folder:
            try:
                done = subprocess.run([str(program), bench], stdin=subprocess.DEVNULL, timeout=120,
                                      env={**os.environ, **environment,
                                           "CUFRAMES_RUNTIME_DIR": folder},
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      check=False)
            except subprocess.TimeoutExpired:
                self.missing[bench] = "not done after 120 s"
                return
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                one = json.loads(line)
                self.series[one["series"]] = one
            elif line.strip():
                self.missing[bench] = line.strip()
        if done.returncode not in (0, 77):
            self.missing.setdefault(bench, f"ended with status {done.returncode}")

    def median(self, name):
        return self.series[name]["median"] if name in self.series else None


def ratio(a, b):
    return a / b if a is not None and b else None


def targets(figures):
    """(what, target, value, unit, whether it is met)"""
    publish = figures.median(PUBLISH)
    wake = ratio(figures.median(AWAKE), figures.median(BARE))
    attach = figures.median(ATTACH)
    peer = ratio(figures.median(PEER), figures.median(INSIDE))
    rows = [
        ("Time in `publish` while a subscriber works on the same GPU, median", "at most 10 µs",
         publish, "µs", publish is not None and publish <= 10),
        ("Publish to subscriber awake, against a bare stream synchronise and futex wake",
         "at most 1.25 times", wake, "times", wake is not None and wake <= 1.25),
        ("Attach and import of 16 slots of 4K NV12, median", "at most 1 ms",
         attach and attach / 1000, "ms", attach is not None and attach <= 1000),
        ("Peer read through the ring, against the same copy in one process", "at least 0.97 times",
         peer, "times", peer is not None and peer >= 0.97),
    ]
    return [row for row in rows if row[2] is not None]


def table(headings, rows):
    lines = ["| " + " | ".join(headings) + " |",
             "|" + "|".join("---" if i == 0 else "--:" for i in range(len(headings))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def series_table(figures):
    return table(("", "median", "99 %", "least", "unit", "times"),
                 [(s["series"], f"{s['median']:.4g}", f"{s['p99']:.4g}", f"{s['min']:.4g}",
                   s["unit"].replace("us", "µs"), s["count"]) for s in figures.series.values()])


def missing_lines(figures):
    return "".join(f"- {bench}: {why}\n" for bench, why in figures.missing.items())


def page(about, plain, mps):
    real = "" if not about["standin"] else (
        "**These figures are of the stand-in driver, which has no GPU: they show that the benchmark "
        "runs, and nothing else.**\n\n")
    parts = [
        f"## On a GPU\n\n{machine.sentence(about)}.\n\n{real}",
        table(("what", "target", "measured", "met"),
              [(what, target, f"{value:.3g} {unit}", "yes" if met else "no")
               for what, target, value, unit, met in targets(plain)]),
        "\n\nAll series; what is compared was measured turn by turn in one run:\n\n",
        series_table(plain), "\n\n"]
    if mps.series:
        parts += ["With MPS, on the same machine:\n\n", series_table(mps), "\n\n"]
    if plain.missing or mps.missing:
        parts += ["Not measured:\n\n", missing_lines(plain),
                  "".join(f"- with MPS, {bench}: {why}\n" for bench, why in mps.missing.items())]
    return "".join(parts).rstrip() + "\n"


def measure(program, quick):
    environment = {"CUFRAMES_BENCH_QUICK": "1"} if quick else {}
    plain, mps = Figures(), Figures()
    for bench in BENCHES:
        print(f"measuring: {bench}", flush=True)
        plain.run(program, bench, environment)
    with Mps() as service:
        for bench in WITH_MPS:
            if service.missing:
                mps.missing[bench] = service.missing
                continue
            print(f"measuring under MPS: {bench}", flush=True)
            mps.run(program, bench, {**environment, **service.env})
    return plain, mps


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--logs", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    about = machine.describe()
    plain, mps = measure(args.build / "tests" / "gpu" / "gpu_bench", args.quick)
    text = page(about, plain, mps)
    for folder in filter(None, (args.logs, args.out)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "gpu-bench.md").write_text(text)
        (folder / "gpu-bench.json").write_text(json.dumps(
            {"machine": about, "plain": plain.series, "mps": mps.series,
             "missing": plain.missing, "missing_with_mps": mps.missing}, indent=1) + "\n")
    print("\n" + text)
    return 0 if plain.series else 77 if plain.missing else 1


if __name__ == "__main__":
    sys.exit(main())
