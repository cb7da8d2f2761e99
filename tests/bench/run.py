# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures everything that docs/benchmarks.md shows, and writes it as one JSON file.

    run.py --build DIR --out FILE [--quick]

What is compared takes turns within the run. Nothing here decides whether a figure is good.
"""
import argparse
import datetime
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import decoding
import ffmpeg_read
import recording
import sharing
from machine import describe_machine, load, stolen_ticks

TIMEOUT_S = 300


def say(text):
    print(text, file=sys.stderr, flush=True)


def measure_library(cuframes, quick):
    say("bench: the library")
    command = [cuframes, "bench", "--json"] + (["--quick"] if quick else [])
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, timeout=TIMEOUT_S,
                                     check=True).stdout)


def line_of(library):
    """How far apart the two cores were: what a cache line takes from one to the other, ns."""
    return library["publish"]["cache_line"]["p50_ns"]


def measure_python(build, cuframes, quick):
    """None where the package was not built, or NumPy is missing."""
    package = os.path.join(build, "bindings", "python")
    if (not os.path.exists(os.path.join(package, "cuframes", "_cuframes.abi3.so"))
            or not importlib.util.find_spec("numpy")):
        return None
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "python_reading.py")
    return json.loads(subprocess.run(
        [sys.executable, program, cuframes] + (["--quick"] if quick else []),
        env=dict(os.environ, PYTHONPATH=package), stdout=subprocess.PIPE, timeout=TIMEOUT_S,
        check=True).stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    build = os.path.abspath(options.build)
    cuframes = os.path.join(build, "tools", "cuframes")
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "quick": options.quick,
        "machine": describe_machine(),
        "load_before": load(),
    }
    stolen, ticks = stolen_ticks()
    started = time.monotonic()
    # Short: paths of sockets have a limit.
    directory = tempfile.mkdtemp(prefix="cfb-")
    try:
        libraries = [measure_library(cuframes, options.quick)]
        say("bench: decoding")
        result["decoding"] = decoding.measure(cuframes, directory, options.quick, say)
        libraries.append(measure_library(cuframes, options.quick))
        say("bench: FFmpeg as a reader")
        result["ffmpeg_read"] = ffmpeg_read.measure(build, cuframes, directory, options.quick, say)
        say("bench: recording")
        server = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "harness",
                              "rtsp_server.py")
        result["recording"] = recording.measure(cuframes, server, directory, options.quick, say)
        say("bench: ways to share")
        result["sharing"] = sharing.measure(build, directory, options.quick, say)
        say("bench: Python")
        result["python"] = measure_python(build, cuframes, options.quick)
        libraries.append(measure_library(cuframes, options.quick))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    # Hypervisors move cores, and these figures depend on where they are: the run in the middle, by
    # the distance of the cores and not by the figures.
    libraries.sort(key=line_of)
    result["library"] = libraries[1]
    result["lines_ns"] = [line_of(library) for library in libraries]
    stolen_after, ticks_after = stolen_ticks()
    result["load_after"] = load()
    result["stolen_percent"] = 100 * (stolen_after - stolen) / max(1, ticks_after - ticks)
    result["seconds"] = round(time.monotonic() - started)
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
