# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ctrl-C and other signals in waits that are not made in slices: for a publisher and its answer, for a
slot under the wait policy, and in groups."""
import signal
import textwrap
import threading
import time

import numpy as np
import pytest

import cuframes

PICTURE = np.zeros((48, 64), np.uint8)


def full_channel():
    """A channel whose next slot waits for a reader for ever; and that reader."""
    pub = cuframes.Publisher("cam", 64, 48, "gray", slots=4, policy="wait", ack_timeout=None)
    sub = cuframes.open("cam", "order", timeout=20)
    for _ in range(4):
        pub.send(PICTURE)
    return pub, sub


FULL = """
    import cuframes, numpy
    picture = numpy.zeros((48, 64), numpy.uint8)
    pub = cuframes.Publisher("cam", 64, 48, "gray", slots=4, policy="wait", ack_timeout=None)
    sub = cuframes.open("cam", "order", timeout=20)
    for _ in range(4):
        pub.send(picture)
"""
RANK = """
    import cuframes
    group = cuframes.Group("g", 2, 0, timeout=None)
"""
WAITS = {
    "acquire": (FULL, "pub.acquire()"),
    "frame": (FULL, "pub.frame()"),
    "send": (FULL, "pub.send(picture)"),
    "join": ("import cuframes", "cuframes.Group('g', 3, 0, timeout=None)"),
    "barrier": (RANK, "group.barrier()"),
    "all_gather": (RANK, "group.all_gather(b'mine')"),
    "broadcast": (RANK, "group.broadcast(1)"),
    "all_gather_fds": (RANK, "group.all_gather_fds([0])"),
    "broadcast_fds": (RANK, "group.broadcast_fds(1)"),
    "connect": ("import cuframes", "cuframes.open('nobody')"),
    "no answer": ("import cuframes", "cuframes.open('stopped')"),
    "info": ("import cuframes", "cuframes.info('stopped', timeout=30)"),
    "snapshot": ("import cuframes", "cuframes.snapshot('nobody', timeout=30)"),
    "packets": ("import cuframes", "cuframes.packets('nobody')"),
    "VideoCapture": ("import cuframes", "cuframes.VideoCapture('nobody', timeout=None)"),
}


@pytest.fixture
def stopped(script):
    """A channel whose publisher is there and says nothing."""
    program = script("import cuframes\npub = cuframes.Publisher('stopped', 4, 2)\n"
                     "print('ready', flush=True)\ninput()")
    assert program.line() == "ready"
    program.process.send_signal(signal.SIGSTOP)
    yield
    program.process.send_signal(signal.SIGCONT)
    program.say()
    assert program.end() == 0


@pytest.mark.parametrize("name", WAITS)
def test_ctrl_c(request, script, name):
    before, wait = WAITS[name]
    if "stopped" in wait:
        request.getfixturevalue("stopped")
    program = script(f"{textwrap.dedent(before)}\nprint('ready', flush=True)\ntry:\n    {wait}\n"
                     "except KeyboardInterrupt:\n    print('interrupted', flush=True)\n")
    other = cuframes.Group("g", 2, 1) if before is RANK else None
    assert program.line() == "ready"
    time.sleep(0.2)
    start = time.monotonic()
    program.process.send_signal(signal.SIGINT)
    assert program.line() == "interrupted"
    assert time.monotonic() - start < 3
    if other:
        with pytest.raises(cuframes.CuframesPublisherGone, match="rank 0"):
            other.barrier()
        other.close()
    assert program.end() == 0


@pytest.fixture
def alarm():
    """Calls a handler soon, again and again."""
    def start(handler, every=0.02):
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, every, every)

    before = signal.getsignal(signal.SIGALRM)
    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_handler_that_returns_ends_nothing(alarm, script):
    called = []
    pub, sub = full_channel()
    with pub, sub:
        reader = threading.Timer(0.4, lambda: [sub.next_frame(5000).release() for _ in range(2)])
        reader.start()
        alarm(lambda *_: called.append(1))
        assert pub.send(PICTURE) == 4
        assert called
        reader.join()
    called.clear()
    program = script("""
        import cuframes, sys
        with cuframes.Group("g", 2, 1) as group:
            sys.stdin.readline()
            print(group.all_gather(b"two"), flush=True)
    """)
    with cuframes.Group("g", 2, 0) as group:
        late = threading.Timer(0.4, program.say)
        late.start()
        assert group.all_gather(b"one") == [b"one", b"two"]
        late.join()
        assert called and program.end() == 0


def test_after_an_interrupted_wait_the_channel_goes_on(alarm):
    def stop(*_):
        raise RuntimeError("enough")

    pub, sub = full_channel()
    with pub, sub:
        alarm(stop)
        with pytest.raises(RuntimeError, match="enough"):
            pub.send(PICTURE)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert [next(sub).seq for _ in range(4)] == [0, 1, 2, 3]
        assert pub.send(PICTURE) == 4 and next(sub).seq == 4
        assert pub.stats()["evicted"] == 0 and pub.stats()["dropped"] == 0


def test_closing_ends_the_wait_of_another_thread():
    pub, sub = full_channel()
    with sub:
        closer = threading.Timer(0.2, pub.close)
        closer.start()
        with pytest.raises(cuframes.CuframesInvalidArgument, match="closed"):
            pub.send(PICTURE)
        closer.join()
        assert pub.closed
