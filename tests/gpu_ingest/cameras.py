# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sixteen cameras with three readers each: through one ingest a camera, and each reader decoding for
itself. What each way costs in real time, and the rate at which it gives out.

A reader here takes each frame in GPU memory and counts it. The one that decodes for itself is FFmpeg
with the same decoder, its pictures left in GPU memory; the one that shares is `cuframes sub`.
"""
import json
import os
import re
import time

from machine import CLIPS, Gpu, Session, cpu_seconds, end, run

CAMERAS, READERS = 16, 3
RATES = (25, 50, 100, 300, 400)
WARM_S, MEASURE_S = 4, 6
START_S = 90  # for every reader to have its first frame
ENOUGH = 0.98
PICTURES = 250  # in the camera's file


def make_file(session, rate):
    """The camera's pictures, long enough for a measurement at this rate."""
    path, joined = session.path(f"camera-{rate}.mp4"), session.path("joined.h264")
    plain = session.path("plain.mp4")
    rounds = int((WARM_S + MEASURE_S + 40) * rate / PICTURES) + 1
    with open(os.path.join(CLIPS, "camera.h264"), "rb") as file:
        camera = file.read()
    with open(joined, "wb") as out:
        for _ in range(rounds):
            out.write(camera)
    # The stream itself says 25 a second: that file first, then its times stretched.
    steps = (("-i", joined, "-c", "copy", plain), ("-itsscale", 25 / rate, "-i", plain, "-c", "copy", path))
    for step in steps:
        code, _, err = run("ffmpeg", "-loglevel", "error", "-y", *step)
        if code:
            raise RuntimeError("cannot make the camera's file: " + err[-500:])
    os.unlink(joined)
    os.unlink(plain)
    return path


class Shared:
    name = "shared"
    decoders = CAMERAS

    def start(self, session, path):
        self.session = session
        self.logs = [session.path(f"said-{i}") for i in range(CAMERAS)]
        self.feeders = []
        for i, log in enumerate(self.logs):
            with open(log, "wb") as file:
                self.feeders.append(session.start(
                    "cuframes", "ingest", path, "--key", f"cam{i}", "--decode", "nvdec", "--realtime",
                    "--loop", "--stats-interval", "0.5", out=file, err=file))
        self.readers = [session.start("cuframes", "sub", f"cam{i}", "--json", "--wait", "60",
                                      "--mode", "order")
                        for i in range(CAMERAS) for _ in range(READERS)]
        return self.feeders + self.readers

    def begin(self):
        self.before = [last_number(log, r"(\d+) frames, ") for log in self.logs]

    def all_run(self):
        return all(self.readers_of(i) >= READERS for i in range(CAMERAS))

    def readers_of(self, camera):
        """How many readers of a camera have had a frame."""
        told = self.session.start("cuframes", "info", f"cam{camera}", "--json")
        out, _ = self.session.finish(told, 20)
        try:
            return sum(one["received"] > 0 for one in json.loads(out)["subscribers"])
        except (ValueError, KeyError):
            return 0

    def count(self, session):
        """What each reader gets a second: what its camera shares, unless it misses some."""
        now = [last_number(log, r"(\d+) frames, ") for log in self.logs]
        end(self.readers)
        counts = []
        for i, reader in enumerate(self.readers):
            out, err = session.finish(reader, 20)
            before, after = self.before[i // READERS], now[i // READERS]
            rate = (after[0] - before[0]) / max(after[1] - before[1], 1e-9)
            try:
                counts.append((rate, json.loads(out).get("missed", 0), ""))
            except ValueError:
                counts.append((0.0, 0, err[-200:]))
        end(self.feeders)
        return counts


class Alone:
    name = "each decodes"
    decoders = CAMERAS * READERS

    def start(self, session, path):
        self.logs = [session.path(f"progress-{i}") for i in range(CAMERAS * READERS)]
        self.readers = []
        for log in self.logs:
            self.readers.append(session.start(
                "ffmpeg", "-hide_banner", "-loglevel", "error", "-nostats", "-progress", log,
                "-stats_period", "0.5", "-re", "-stream_loop", "-1", "-hwaccel", "cuda",
                "-hwaccel_output_format", "cuda", "-c:v", "h264_cuvid", "-i", path, "-fps_mode",
                "passthrough", "-f", "null", "-"))
        return self.readers

    def count(self, session):
        counts = []
        for log, before in zip(self.logs, self.before):
            now = last_number(log, r"^frame=(\d+)")
            counts.append(((now[0] - before[0]) / max(now[1] - before[1], 1e-9), 0, ""))
        end(self.readers)
        return counts

    def begin(self):
        self.before = [last_number(log, r"^frame=(\d+)") for log in self.logs]

    def all_run(self):
        return all(last_number(log, r"^frame=(\d+)")[0] > 0 for log in self.logs)


def last_number(path, pattern):
    """(frames, when they were counted) that a process has told of last."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
            when = os.fstat(file.fileno()).st_mtime
        found = re.findall(pattern, text, re.M)
        return (int(found[-1]) if found else 0), when
    except OSError:
        return 0, time.time()


def measure(way, rate, gpu):
    with Session() as session:
        path = make_file(session, rate)
        idle = gpu.memory_now()
        processes = way.start(session, path)
        pids = [process.pid for process in processes]
        # Contexts are made one after another, and with many of them that takes long.
        started = time.monotonic()
        while not way.all_run() and time.monotonic() < started + START_S:
            time.sleep(0.5)
        start_s = round(time.monotonic() - started, 1)
        time.sleep(WARM_S)
        way.begin()
        used, began = cpu_seconds(pids), time.monotonic()
        with gpu:
            time.sleep(MEASURE_S)
        used, took = cpu_seconds(pids) - used, time.monotonic() - began
        alive = sum(process.poll() is None for process in processes)
        counts = way.count(session)
    figures = gpu.figures()
    rates = sorted(one[0] for one in counts)
    missed = sum(one[1] for one in counts)
    return {
        "way": way.name, "rate": rate, "decoders": way.decoders, "processes": len(pids),
        "start_s": start_s,
        "alive": alive, "slowest_fps": round(rates[0], 1), "mean_fps": round(sum(rates) / len(rates), 1),
        "missed": missed, "cpu_percent": round(100 * used / took),
        "decoder_percent": figures["decoder_percent"],
        "gpu_memory_mib": round(figures["memory_mib"] - idle) if figures["memory_mib"] and idle else None,
        "kept_up": rates[0] >= ENOUGH * rate and alive == len(pids) and
                   missed <= (1 - ENOUGH) * rate * len(counts) * MEASURE_S,
        "errors": sorted({one[2] for one in counts if one[2]})[:3],
    }


def compare(deadline):
    """Each rate both ways, until a way has given out."""
    gpu, results, ways = Gpu(), [], [Shared(), Alone()]
    for rate in RATES:
        for way in list(ways):
            if time.monotonic() > deadline - START_S:
                return {"cameras": CAMERAS, "readers": READERS, "results": results, "cut": True}
            result = measure(way, rate, gpu)
            results.append(result)
            print(json.dumps(result), flush=True)
            if not result["kept_up"]:
                ways.remove(way)
    return {"cameras": CAMERAS, "readers": READERS, "results": results}


def table(found):
    if not found or "results" not in found:
        return [str(found)] if found else []
    lines = [f"## {found['cameras']} cameras of 1920x1080, {found['readers']} readers each", "",
             "| way | fps asked | decoders | all run after, s | slowest reader, fps | frames missed | processor, % of one | "
             "decoders busy, % | GPU memory, MiB | kept up |",
             "|---|---|---|---|---|---|---|---|---|---|"]
    for one in sorted(found["results"], key=lambda one: one["way"]):
        lines.append("| " + " | ".join(str(one[key]) for key in (
            "way", "rate", "decoders", "start_s", "slowest_fps", "missed", "cpu_percent", "decoder_percent",
            "gpu_memory_mib", "kept_up")) + " |")
    if found.get("cut"):
        lines += ["", "Cut short: no time was left for higher rates."]
    return lines
