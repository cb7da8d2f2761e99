# SPDX-License-Identifier: LGPL-2.1-or-later
"""CPU time of `cuframes ingest` on a file, beside FFmpeg decoding the same file to nothing.

CPU time is user and system time of the whole process with its threads, as wait4() tells. The
three runs of a round (FFmpeg, ingest without readers, ingest with three) follow each other, in an
order that changes from round to round.
"""
import os
import statistics
import subprocess
import time

READERS = 3
LIMIT_S = 120


def run_to_end(process):
    """CPU seconds of a process that must end well."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline:
            process.kill()
            os.wait4(process.pid, 0)
            raise RuntimeError(f"{process.args[0]} did not end within {LIMIT_S} s")
        time.sleep(0.005)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(process.args)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def make_file(path, quick):
    """A scene with noise in it, at the bit rate of a good camera, without B-frames."""
    size, seconds = ("640x360", 2) if quick else ("1920x1080", 30)
    subprocess.run(
        ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i",
         f"testsrc2=size={size}:rate=30,noise=alls=10:allf=t,format=yuv420p", "-t", str(seconds),
         "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-bf", "0", "-g", "60",
         "-b:v", "6M", "-maxrate", "8M", "-bufsize", "12M", path], timeout=LIMIT_S * 2, check=True)
    return {"size": size, "frames": 30 * seconds,
            "mbit_s": round(os.path.getsize(path) * 8 / seconds / 1e6, 2)}


def decode_with_ffmpeg(path, threads):
    return {"decoder": run_to_end(subprocess.Popen(
        ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-threads", str(threads), "-i",
         path, "-an", "-fps_mode", "passthrough", "-f", "null", "-"]))}


def decode_with_ingest(cuframes, path, threads, directory, readers):
    runtime = ["--runtime-dir", directory]
    started = [subprocess.Popen([cuframes, "sub", "bench", "--wait", "30", "--json", *runtime],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
               for _ in range(readers)]
    ingest = subprocess.Popen(
        [cuframes, "ingest", path, "--key", "bench", "--threads", str(threads), "--log", "error",
         "--wait-subscribers", str(readers), *runtime], stderr=subprocess.DEVNULL)
    try:
        decoder = run_to_end(ingest)
        return {"decoder": decoder, "readers": sum(run_to_end(reader) for reader in started)}
    finally:
        for process in [ingest, *started]:
            if process.returncode is None:
                process.kill()
            if process.stdout:
                process.stdout.close()


def summarize(rounds):
    """Medians of a list of {name: {"decoder": s, "readers": s}}."""
    summary = {}
    for name in ("ffmpeg", "ingest", "ingest_readers"):
        summary[name] = {
            "cpu_s": statistics.median(one[name]["decoder"] for one in rounds),
            "readers_cpu_s": statistics.median(one[name].get("readers", 0) for one in rounds),
        }
        ratios = [one[name]["decoder"] / one["ffmpeg"]["decoder"] for one in rounds]
        totals = [(one[name]["decoder"] + one[name].get("readers", 0)) / one["ffmpeg"]["decoder"]
                  for one in rounds]
        summary[name].update(ratio=statistics.median(ratios), ratio_min=min(ratios),
                             ratio_max=max(ratios), ratio_with_readers=statistics.median(totals))
    return summary


def measure(cuframes, directory, quick, say):
    path = os.path.join(directory, "video.mkv")
    video = make_file(path, quick)
    result = {"video": video, "readers": READERS, "threads": []}
    for threads in (1, 2):
        runs = [("ffmpeg", lambda: decode_with_ffmpeg(path, threads)),
                ("ingest", lambda: decode_with_ingest(cuframes, path, threads, directory, 0)),
                ("ingest_readers",
                 lambda: decode_with_ingest(cuframes, path, threads, directory, READERS))]
        rounds = []
        for i in range(1 if quick else 7):
            say(f"bench: decoding, {threads} threads, round {i + 1}")
            order = runs[i % len(runs):] + runs[:i % len(runs)]
            rounds.append({name: run() for name, run in order})
        result["threads"].append({"threads": threads, "rounds": len(rounds),
                                  **summarize(rounds), "all": rounds})
    return result
