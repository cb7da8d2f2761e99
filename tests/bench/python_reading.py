# SPDX-License-Identifier: LGPL-2.1-or-later
"""What frames cost in Python, beside C and beside the ways that Python programs share pictures.

    python_reading.py COMMAND [--quick]    prints JSON; COMMAND is the command cuframes

Needs the package cuframes and NumPy; OpenCV for the part about colours. What is compared takes
turns, each way in processes of its own.
"""
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import shared_memory

import cuframes
import numpy as np

WIDTH, HEIGHT = 1920, 1080
SHAPE = (HEIGHT * 3 // 2, WIDTH)
SIZES = ((320, 240), (1920, 1080), (3840, 2160))
PATIENCE_S = 30
PACE_S = 0.005
# Pictures that do not count: memory is touched for the first time.
WARM = 10
FORK = multiprocessing.get_context("fork")


def spread(samples):
    samples = sorted(samples)
    return {"p50": samples[len(samples) // 2], "p99": samples[len(samples) * 99 // 100],
            "samples": len(samples)}


def keep_to(core):
    """One core for each side, where there is more than one."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core % len(cores)]})


# ---- from publish to awake ----

def publish_for_ever(key):
    keep_to(0)
    with cuframes.Publisher(key, WIDTH, HEIGHT, "nv12") as pub:
        while True:
            buffer = pub.acquire()
            if buffer is not None:
                buffer.publish()
            time.sleep(0.001)


def ages(key, frames, pipe):
    """Python's side: how old each frame is when the loop has it."""
    keep_to(1)
    taken, now_ns = [], cuframes.now_ns
    with cuframes.open(key, timeout=PATIENCE_S) as sub:
        for frame in sub:
            taken.append(now_ns() - frame.published_ns)
            if len(taken) == frames:
                break
    pipe.send(taken)


def wake(command, quick):
    frames, rounds = (50, 2) if quick else (1000, 7)
    publisher = FORK.Process(target=publish_for_ever, args=("wake",))
    publisher.start()
    python, c = [], []
    try:
        for _ in range(rounds):
            here, there = FORK.Pipe()
            reader = FORK.Process(target=ages, args=("wake", frames, there))
            reader.start()
            python.append(spread(here.recv())["p50"] / 1000)
            reader.join()
            said = subprocess.run(
                ["taskset", "-c", str(sorted(os.sched_getaffinity(0))[-1]), command, "sub", "wake",
                 "--frames", str(frames), "--json"], stdout=subprocess.PIPE,
                timeout=PATIENCE_S, check=True).stdout
            c.append(json.loads(said)["latency_us"]["p50"])
    finally:
        publisher.kill()
        publisher.join()
    return {"python_us": statistics.median(python), "c_us": statistics.median(c),
            "ratio": statistics.median(a / b for a, b in zip(python, c)),
            "rounds": rounds, "frames": frames}


# ---- what a step costs ----

def clock_us():
    clock = time.perf_counter_ns
    return statistics.median(-(clock() - clock()) for _ in range(10000)) / 1000


def timed(count, prepare, step):
    """Microseconds of step(), without what reading the clock takes; prepare() is not measured."""
    clock, samples = time.perf_counter_ns, []
    for _ in range(count):
        prepare()
        start = clock()
        step()
        samples.append(clock() - start)
    less = clock_us()
    return {name: value / 1000 - less if name != "samples" else value
            for name, value in spread(samples[count // 10:]).items()}


def iteration(quick):
    count = 1000 if quick else 50000
    with cuframes.Publisher("step", WIDTH, HEIGHT, "nv12") as pub, \
            cuframes.open("step", "order", timeout=PATIENCE_S) as sub:
        def publish():
            pub.acquire().publish()

        def step():
            frame = next(sub)
            frame.seq, frame.pts, frame.dropped, frame.width, frame.height, frame.format
            frame.release()

        def bare():
            next(sub).release()

        return {"whole": timed(count, publish, step), "bare": timed(count, publish, bare)}


def views(quick):
    count, result = 1000 if quick else 50000, []
    for width, height in SIZES:
        with cuframes.Publisher("view", width, height, "nv12") as pub, \
                cuframes.open("view", timeout=PATIENCE_S) as sub:
            pub.acquire().publish()
            frame = next(sub)
            one = {"width": width, "height": height}
            for name, step in (("plane", lambda: frame.numpy(0)), ("planes", frame.numpy),
                               ("asarray", lambda: np.asarray(frame))):
                one[name] = timed(count, lambda: None, step)
            result.append(one)
    return result


def colours(quick):
    """bgr() into an array that is there, beside OpenCV's conversion of private memory into one."""
    try:
        import cv2
    except ImportError:
        return None
    rounds = 5 if quick else 100
    private = np.random.default_rng(1).integers(0, 255, SHAPE, np.uint8)
    # An array each: OpenCV's threads leave parts of theirs in the other cores' caches.
    outs = {name: np.zeros((HEIGHT, WIDTH, 3), np.uint8) for name in ("opencv", "bt601", "bt709")}
    steps = {"opencv": lambda: cv2.cvtColor(private, cv2.COLOR_YUV2BGR_NV12, dst=outs["opencv"])}
    subs = []
    for matrix in ("bt601", "bt709"):
        pub = cuframes.Publisher(matrix, WIDTH, HEIGHT, "nv12", color=matrix + "-limited")
        subs += [pub, cuframes.open(matrix, timeout=PATIENCE_S)]
        pub.send(private)
        steps[matrix] = lambda frame=next(subs[-1]), out=outs[matrix]: frame.bgr(out=out)
    samples = {name: [] for name in steps}
    for i in range(rounds):
        turn = list(steps.items())
        for name, step in turn[i % 3:] + turn[:i % 3]:
            start = time.perf_counter_ns()
            step()
            samples[name].append((time.perf_counter_ns() - start) / 1000)
    for one in subs:
        one.close()
    result = {name: statistics.median(some) for name, some in samples.items()}
    for matrix in ("bt601", "bt709"):
        result[matrix + "_ratio"] = statistics.median(
            a / b for a, b in zip(samples[matrix], samples["opencv"]))
    return dict(result, opencv_version=cv2.__version__, rounds=rounds)


# ---- ways to share ----
# A way is made before the two sides are forked. write() brings a picture over, begun with the time
# at which it was drawn; read() gives an array with it, which is good until the next read().

class Cuframes:
    """Drawn into the slot, read in place; none is lost."""

    def begin_writing(self):
        self.pub = cuframes.Publisher("way", WIDTH, HEIGHT, "nv12", policy="wait",
                                      ack_timeout=PATIENCE_S)
        until = time.monotonic() + PATIENCE_S
        while not self.pub.subscribers() and time.monotonic() < until:
            time.sleep(0.001)

    def begin_reading(self):
        self.sub = cuframes.open("way", "order", timeout=PATIENCE_S)

    def write(self, picture):
        with self.pub.frame(wait=PATIENCE_S) as buffer:
            slot = np.asarray(buffer)
            np.copyto(slot, picture)
            stamp(slot)

    def read(self):
        return np.asarray(next(self.sub))

    def end_writing(self):
        # The reader has its last frame when it has gone.
        until = time.monotonic() + PATIENCE_S
        while self.pub.subscribers() and time.monotonic() < until:
            time.sleep(0.001)
        self.pub.close()

    def end_reading(self):
        self.sub.close()


class SharedMemory:
    """multiprocessing.shared_memory with two semaphores, read in place: one side at a time."""

    copies = False

    def __init__(self):
        self.memory = shared_memory.SharedMemory(create=True, size=WIDTH * HEIGHT * 3 // 2)
        self.full, self.free, self.busy = FORK.Semaphore(0), FORK.Semaphore(1), False

    def begin_writing(self):
        self.view = np.ndarray(SHAPE, np.uint8, self.memory.buf)

    def begin_reading(self):
        self.begin_writing()
        self.private = np.empty(SHAPE, np.uint8)

    def write(self, picture):
        take(self.free)
        np.copyto(self.view, picture)
        stamp(self.view)
        self.full.release()

    def read(self):
        if self.busy:
            self.free.release()
        take(self.full)
        self.busy = not self.copies
        if not self.copies:
            return self.view
        np.copyto(self.private, self.view)
        self.free.release()
        return self.private

    def end_writing(self):
        del self.view

    def end_reading(self):
        del self.view

    def clear(self):
        self.memory.close()
        self.memory.unlink()


class CopiedSharedMemory(SharedMemory):
    """The same memory, copied out, so that the writer can go on."""

    copies = True


class Queue:
    """multiprocessing.Queue, two pictures long."""

    def __init__(self):
        self.queue = FORK.Queue(2)

    def begin_writing(self):
        pass

    begin_reading = end_reading = begin_writing

    def write(self, picture):
        picture = picture.copy()
        stamp(picture)
        self.queue.put(picture, timeout=PATIENCE_S)

    def read(self):
        return self.queue.get(timeout=PATIENCE_S)

    def end_writing(self):
        self.queue.close()
        self.queue.join_thread()


class Pipe:
    """multiprocessing.Pipe: an array pickled on one side, made anew on the other."""

    def __init__(self):
        self.reader, self.writer = FORK.Pipe(duplex=False)

    def begin_writing(self):
        self.private = np.empty(SHAPE, np.uint8)

    def begin_reading(self):
        pass

    end_reading = end_writing = begin_reading

    def write(self, picture):
        np.copyto(self.private, picture)
        stamp(self.private)
        self.writer.send(self.private)

    def read(self):
        if not self.reader.poll(PATIENCE_S):
            sys.exit("the writer does not answer")
        return self.reader.recv()


WAYS = {"cuframes": Cuframes, "shared_memory": SharedMemory,
        "shared_memory_copied": CopiedSharedMemory, "queue": Queue, "pipe": Pipe}


def take(semaphore):
    if not semaphore.acquire(timeout=PATIENCE_S):
        sys.exit("the other side does not answer")


def stamp(array):
    array[0, :8].view(np.int64)[0] = time.monotonic_ns()


def write_all(way, frames, pace, pipe):
    picture = np.random.default_rng(2).integers(0, 255, SHAPE, np.uint8)
    way.begin_writing()
    for i in range(WARM + frames):
        if pace:
            time.sleep(pace)
        if i == WARM:
            cpu = time.process_time()
        way.write(picture)
    cpu = time.process_time() - cpu
    way.end_writing()
    pipe.send(cpu)


def read_all(way, frames, pipe):
    way.begin_reading()
    latency = []
    for i in range(WARM + frames):
        array = way.read()
        latency.append((time.monotonic_ns() - int(array[0, :8].view(np.int64)[0])) / 1000)
        array.max()  # every byte is read
        if i == WARM - 1:
            start, cpu = time.monotonic(), time.process_time()
        del array
    seconds, cpu = time.monotonic() - start, time.process_time() - cpu
    way.end_reading()
    pipe.send((latency[WARM:], seconds, cpu))


def run_way(name, frames, pace):
    way = WAYS[name]()
    writer_pipe, reader_pipe = FORK.Pipe(), FORK.Pipe()
    sides = [FORK.Process(target=write_all, args=(way, frames, pace, writer_pipe[1])),
             FORK.Process(target=read_all, args=(way, frames, reader_pipe[1]))]
    try:
        for side in sides:
            side.start()
        for pipe in (reader_pipe[0], writer_pipe[0]):
            if not pipe.poll(4 * PATIENCE_S):
                raise RuntimeError(f"{name} does not come to its end")
        latency, seconds, cpu = reader_pipe[0].recv()
        writer_cpu = writer_pipe[0].recv()
        for side in sides:
            side.join()
    finally:
        for side in sides:
            side.kill()
            side.join()
        if hasattr(way, "clear"):
            way.clear()
    return {"fps": frames / seconds, "writer_cpu_us": writer_cpu / frames * 1e6,
            "reader_cpu_us": cpu / frames * 1e6, "latency_us": spread(latency)["p50"],
            "latency_p99_us": spread(latency)["p99"]}


def ways(quick):
    frames, rounds = (20, 1) if quick else (300, 3)
    names = list(WAYS)
    flat_out, paced = ({name: [] for name in names} for _ in range(2))
    for i in range(rounds):
        for name in names[i % len(names):] + names[:i % len(names)]:
            flat_out[name].append(run_way(name, frames, 0))
            paced[name].append(run_way(name, frames // 2, PACE_S))
    return {name: {
        "flat_out": {figure: statistics.median(one[figure] for one in flat_out[name])
                     for figure in flat_out[name][0]},
        "paced": {figure: statistics.median(one[figure] for one in paced[name])
                  for figure in paced[name][0]}} for name in names}


def main():
    command, quick = sys.argv[1], "--quick" in sys.argv[2:]
    with tempfile.TemporaryDirectory(prefix="cfp-") as directory:
        os.environ["CUFRAMES_RUNTIME_DIR"] = directory
        result = {"wake": wake(command, quick), "iteration": iteration(quick),
                  "views": views(quick), "colours": colours(quick), "ways": ways(quick)}
    json.dump(result, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
