# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who outlives whom, in every order, in many threads, and that nothing is left of it."""
import asyncio
import gc
import itertools
import os
import pickle
import queue
import signal
import threading
import time
import weakref

import numpy as np
import pytest

import cuframes

SHAPE = (48, 64)


def channel(**wishes):
    return cuframes.Publisher("cam", 64, 48, "gray", **wishes)


def filled(value):
    return np.full(SHAPE, value, np.uint8)


def resident_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


# ---- in every order ----

THINGS = ("publisher", "subscriber", "frame", "array", "plane", "tensor")


@pytest.mark.parametrize("first", THINGS)
def test_things_go_in_any_order(first):
    others = [name for name in THINGS if name != first]
    for order in itertools.permutations(others):
        there = {"publisher": channel(slots=3)}
        there["subscriber"] = cuframes.open("cam", timeout=5)
        there["publisher"].send(filled(7))
        there["frame"] = frame = next(there["subscriber"])
        there["array"] = frame.numpy(0)[1:, ::2]
        there["plane"] = frame.planes[0]
        there["tensor"] = np.from_dlpack(frame)
        del frame
        for name in (first, *order):
            del there[name]
            if "publisher" in there:
                for value in range(3):
                    there["publisher"].send(filled(value))
            for left in ("array", "plane", "tensor"):
                assert left not in there or (np.asarray(there[left]) == 7).all()


def test_rings_of_references_are_collected():
    class Keeper:
        pass

    gc.disable()
    try:
        seen = []
        for _ in range(20):
            keeper = Keeper()
            keeper.publisher = channel()
            keeper.subscriber = cuframes.open("cam", timeout=5)
            keeper.publisher.send(filled(1))
            keeper.frame = next(keeper.subscriber)
            keeper.view = keeper.frame.numpy(0)
            keeper.itself = keeper
            seen.append(weakref.ref(keeper))
            del keeper
            gc.collect()
            assert seen[-1]() is None
    finally:
        gc.enable()
    assert cuframes.list() == []


def test_the_interpreter_ends_with_everything_open(script):
    program = script("""
        import asyncio, threading
        import cuframes, numpy
        class Keeper:
            pass
        keeper = Keeper()
        keeper.itself = keeper
        keeper.pub = pub = cuframes.Publisher("cam", 64, 48, "gray")
        keeper.sub = sub = cuframes.open("cam", timeout=20)
        pub.send(numpy.zeros((48, 64), numpy.uint8))
        keeper.frame = frame = next(sub)
        view, plane, tensor = frame.numpy(0), frame.planes[0], numpy.from_dlpack(frame)
        slot = pub.acquire()
        watch = cuframes.watch()
        threading.Thread(target=lambda: next(cuframes.open("cam", name="waits")),
                         daemon=True).start()
        def last():
            keeper.frame.seq, plane.shape, view.sum(), keeper.pub.stats()
        import atexit
        atexit.register(last)
        print("done", flush=True)
    """)
    assert program.line() == "done"
    assert program.end() == 0


# ---- when the other side dies ----

WRITER = """
    import sys
    import cuframes, numpy
    pub = cuframes.Publisher("cam", 64, 48, "gray", slots=5)
    print("ready", flush=True)
    for line in sys.stdin:
        pub.send(numpy.full((48, 64), int(line), numpy.uint8))
"""


def test_a_publisher_is_killed_while_its_frames_are_in_use(script):
    first = script(WRITER)
    assert first.line() == "ready"
    with cuframes.open("cam", timeout=20) as sub:
        first.say("3")
        frame = next(sub).hold()
        view, tensor, plane = frame.numpy(0), np.from_dlpack(frame), memoryview(frame)
        first.kill()
        second = script(WRITER)
        assert second.line() == "ready"
        for value in range(4, 10):
            second.say(str(value))
            assert (next(sub).numpy(0) == value).all()
        # The memory of the one that is gone: as it was.
        for left in (view, tensor, np.asarray(plane), frame.numpy(0), frame.bgr()):
            assert (left == 3).all()
        assert sub.stats()["reconnects"] == 1 and not frame.released
        frame.release()
        del view, tensor, plane
        assert second.end() == 0
        assert cuframes.list() == []


def test_who_waits_is_not_told_of_a_dead_publisher(script, monkeypatch):
    monkeypatch.setattr("cuframes._subscriber.PATIENCE", 0.1)
    dead = script(WRITER)
    assert dead.line() == "ready"
    dead.kill()
    with pytest.warns(UserWarning, match="waiting for a publisher of cam; channels in .*: none"):
        with pytest.raises(cuframes.CuframesFrameTimeout):
            cuframes.open("cam", timeout=0.3)


READER = """
    import sys
    import cuframes
    sub = cuframes.open("cam", timeout=20, max_holds=2)
    frames = []
    for line in sys.stdin:
        frames.append(sub.next_frame().numpy(0))
        print("held", flush=True)
"""


def test_what_a_killed_reader_held_is_free(script):
    with channel(slots=3, max_holds=2) as pub:
        for _ in range(3):
            reader = script(READER)
            while not pub.subscribers():
                time.sleep(0.005)
            for _ in range(2):
                assert pub.send(filled(0)) is not None
                reader.say()
                assert reader.line() == "held"
            assert pub.send(filled(0)) is not None
            assert pub.send(filled(0)) is None  # every slot is held
            reader.kill()
            with pub.frame(wait=5) as buf:
                buf[...] = 1
            assert pub.subscribers() == []


# ---- many frames ----

@pytest.mark.time_limit(120)
def test_100000_frames_leave_nothing():
    picture = filled(5)
    with channel(slots=8) as pub, cuframes.open("cam", timeout=5) as sub:
        kept = None

        def some(count):
            nonlocal kept
            for i in range(count):
                buf = pub.acquire()
                buf[...] = picture
                buf.metadata = b"some"
                seq = buf.publish()
                frame = next(sub)
                view = frame.numpy(0)
                assert frame.seq == seq and view[0, 0] == 5 and frame.dropped == 0
                if i % 16 == 0:
                    kept = frame.hold(), view[1:], frame.planes, memoryview(frame), frame.metadata
                elif i % 16 == 8:
                    kept = frame.copy()
                elif i % 16 == 12:
                    frame.release()

        some(5000)
        kept = None
        gc.collect()
        memory, objects = resident_kib(), len(gc.get_objects())
        descriptors = len(os.listdir("/proc/self/fd"))
        some(100000)
        kept = None
        gc.collect()
        assert resident_kib() - memory < 2048
        assert len(gc.get_objects()) - objects < 100
        assert len(os.listdir("/proc/self/fd")) == descriptors
        # The loop's last frame has no one left that refers to it.
        assert sub.stats()["held"] == 0 and pub.stats()["slots_held"] == 0
        assert sub.frames_received == 105000 and sub.gap_count == 0


def test_subscribers_and_publishers_leave_nothing():
    def some(count):
        for _ in range(count):
            with channel() as pub, cuframes.open("cam", timeout=5) as sub:
                pub.send(filled(1))
                next(sub).numpy(), sub.fileno(), cuframes.info("cam"), cuframes.snapshot("cam")

    some(20)
    gc.collect()
    memory, threads = resident_kib(), len(os.listdir("/proc/self/task"))
    descriptors = len(os.listdir("/proc/self/fd"))
    some(200)
    gc.collect()
    assert resident_kib() - memory < 2048
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert len(os.listdir("/proc/self/task")) == threads


# ---- threads ----

def test_no_thread_sees_a_frame_change():
    """Readers of every kind at once; views are dropped in other threads than they were made in."""
    views, wrong, seen, over = queue.Queue(), [], [0] * 4, threading.Event()

    def publish(pub):
        value = 0
        while not over.is_set():
            value = (value + 1) % 251
            pub.send(filled(value), metadata=bytes([value]))
            time.sleep(0)

    def read(i, sub):
        for frame in sub:
            view = frame.numpy(0)
            if view.min() != view.max() or view[0, 0] != frame.user_data[0]:
                wrong.append(frame.seq)
            seen[i] += 1
            if i == 3:
                views.put((view, view[0, 0]))
            del view
            if over.is_set():
                return

    def drop():
        while not (over.is_set() and views.empty()):
            try:
                view, value = views.get(timeout=0.05)
            except queue.Empty:
                continue
            if view.min() != value or view.max() != value:
                wrong.append(int(value))
            gc.collect(0)

    subs = []
    with channel(slots=24) as pub:
        for i in range(4):
            subs.append(cuframes.open("cam", "order" if i % 2 else "newest", timeout=5))
        # The last one's views wait in the queue: no more of them than it may hold.
        views.maxsize = 1
        threads = [threading.Thread(target=publish, args=(pub,)), threading.Thread(target=drop)]
        threads += [threading.Thread(target=read, args=pair) for pair in enumerate(subs)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 30
        while min(seen) < 200 and time.monotonic() < until and all(map(threading.Thread.is_alive,
                                                                      threads)):
            time.sleep(0.01)
        # Readers that wait are woken by the last frames.
        over.set()
        for thread in threads[2:]:
            while thread.is_alive():
                pub.send(filled(0), metadata=b"\0")
                thread.join(0.01)
        for thread in threads[:2]:
            thread.join()
        for sub in subs:
            sub.close()
    assert wrong == [] and min(seen) >= 200


# ---- asyncio ----

def test_many_cameras_in_one_loop():
    async def main():
        pubs = [cuframes.Publisher(f"cam{i}", 64, 48, "gray") for i in range(8)]
        seen = {pub.key: [] for pub in pubs}

        async def read(key):
            async with cuframes.open(key, timeout=20) as sub:
                async for frame in sub:
                    seen[key].append(int(frame.numpy(0)[0, 0]))
                    if seen[key][-1] == 9:
                        return

        readers = [asyncio.create_task(read(key)) for key in seen]
        for value in range(10):
            await asyncio.sleep(0.01)
            for pub in pubs:
                pub.send(filled(value))
        await asyncio.gather(*readers)
        for pub in pubs:
            pub.close()
        return seen

    threads = threading.active_count()
    for values in asyncio.run(main()).values():
        assert values == sorted(set(values)) and values[-1] == 9
    assert threading.active_count() == threads


def test_a_task_that_is_cancelled_takes_no_frame_with_it():
    async def main():
        with channel(slots=32) as pub, cuframes.open("cam", "order", timeout=20) as sub:
            seen = []
            for i in range(20):
                waiting = asyncio.create_task(anext(sub))
                await asyncio.sleep(0)
                if i % 2:
                    pub.send(filled(i))
                waiting.cancel()
                try:
                    seen.append((await waiting).seq)
                except asyncio.CancelledError:
                    pass
            while len(seen) < 10:
                seen.append((await anext(sub)).seq)
            return seen

    assert asyncio.run(main()) == list(range(10))


def test_ctrl_c_in_asyncio(script):
    program = script("""
        import asyncio
        import cuframes
        async def main():
            with cuframes.Publisher("cam", 4, 2, "gray"):
                async with cuframes.open("cam") as sub:
                    print("ready", flush=True)
                    async for frame in sub:
                        pass
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted", flush=True)
    """)
    assert program.line() == "ready"
    program.process.send_signal(signal.SIGINT)
    assert program.line() == "interrupted"
    assert program.end() == 0


# ---- signals ----

def test_a_signal_whose_handler_returns_ends_no_wait():
    called = []
    before = signal.signal(signal.SIGALRM, lambda *_: called.append(1))
    try:
        with channel() as pub, cuframes.open("cam", timeout=20) as sub:
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
            start = time.monotonic()
            with pytest.raises(cuframes.CuframesFrameTimeout):
                sub.next_frame(300)
            assert 0.29 < time.monotonic() - start < 10 and len(called) > 2
            later = threading.Timer(0.1, pub.send, (filled(4),))
            later.start()
            assert (next(sub).numpy(0) == 4).all()
            later.join()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_exception_of_a_handler_leaves_the_subscriber_as_it_was():
    class Enough(Exception):
        pass

    def handler(*_):
        raise Enough

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with channel() as pub, cuframes.open("cam", timeout=20) as sub:
            for value in range(5):
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                with pytest.raises(Enough):
                    next(sub)
                pub.send(filled(value))
                assert (next(sub).numpy(0) == value).all()
            assert sub.stats()["held"] <= 1 and sub.gap_count == 0
    finally:
        signal.signal(signal.SIGALRM, before)


# ---- other processes ----

def first_pixel(sub):
    with sub:
        return int(next(sub).numpy(0)[0, 0]), sub.mode, sub.timeout


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_subscribers_go_to_other_processes(script, method):
    program = script("""
        import concurrent.futures, multiprocessing, sys
        sys.path.insert(0, sys.argv[1])
        if __name__ == "__main__":
            import cuframes, numpy
            from test_lifetimes import first_pixel
            context = multiprocessing.get_context(sys.argv[2])
            with cuframes.Publisher("cam", 64, 48, "gray") as pub, \\
                    cuframes.open("cam", "order", timeout=20) as sub, \\
                    concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
                pub.send(numpy.full((48, 64), 6, numpy.uint8))
                for told in [pool.submit(first_pixel, sub) for _ in range(4)]:
                    assert told.result() == (6, cuframes.SubscriberMode.STRICT_ORDER, 20), told
                assert next(sub).seq == 0
            print("done", flush=True)
    """, os.path.dirname(__file__), method)
    assert program.line() == "done"
    assert program.end() == 0


def test_a_pickled_subscriber_wants_what_the_first_wanted():
    wishes = {"mode": "order", "fps": 5.0, "every": 2, "timeout": 7.5, "reconnect": False}
    with channel(), cuframes.open("cam", **wishes) as sub:
        with pickle.loads(pickle.dumps(sub)) as copy:
            assert not copy.connected
            assert (copy.key, copy.mode, copy.timeout) == (sub.key, sub.mode, sub.timeout)
            assert copy._again == sub._again
            copy.connect(5)
            assert copy.info == sub.info


# ---- libraries that get views ----

def test_opencv_and_pillow_on_views():
    cv2, image = pytest.importorskip("cv2"), pytest.importorskip("PIL.Image")
    picture = np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)
    with cuframes.Publisher("cam", 64, 48, "rgb", slots=3) as pub, \
            cuframes.open("cam", timeout=5) as sub:
        pub.send(picture)
        view = next(sub).numpy(0)
        assert np.array_equal(cv2.flip(view, 0), picture[::-1])
        assert np.array_equal(cv2.resize(view, (32, 24)), cv2.resize(picture, (32, 24)))
        with pytest.raises(ValueError):
            view.fill(0)
        with pytest.raises(ValueError):
            view.setflags(write=True)
        shown = image.fromarray(view)
        del view
        for _ in range(5):
            pub.send(np.zeros_like(picture))
        assert np.array_equal(np.asarray(shown), picture)
        assert np.array_equal(np.asarray(shown.rotate(180)), picture[::-1, ::-1])
        with pub.frame() as buf:
            drawn = buf.numpy(0)
            drawn[...] = 0
            cv2.rectangle(drawn, (0, 0), (63, 47), (1, 2, 3), -1)
            del drawn
        assert (next(sub).numpy(0) == (1, 2, 3)).all()
