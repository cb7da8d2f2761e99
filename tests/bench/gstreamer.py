# SPDX-License-Identifier: LGPL-2.1-or-later
"""
1080p NV12 between pipelines of several processes, pixels untouched: our elements, GStreamer's
unixfd, GStreamer's shm, and our channel read by the stock unixfdsrc. Frames a second and CPU time
for a frame with one reader and with eight; then one reader of two is stopped (SIGSTOP), and the
rate of the other is compared with what it was.

Needs GStreamer 1.24 or later for unixfd. `./dev gst-next bench` runs it, and writes the page
docs/benchmarks/gstreamer.md.
"""
import argparse
import datetime
import json
import os
import resource
import signal
import statistics
import subprocess
import tempfile
import time

import gstreamer_page
from machine import describe_machine, load, stolen_ticks

LIMIT_S = 60


class Way:
    """One way from a writer to readers; `sink` and `source` are pipelines' ends."""
    relay = None

    def __init__(self, directory, readers):
        self.socket = os.path.join(directory, "socket")
        self.readers = readers


class Cuframes(Way):
    name = "cuframessink to cuframessrc"

    def __init__(self, directory, readers, policy="wait ack-timeout=10000"):
        super().__init__(directory, readers)
        self.sink = f"cuframessink key=bench policy={policy} slots=16 sync=false"
        self.source = "cuframessrc key=bench mode=order"
        self.appears = os.path.join(directory, "bench.sock")


class Unixfd(Way):
    name = "unixfdsink to unixfdsrc"

    def __init__(self, directory, readers):
        super().__init__(directory, readers)
        self.sink = f"unixfdsink socket-path={self.socket} sync=false wait-for-connection=true"
        self.source = f"unixfdsrc socket-path={self.socket}"
        self.appears = self.socket


class Shm(Way):
    name = "shmsink to shmsrc"

    def __init__(self, directory, readers):
        super().__init__(directory, readers)
        self.sink = (f"shmsink socket-path={self.socket} sync=false wait-for-connection=true "
                     "shm-size=50000000")
        self.source = f"shmsrc socket-path={self.socket} is-live=true"
        self.appears = self.socket


class Offered(Cuframes):
    name = "cuframessink to stock unixfdsrc"

    def __init__(self, directory, readers):
        super().__init__(directory, readers)
        self.relay = ["unixfd", "bench", self.socket, "--mode", "order"]
        self.source = f"unixfdsrc socket-path={self.socket}"


WAYS = (Cuframes, Unixfd, Shm, Offered)


class Run:
    """The processes of one measurement, ended with it."""

    def __init__(self, build):
        self.flow = os.path.join(build, "tests", "bench", "gst_flow")
        self.tool = os.path.join(build, "tools", "cuframes")
        self.directory = tempfile.TemporaryDirectory(prefix="cfb-", dir="/tmp")
        self.env = dict(os.environ, CUFRAMES_RUNTIME_DIR=self.directory.name)
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.directory.cleanup()

    def start(self, *command, **options):
        process = subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, text=True, **options)
        self.processes.append(process)
        return process

    def wait_for(self, path):
        deadline = time.monotonic() + LIMIT_S
        while not os.path.exists(path):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{path} did not come")
            time.sleep(0.01)

    def start_way(self, way):
        writer = self.start(self.flow, "write", way.sink, stderr=subprocess.DEVNULL)
        self.wait_for(way.appears)
        relay = None
        if way.relay:
            relay = self.start(self.tool, *way.relay, stderr=subprocess.DEVNULL)
            self.wait_for(way.socket)
        return writer, relay

    def start_reader(self, way, seconds, errors=subprocess.DEVNULL):
        return self.start(self.flow, "read", way.source, str(seconds), stderr=errors)


def cpu_of(process):
    """Seconds of CPU time so far."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(build, kind, readers, seconds):
    with Run(build) as run:
        way = kind(run.directory.name, readers)
        writer, relay = run.start_way(way)
        started = [run.start_reader(way, seconds) for _ in range(readers)]
        time.sleep(0.5)
        before, relay_before = cpu_of(writer), cpu_of(relay) if relay else 0
        began = time.monotonic()
        results = [json.loads(process.communicate(timeout=LIMIT_S)[0]) for process in started]
        span = time.monotonic() - began
        writer_cpu = cpu_of(writer) - before + (cpu_of(relay) - relay_before if relay else 0)
    rates = [result["frames"] / result["seconds"] for result in results]
    rate = statistics.mean(rates)
    return {
        "fps": rate,
        "slowest_fps": min(rates),
        "reader_cpu_us": 1e6 * sum(r["cpu_s"] for r in results) / sum(r["frames"] for r in results),
        "writer_cpu_us": 1e6 * writer_cpu / (rate * span),
    }


def measure_stopped(build, kind, seconds):
    """The rate of one reader before and after the other is stopped."""
    with Run(build) as run:
        way = Cuframes(run.directory.name, 2, "drop") if kind is Cuframes else kind(
            run.directory.name, 2)
        run.start_way(way)
        other = run.start_reader(way, 10 * seconds)
        reader = run.start_reader(way, 2 * seconds, subprocess.PIPE)
        counts = [int(reader.stderr.readline()) for _ in range(int(2 * seconds))]
        other.send_signal(signal.SIGSTOP)
        reader.stderr.readline()  # the half second in which it happened
        after = []
        for line in reader.stderr:
            after.append(int(line))
    return {"before_fps": 2 * statistics.mean(counts), "after_fps": 2 * statistics.mean(after[1:] or [0])}


def measure_way(build, kind, seconds):
    row = {}
    for readers in (1, 8):
        row[str(readers)] = result = measure(build, kind, readers, seconds)
        say(f"{kind.name}, {readers} readers: {result['fps']:.0f} frames/s each (slowest "
            f"{result['slowest_fps']:.0f}), CPU for a frame: writer {result['writer_cpu_us']:.0f}, "
            f"reader {result['reader_cpu_us']:.0f} us")
    row["stopped"] = result = measure_stopped(build, kind, seconds)
    say(f"{kind.name}, the other reader stopped: {result['before_fps']:.0f} frames/s before, "
        f"{result['after_fps']:.0f} after")
    return row


def say(text):
    print(text, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--page", help="write the figures to this file as a page")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    stolen, ticks = stolen_ticks()
    started = time.monotonic()
    result = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": describe_machine(),
        "load_before": load(),
        "run_seconds": options.seconds,
        # Turn by turn: what else the machine does meets all of them.
        "rounds": [{kind.name: measure_way(options.build, kind, options.seconds) for kind in WAYS}
                   for _ in range(options.rounds)],
    }
    stolen_after, ticks_after = stolen_ticks()
    result["load_after"] = load()
    result["stolen_percent"] = 100 * (stolen_after - stolen) / max(1, ticks_after - ticks)
    result["seconds"] = round(time.monotonic() - started)
    if options.page:
        with open(options.page, "w", encoding="utf-8") as file:
            file.write(gstreamer_page.page(result))


if __name__ == "__main__":
    main()
