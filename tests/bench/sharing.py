# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same pictures from one process to another in different ways; share.h says what is done.

Each way runs as fast as it can ("flat_out": frames a second, CPU time for a frame) and at a steady
pace ("paced": how old a picture is when the reader has it). The ways take turns.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile

LIMIT_S = 120
PACE_US = 5000

WAYS = (
    # Name, program, further arguments of the writer; the endpoint is a directory, or a path in it.
    ("floor", "share_floor", []),
    ("cuframes", "share_cuframes", []),
    ("gstreamer", "share_gst", []),
    ("gstreamer_copied", "share_gst", ["copied"]),
    ("python", "share_python.py", []),
    ("socket", "share_socket", []),
)


def run_pair(program, name, endpoint, frames, interval_us, further):
    """Both sides at once; the floor has no other side, so one after the other."""
    def start(side, more):
        return subprocess.Popen([program, side, endpoint, str(frames), str(interval_us), *more],
                                stdout=subprocess.PIPE, text=True)

    writer = start("write", further)
    text = writer.communicate(timeout=LIMIT_S)[0] if name == "floor" else None
    reader = start("read", [])
    try:
        lines = [reader.communicate(timeout=LIMIT_S)[0],
                 text or writer.communicate(timeout=LIMIT_S)[0]]
    finally:
        for side in (writer, reader):
            if side.poll() is None:
                side.kill()
                side.communicate()
    if writer.returncode or reader.returncode:
        raise RuntimeError(f"{program} failed")
    return lines


def run_way(build, name, program, further, frames, interval_us):
    with tempfile.TemporaryDirectory(prefix="cfs-") as directory:
        if program.endswith(".py"):
            source = os.path.join(os.path.dirname(os.path.abspath(__file__)), program)
            lines = subprocess.run([sys.executable, source, str(frames), str(interval_us)],
                                   stdout=subprocess.PIPE, text=True, timeout=LIMIT_S,
                                   check=True).stdout.splitlines()
        else:
            endpoint = directory if name == "cuframes" else os.path.join(directory, "s")
            lines = run_pair(os.path.join(build, "tests", "bench", program), name, endpoint, frames,
                             interval_us, further)
    sides = {side["side"]: side for side in map(json.loads, lines)}
    return sides["write"], sides["read"]


def summarize_run(write, read):
    latency = sorted(read["latency_ns"])
    return {
        "frames": read["frames"],
        "fps": read["frames"] / read["seconds"],
        "writer_cpu_us": write["cpu_s"] / write["frames"] * 1e6,
        "reader_cpu_us": read["cpu_s"] / read["frames"] * 1e6,
        "latency_p50_us": latency[len(latency) // 2] / 1000,
        "latency_p99_us": latency[len(latency) * 99 // 100] / 1000,
    }


def median_of(runs, name):
    """Of each figure over the rounds; what the floor cannot have is left out."""
    summary = {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}
    if name == "floor":
        summary = {figure: value for figure, value in summary.items() if "cpu" in figure}
    summary["rounds"] = len(runs)
    return summary


def available(build):
    return [way for way in WAYS if way[1].endswith(".py")
            or os.path.exists(os.path.join(build, "tests", "bench", way[1]))]


def measure(build, directory, quick, say):
    ways = available(build)
    rounds = 1 if quick else 5
    flat_out = {way[0]: [] for way in ways}
    paced = {way[0]: [] for way in ways}
    for i in range(rounds):
        say(f"bench: ways to share, round {i + 1}")
        for name, program, further in ways[i % len(ways):] + ways[:i % len(ways)]:
            flat_out[name].append(summarize_run(
                *run_way(build, name, program, further, 30 if quick else 1000, 0)))
            if name != "floor":
                paced[name].append(summarize_run(
                    *run_way(build, name, program, further, 30 if quick else 300, PACE_US)))
    return {
        "pace_us": PACE_US,
        "flat_out": {name: median_of(runs, name) for name, runs in flat_out.items()},
        "paced": {name: median_of(runs, name) for name, runs in paced.items() if runs},
        "missing": [way[0] for way in WAYS if way not in ways],
    }
