# SPDX-License-Identifier: LGPL-2.1-or-later
"""FFmpeg as a reader: through cuframes://, and the same frames as rawvideo and NUT from a pipe.

A test source publishes 1080p NV12 as fast as its one reader takes it (wait policy, nothing lost).
FFmpeg, the system's, does nothing with the pictures, or makes them smaller. CPU time is that of all
processes on the reading side: FFmpeg, and `cuframes cat` where there is a pipe. The ways take turns.
"""
import os
import statistics
import subprocess
import time

from decoding import LIMIT_S, run_to_end

SIZE = "1920x1080"
WORK = (("null", []), ("scale", ["-vf", "scale=640:360:flags=bilinear"]))


def start_source(cuframes, directory, frames):
    return subprocess.Popen(
        [cuframes, "test-source", "bench", "--size", SIZE, "--fps", "0", "--frames", str(frames),
         "--policy", "wait", "--ack-timeout-ms", "20000", "--wait-subscribers", "1", "--runtime-dir",
         directory], stdout=subprocess.DEVNULL)


def ffmpeg(words, pipe, work):
    """FFmpeg with an input; the output is thrown away."""
    return subprocess.Popen(
        [*words, "-fps_mode", "passthrough", *work, "-f", "null", "-"], stdin=pipe,
        stderr=subprocess.DEVNULL)


def start_reader(build, cuframes, directory, way, work):
    wrapper = os.path.join(build, "integrations", "ffmpeg", "cuframes-ffmpeg")
    quiet = ["-hide_banner", "-loglevel", "error"]
    if way == "cuframes":
        return [ffmpeg([wrapper, *quiet, "-nostdin", "-open_timeout", "20", "-runtime_dir", directory,
                        "-i", "cuframes://bench"], subprocess.DEVNULL, work)]
    cat = subprocess.Popen(
        [cuframes, "cat", "bench", "--wait", "20", "--format", "raw" if way == "rawvideo" else "nut",
         "--runtime-dir", directory], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    form = (["-f", "rawvideo", "-pix_fmt", "nv12", "-s", SIZE, "-r", "30"]
            if way == "rawvideo" else ["-f", "nut"])
    reader = ffmpeg(["ffmpeg", *quiet, *form, "-i", "-"], cat.stdout, work)
    cat.stdout.close()
    return [cat, reader]


def run_way(build, cuframes, directory, way, work, frames):
    started = time.monotonic()
    processes = start_reader(build, cuframes, directory, way, work)
    source = start_source(cuframes, directory, frames)
    try:
        cpu = sum(run_to_end(process) for process in processes)
        wall = time.monotonic() - started
        source.wait(timeout=LIMIT_S)
    finally:
        for process in [source, *processes]:
            if process.returncode is None:
                process.kill()
                process.wait()
    return {"fps": frames / wall, "cpu_us": cpu / frames * 1e6}


def measure(build, cuframes, directory, quick, say):
    """{work: {way: medians}}; empty where the wrapper was not built."""
    if not os.path.exists(os.path.join(build, "integrations", "ffmpeg", "cuframes-ffmpeg")):
        return {}
    os.environ["CUFRAMES_FFMPEG_SHIMS"] = os.path.join(build, "integrations", "ffmpeg")
    frames, rounds = (100, 1) if quick else (600, 5)
    ways = ["cuframes", "rawvideo", "nut"]
    result = {}
    for name, work in WORK:
        runs = {way: [] for way in ways}
        for i in range(rounds):
            say(f"bench: FFmpeg as a reader, {name}, round {i + 1}")
            for way in ways[i % len(ways):] + ways[:i % len(ways)]:
                runs[way].append(run_way(build, cuframes, directory, way, work, frames))
        result[name] = {way: {"frames": frames, "rounds": rounds,
                              "fps": statistics.median(run["fps"] for run in all_runs),
                              "cpu_us": statistics.median(run["cpu_us"] for run in all_runs)}
                        for way, all_runs in runs.items()}
    return result
