# SPDX-License-Identifier: LGPL-2.1-or-later
"""The pictures through Python's multiprocessing.shared_memory with semaphores.

    share_python.py FRAMES INTERVAL_US

As programs of this kind are usually written: one place in shared memory, a semaphore that says
that it is full and one that says that it is free; the reader copies the picture out and gives the
place back before it works on its copy. The writer draws into the shared memory. share.h says what
drawing, reading and the printed lines are; both sides are forked from here, because semaphores of
multiprocessing cannot be found by name.
"""
import json
import multiprocessing
import sys
import time
from multiprocessing import shared_memory

import numpy

SIZE = 1920 * 1080 * 3 // 2
PICTURES = 4
PATIENCE_S = 20


class Meter:
    def __init__(self, side, frames):
        self.side, self.frames, self.done = side, frames, 0
        self.latency_ns, self.sum = [], 0

    def count(self):
        if self.done == 0:
            self.start, self.cpu = time.monotonic_ns(), time.process_time_ns()
        self.done += 1
        if self.done == self.frames:
            self.end, self.cpu_end = time.monotonic_ns(), time.process_time_ns()

    def finish(self):
        # One write for the line and its end: the other process writes to the same pipe.
        sys.stdout.write(json.dumps({
            "side": self.side, "frames": self.done - 1, "seconds": (self.end - self.start) / 1e9,
            "cpu_s": (self.cpu_end - self.cpu) / 1e9, "sum": self.sum % 2**64,
            "latency_ns": self.latency_ns[1:]}) + "\n")
        sys.stdout.flush()


def acquire(semaphore):
    if not semaphore.acquire(timeout=PATIENCE_S):
        sys.exit("share_python: the other side does not answer")


def write(name, frames, interval_ns, full, free):
    shared = shared_memory.SharedMemory(name)
    view = numpy.ndarray(SIZE, numpy.uint8, shared.buf)
    stamp = numpy.ndarray(1, numpy.int64, shared.buf)
    places = numpy.arange(SIZE, dtype=numpy.uint32) * 7
    pictures = [(places + i * 31).astype(numpy.uint8) for i in range(PICTURES)]
    meter = Meter("write", frames)
    due = None
    for i in range(frames):
        if interval_ns and i > 0:
            due = (due or time.monotonic_ns()) + interval_ns
            time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        acquire(free)
        numpy.copyto(view, pictures[i % PICTURES])
        stamp[0] = time.monotonic_ns()
        meter.count()
        full.release()
    meter.finish()
    del view, stamp
    shared.close()


def read(name, frames, full, free):
    shared = shared_memory.SharedMemory(name)
    view = numpy.ndarray(SIZE, numpy.uint8, shared.buf)
    private = numpy.empty(SIZE, numpy.uint8)
    meter = Meter("read", frames)
    for _ in range(frames):
        acquire(full)
        numpy.copyto(private, view)
        free.release()
        now = time.monotonic_ns()
        words = private.view(numpy.uint64)
        meter.latency_ns.append(now - int(words[0]))
        meter.sum += int(words.sum())
        meter.count()
    meter.finish()
    del view
    shared.close()


def main():
    frames, interval_ns = int(sys.argv[1]), int(sys.argv[2]) * 1000
    context = multiprocessing.get_context("fork")
    shared = shared_memory.SharedMemory(create=True, size=SIZE)
    full, free = context.Semaphore(0), context.Semaphore(1)
    sides = [context.Process(target=read, args=(shared.name, frames, full, free)),
             context.Process(target=write, args=(shared.name, frames, interval_ns, full, free))]
    try:
        for side in sides:
            side.start()
        for side in sides:
            side.join()
    finally:
        shared.close()
        shared.unlink()
    sys.exit(any(side.exitcode for side in sides))


if __name__ == "__main__":
    main()
