#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the GPU suite on this machine, prints what came of it in one table, and keeps it.

Each part is a program that says a line for each of its tests: "pass NAME (seconds)", "skip NAME
(reason)" or "FAIL NAME ...". A part that the machine has nothing for is skipped, with the reason.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import machine
from mps import Mps

HERE = pathlib.Path(__file__).resolve().parent
LINE = re.compile(r"^(pass|skip|FAIL) ([\w.-]+):? ?\(?(.*?)\)?$")
# What is run once more while processes share the GPU through MPS: not those that make a kernel
# fail, which under MPS would fail the other processes' too.
MPS_PARTS = {"frames": ["*"], "many": ["*"]}


class Part:
    """One program, and what its tests said."""

    def __init__(self, title, argv, env=None, seconds=240):
        self.title, self.argv, self.env, self.seconds = title, argv, env or {}, seconds
        self.results = []
        self.output = ""

    def add(self, verdict, name, detail):
        self.results.append({"part": self.title, "verdict": verdict, "test": name, "detail": detail})

    def run(self, deadline):
        limit = min(self.seconds, deadline - time.monotonic())
        if limit < 5:
            self.add("skip", "all", "no time was left for it")
            return
        try:
            done = subprocess.run(self.argv, env={**os.environ, **self.env}, timeout=limit,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, check=False)
            self.output, status = done.stdout.decode(errors="replace"), done.returncode
        except subprocess.TimeoutExpired as late:
            self.output, status = (late.stdout or b"").decode(errors="replace"), None
        self.read()
        if status is None:
            self.add("FAIL", "all", f"still running after {limit:.0f} s")
        elif status not in (0, 77) and not any(r["verdict"] == "FAIL" for r in self.results):
            self.add("FAIL", "all", f"ended with status {status}: {self.last_line()}")

    def read(self):
        for line in self.output.splitlines():
            found = LINE.match(line)
            if found:
                self.add(*found.groups())

    def last_line(self):
        lines = self.output.strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def suite_parts(build, quick):
    """The programs of the suite, as the build has them."""
    env = {"CUFRAMES_TEST_FRAMES": "5000"} if quick else {}
    programs = sorted(p for p in (build / "tests" / "gpu").glob("test_gpu_*") if p.is_file())
    return [Part(p.name.removeprefix("test_gpu_"), [str(p)], env) for p in programs]


def run_with_mps(parts, deadline, done):
    with Mps() as mps:
        for part in parts:
            if part.title not in MPS_PARTS:
                continue
            again = Part(part.title + " under MPS", part.argv + MPS_PARTS[part.title],
                         {**part.env, **mps.env})
            if mps.missing:
                again.add("skip", "all", mps.missing)
            else:
                again.run(deadline)
            done(again)


def table(results):
    widths = [max([len(r[key]) for r in results] + [4]) for key in ("part", "test")]
    lines = []
    for r in results:
        detail = r["detail"] if r["verdict"] != "pass" else f"({r['detail']})"
        lines.append(f"{r['verdict']:4}  {r['part']:{widths[0]}}  {r['test']:{widths[1]}}  {detail}")
    return "\n".join(line.rstrip() for line in lines)


def page(about, results):
    """The same for people to read later."""
    lines = [f"{machine.sentence(about)}. {totals(results)}.", "", "| part | test | result |",
             "|---|---|---|"]
    for r in results:
        words = {"pass": "passed", "skip": "skipped: " + r["detail"],
                 "FAIL": "**failed**: " + r["detail"]}[r["verdict"]]
        lines.append(f"| {r['part']} | `{r['test']}` | {words} |")
    return "\n".join(lines) + "\n"


def totals(results):
    count = {v: sum(r["verdict"] == v for r in results) for v in ("pass", "FAIL", "skip")}
    return f"{count['pass']} passed, {count['FAIL']} failed, {count['skip']} skipped"


def keep(folder, parts, results, about):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu-test.json").write_text(
        json.dumps({"machine": about, "results": results}, indent=1) + "\n")
    (folder / "gpu-test.txt").write_text(
        f"{machine.sentence(about)}\n\n{table(results)}\n\n{totals(results)}\n")
    (folder / "gpu-test.md").write_text(page(about, results))
    with open(folder / "gpu-test.log", "w", encoding="utf-8") as log:
        for part in parts:
            log.write(f"===== {part.title}\n{part.output}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--logs", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=int, default=330, help="end by then, whatever is left")
    args = parser.parse_args()
    deadline = time.monotonic() + args.seconds
    about = machine.describe()
    print(machine.sentence(about), flush=True)

    parts = []

    def done(part):
        parts.append(part)
        print(f"{part.title}: {totals(part.results)}", flush=True)

    suite = suite_parts(args.build, args.quick)
    readers = Part("python", [sys.executable, str(HERE / "readers.py"), "--build", str(args.build)])
    # The longest comes last.
    for part in sorted([*suite, readers], key=lambda part: part.title == "many"):
        part.run(deadline)
        done(part)
    run_with_mps(suite, deadline, done)

    results = [r for part in parts for r in part.results]
    for folder in filter(None, (args.logs, args.out)):
        keep(folder, parts, results, about)
    for part in parts:
        if any(r["verdict"] == "FAIL" for r in part.results):
            print(f"\n--- {part.title}\n{part.output[-3000:]}")
    print(f"\n{table(results)}\n\ncuframes gpu-test: {totals(results)}")
    verdicts = {r["verdict"] for r in results}
    return 1 if "FAIL" in verdicts else 0 if "pass" in verdicts else 77


if __name__ == "__main__":
    sys.exit(main())
