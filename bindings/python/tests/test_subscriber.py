# SPDX-License-Identifier: LGPL-2.1-or-later
"""Subscribers: modes, waits, signals, threads, asyncio, pickling, fork, and the names of 0.4."""
import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import cuframes

ZERO = np.zeros((2, 4), np.uint8)

PUBLISH = """
    import sys, time
    import cuframes
    with cuframes.Publisher(sys.argv[1], 4, 2, "gray") as pub:
        print("ready", flush=True)
        for line in sys.stdin:
            buffer = pub.acquire()
            memoryview(buffer).cast("B")[:] = b"12345678"
            buffer.publish()
"""


def publisher(key="cam", **wishes):
    return cuframes.Publisher(key, 4, 2, "gray", **wishes)


def test_newest_and_order():
    with publisher() as pub, cuframes.open("cam", timeout=5) as newest, \
            cuframes.open("cam", "order", timeout=5) as order:
        for _ in range(5):
            pub.send(ZERO)
        assert next(newest).seq == 4 and newest.last_seq == 4
        assert [next(order).seq for _ in range(5)] == [0, 1, 2, 3, 4]
        pub.send(ZERO)
        assert next(newest).dropped == 0
        pub.send(ZERO)
        pub.send(ZERO)
        assert next(newest).dropped == 1 and newest.gap_count >= 1


def test_every_and_fps():
    with publisher(slots=16) as pub, cuframes.open("cam", "order", every=3, timeout=5) as third, \
            cuframes.open("cam", "order", fps=1, timeout=0.05) as slow:
        for _ in range(9):
            pub.send(ZERO)
        assert [next(third).seq for _ in range(3)] == [0, 3, 6]
        assert next(slow).seq == 0
        with pytest.raises(cuframes.CuframesFrameTimeout):
            next(slow)


def test_wrong_arguments():
    with pytest.raises(cuframes.CuframesInvalidArgument, match="mode"):
        cuframes.open("cam", mode="oldest")
    with pytest.raises(cuframes.CuframesInvalidArgument, match="A-Z"):
        cuframes.open("no key")
    with pytest.raises(ValueError, match="device"):
        cuframes.open("cam", device="gpu")
    with pytest.raises(cuframes.CuframesInvalidArgument, match="every"):
        cuframes.open("cam", every=0)
    with pytest.raises(cuframes.CuframesInvalidArgument, match="fps"):
        cuframes.open("cam", fps=-1)
    with pytest.raises(TypeError):
        cuframes.open()
    with pytest.raises(ValueError, match="format"):
        cuframes.Publisher("cam", 4, 2, "jpeg")
    with pytest.raises(cuframes.CuframesInvalidArgument):
        cuframes.Publisher("cam", 0, 2, "gray")
    with pytest.raises(cuframes.CuframesInvalidArgument, match="64"):
        publisher(allowed_users=range(65))
    with pytest.raises(cuframes.CuframesInvalidArgument, match="not -1"):
        publisher(allowed_users=[-1])
    with publisher(allowed_users=[0]) as pub:
        with pytest.raises(cuframes.CuframesAlreadyExists) as error:
            publisher()
        assert error.value.code == -8
        with pytest.raises(cuframes.CuframesInvalidArgument, match=r"\(2, 4\)"):
            pub.send(np.zeros((4, 2), np.uint8))
        with pytest.raises(cuframes.CuframesInvalidArgument, match="uint8"):
            pub.send(np.zeros((2, 4), np.float32))
        with pytest.raises(cuframes.CuframesInvalidArgument, match="1024"):
            pub.send(ZERO, metadata=b"x" * 1025)
        assert pub.stats()["published"] == 0
        with cuframes.open("cam", timeout=5, name="me"):
            with pytest.raises(cuframes.CuframesAlreadyExists):
                cuframes.open("cam", timeout=5, name="me")


def test_classes_cannot_be_made_from_nothing():
    for made in (cuframes.Frame, cuframes.Buffer, cuframes.Plane, cuframes._cuframes.Frame):
        with pytest.raises(TypeError):
            made()
    with pytest.raises(cuframes.CuframesInvalidArgument, match="closed"):
        next(cuframes.Subscriber.__new__(cuframes.Subscriber))
    with pytest.raises(cuframes.CuframesInvalidArgument, match="closed"):
        cuframes.Publisher.__new__(cuframes.Publisher).stats()


def test_timeouts():
    start = time.monotonic()
    with pytest.raises(cuframes.CuframesFrameTimeout, match="cuframes.list") as error:
        cuframes.open("cam", timeout=0.2)
    assert isinstance(error.value, TimeoutError) and error.value.code == -7
    assert 0.15 < time.monotonic() - start < 5
    with pytest.raises(cuframes.CuframesPublisherGone):
        cuframes.subscribe("cam", connect_timeout_ms=0)
    with publisher(), cuframes.open("cam", timeout=0.1) as sub:
        with pytest.raises(cuframes.CuframesFrameTimeout):
            next(sub)
        with pytest.raises(cuframes.CuframesFrameTimeout):
            sub.next_frame(0)
        assert sub.poll() is None
        assert sub.timeouts == 3


def test_who_waits_for_nobody_is_told_what_is_there(monkeypatch):
    monkeypatch.setattr("cuframes._subscriber.PATIENCE", 0.1)
    with publisher("other"):
        with pytest.warns(UserWarning, match="cam; channels in .*: other"):
            with pytest.raises(cuframes.CuframesFrameTimeout):
                cuframes.open("cam", timeout=0.3)


def test_the_loop_ends_or_goes_on_when_the_publisher_goes(script):
    first = script(PUBLISH, "cam")
    assert first.line() == "ready"
    with cuframes.open("cam", timeout=5, reconnect=False) as ends, \
            cuframes.open("cam", timeout=5) as goes_on:
        first.say()
        assert [frame.seq for frame in (next(ends), next(goes_on))] == [0, 0]
        first.kill()
        assert list(ends) == []
        with pytest.raises(cuframes.CuframesPublisherGone):
            ends.next_frame()
        second = script(PUBLISH, "cam")
        assert second.line() == "ready"
        second.say()
        frame = next(goes_on)
        assert frame.flags & cuframes.FrameFlags.DISCONTINUITY
        assert goes_on.stats()["reconnects"] == 1
        assert second.end() == 0


def test_ctrl_c_while_it_waits(script):
    for wait in ("next(cuframes.open('cam'))", "cuframes.open('nobody')",
                 "cuframes.open('cam').next_frame()",
                 "cuframes.wait_any([cuframes.open('cam')])", "next(iter(cuframes.Watch()))"):
        with publisher():
            program = script(f"""
                import cuframes
                watch = cuframes.Watch()
                assert watch.next(5)
                cuframes.Watch.__iter__ = lambda self: watch
                print("ready", flush=True)
                try:
                    {wait}
                except KeyboardInterrupt:
                    print("interrupted", flush=True)
            """)
            assert program.line() == "ready"
            time.sleep(0.2)
            start = time.monotonic()
            program.process.send_signal(signal.SIGINT)
            assert program.line() == "interrupted"
            assert time.monotonic() - start < 3
            assert program.end() == 0


def test_a_signal_handler_can_close_what_is_waited_for(script):
    with publisher():
        program = script("""
            import signal
            import cuframes
            sub = cuframes.open("cam")

            def stop(number, frame):
                try:
                    sub.poll()
                except cuframes.CuframesInvalidArgument as error:
                    print("signal handler" in str(error), flush=True)
                sub.close()

            signal.signal(signal.SIGTERM, stop)
            print("ready", flush=True)
            try:
                next(sub)
            except cuframes.CuframesInvalidArgument as error:
                print(error, sub.closed, flush=True)
        """)
        assert program.line() == "ready"
        time.sleep(0.2)
        program.process.send_signal(signal.SIGTERM)
        assert program.line() == "True"
        assert program.line() == "this subscriber of cam is closed True"
        assert program.end() == 0


def test_others_run_while_one_waits():
    with publisher(), cuframes.open("cam", timeout=0.3) as sub:
        steps = []

        def count():
            until = time.monotonic() + 0.25
            while time.monotonic() < until:
                steps.append(1)

        thread = threading.Thread(target=count)
        thread.start()
        with pytest.raises(cuframes.CuframesFrameTimeout):
            next(sub)
        thread.join()
        assert len(steps) > 1000


def test_threads_share_a_subscriber():
    with publisher(slots=64) as pub, cuframes.open("cam", "order", timeout=0.5,
                                                   max_holds=8) as sub:
        seen = []

        def read():
            try:
                while True:
                    with sub.next_frame(500) as frame:
                        seen.append(frame.seq)
            except cuframes.CuframesFrameTimeout:
                pass

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            pub.send(ZERO)
            time.sleep(0.0002)
        for thread in threads:
            thread.join()
        assert len(set(seen)) == len(seen) and len(seen) + sub.gap_count == 200


def test_close_while_another_thread_waits():
    with publisher(), cuframes.open("cam") as sub:
        told = []

        def read():
            try:
                next(sub)
            except cuframes.CuframesInvalidArgument as error:
                told.append(str(error))

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.1)
        sub.close()
        thread.join(5)
        assert told and "closed" in told[0]
        assert sub.closed
        with pytest.raises(cuframes.CuframesInvalidArgument):
            sub.poll()


def test_frames_outlive_their_subscriber_and_publisher():
    with publisher() as pub:
        with cuframes.open("cam", timeout=5) as sub:
            pub.send(np.full((2, 4), 7, np.uint8))
            frame = next(sub)
        array = frame.numpy(0)
    del frame, sub, pub
    assert (array == 7).all()


@pytest.mark.parametrize("by_a_thread", [False, True])
def test_close_ends_a_wait_in_asyncio(by_a_thread):
    async def main(sub):
        waiting = asyncio.create_task(anext(sub))
        await asyncio.sleep(0.05)
        if by_a_thread:
            await asyncio.to_thread(sub.close)
        else:
            sub.close()
        with pytest.raises(cuframes.CuframesInvalidArgument, match="closed"):
            await asyncio.wait_for(waiting, 2)
        # The number may be another's now, which the loop takes like any.
        ends = os.pipe()
        for end in ends:
            asyncio.get_running_loop().add_reader(end, print)
            assert asyncio.get_running_loop().remove_reader(end)
            os.close(end)

    with cuframes.Publisher("cam", 4, 2, "gray"):
        asyncio.run(main(cuframes.open("cam", timeout=5)))


def test_asyncio():
    async def main():
        with publisher() as pub:
            async with cuframes.open("cam", timeout=5) as sub:
                seen, ticks = [], []

                async def tick():
                    while True:
                        await asyncio.sleep(0.005)
                        ticks.append(1)

                async def send():
                    for _ in range(5):
                        await asyncio.sleep(0.03)
                        pub.send(ZERO)

                ticking, sending = asyncio.create_task(tick()), asyncio.create_task(send())
                async for frame in sub:
                    seen.append(frame.seq)
                    if len(seen) == 5:
                        break
                await sending
                ticking.cancel()
                assert seen == [0, 1, 2, 3, 4] and len(ticks) > 10
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(anext(sub), 0.05)
                pub.send(ZERO)
                assert (await anext(sub)).seq == 5
                first = asyncio.create_task(anext(sub))
                await asyncio.sleep(0.01)
                with pytest.raises(cuframes.CuframesInvalidArgument, match="another task"):
                    await anext(sub)
                pub.send(ZERO)
                assert (await first).seq == 6

    asyncio.run(main())


def test_asyncio_timeouts_and_ends():
    async def main():
        with publisher() as pub:
            sub = cuframes.open("cam", timeout=0.05, reconnect=False)
            with pytest.raises(cuframes.CuframesFrameTimeout):
                await anext(sub)
            later = pickle.loads(pickle.dumps(sub))
            pub.send(ZERO)
            assert (await anext(sub)).seq == 0 and (await anext(later)).seq == 0
        assert [frame async for frame in sub] == []
        sub.close()
        later.close()

    asyncio.run(main())


def read_one(sub):
    with sub:
        return next(sub).seq, os.getpid()


def test_pickled_subscribers_work_after_spawn(script):
    program = script("""
        import multiprocessing, os, sys
        sys.path.insert(0, sys.argv[1])
        if __name__ == "__main__":
            import cuframes, numpy
            from test_subscriber import read_one
            with cuframes.Publisher("cam", 4, 2, "gray") as pub:
                sub = cuframes.open("cam", timeout=20, name="main")
                pub.send(numpy.zeros((2, 4), numpy.uint8))
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    seq, pid = pool.apply(read_one, (sub,))
                assert seq == 0 and pid != os.getpid()
                sub.close()
            print("done", flush=True)
    """, os.path.dirname(__file__))
    assert program.line() == "done"
    assert program.end() == 0
    with publisher() as pub, cuframes.open("cam", timeout=5) as sub:
        pub.send(ZERO)
        for stays in (pub, next(sub)):
            with pytest.raises(TypeError, match="its process"):
                pickle.dumps(stays)


def test_a_child_of_fork_is_refused(script):
    program = script("""
        import asyncio, os, threading, time
        import cuframes
        pub = cuframes.Publisher("cam", 4, 2, "gray")
        pub.enable_packets([cuframes.Stream(codec_name="h264")])
        with cuframes.Publisher("closed", 4, 2, "gray") as ended:
            closed = cuframes.open("closed", timeout=20)
        packets = cuframes.packets("cam", timeout=20)
        sub = cuframes.open("cam", timeout=20)
        watch, group = cuframes.watch(), cuframes.Group("g", 1, timeout=20)
        with cuframes.watch() as gone, cuframes.Group("left", 1, timeout=20) as left:
            pass
        slot, done = pub.acquire(), pub.acquire()
        done.publish()
        frame = next(sub)
        def wait():
            try:
                next(sub)
            except cuframes.CuframesError:
                pass
        thread = threading.Thread(target=wait)   # has the subscriber's lock when fork() comes
        thread.start()
        time.sleep(0.1)
        pid = os.fork()
        if pid == 0:
            # Whatever else is wrong: in use by a thread, closed, published, wrong arguments.
            for call in (
                    lambda: next(sub), sub.poll, sub.next_frame, sub.fileno, sub.connect, sub.stats,
                    sub.__enter__, lambda: sub.info, lambda: sub.next_frame("x"),
                    lambda: sub.connect("x"), lambda: next(closed), lambda: closed.info,
                    lambda: cuframes.wait_any([sub], timeout="x"),
                    lambda: cuframes.batch([sub, closed], deadline="x"),
                    lambda: asyncio.run(anext(sub)),
                    pub.acquire, pub.frame, pub.stats, pub.subscribers, pub.pause,
                    lambda: pub.info, lambda: pub.send("x", pts="x"),
                    lambda: pub.reconfigure("x", 0), lambda: pub.set_streams(0),
                    lambda: pub.enable_packets(0), lambda: pub.send_packet(0, time="x"),
                    lambda: pub.add_client("x"), lambda: ended.send(0), slot.publish, done.publish,
                    packets.next_packet, lambda: packets.next_packet("x"), lambda: next(packets),
                    lambda: packets.streams, packets.stats, packets.fileno,
                    watch.next, lambda: next(watch), lambda: watch.next("x"), watch.fileno,
                    gone.next,
                    group.barrier, lambda: group.barrier("x"), lambda: group.all_gather(0),
                    lambda: group.broadcast("x"), lambda: group.all_gather_fds(0),
                    lambda: group.broadcast_fds("x"), lambda: group.rank, left.barrier):
                try:
                    call()
                    os._exit(1)
                except cuframes.CuframesInvalidArgument as error:
                    if "made before fork()" not in str(error) or "in the child" not in str(error):
                        os._exit(2)
                except Exception:
                    import traceback
                    traceback.print_exc()
                    os._exit(3)
            for one in (sub, closed, pub, ended, packets, watch, gone, group, left):
                one.close()
            assert cuframes.info("cam").key == "cam"
            with cuframes.open("cam", timeout=20) as own:
                next(own)
            del frame, slot, done
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        slot.publish()
        thread.join()
        assert group.all_gather(b"whole") == [b"whole"] and watch.next(5) == (True, "cam")
        assert packets.next_packet(0) is None
        sub.close()
        pub.close()
    """)
    assert program.line() == "0"
    assert program.end() == 0


def test_names_of_the_04_line():
    assert cuframes.version_string() and cuframes.protocol_version() == 5
    assert [format.value for format in cuframes.PixelFormat][:6] == [0, 1, 2, 3, 4, 5]
    assert cuframes.SubscriberMode.NEWEST_ONLY.value == 0
    assert cuframes.SubscriberMode.STRICT_ORDER.value == 1
    for name in ("key", "consumer_name", "mode", "cuda_device", "connect_timeout_ms",
                 "consumer_stream"):
        assert name in cuframes.subscribe.__doc__
    with cuframes.Publisher("cam", 64, 48, "nv12") as pub:
        with cuframes.subscribe("cam", "me", cuframes.SubscriberMode.STRICT_ORDER, 0, 1000,
                                0) as sub:
            assert isinstance(sub, cuframes.CuframesSubscriber)
            assert (sub.key, sub.consumer_name, sub.mode) == (
                "cam", "me", cuframes.SubscriberMode.STRICT_ORDER)
            assert (sub.cuda_device, sub.consumer_stream, sub.closed) == (0, 0, False)
            assert (sub.frames_received, sub.timeouts, sub.errors, sub.gap_count) == (0, 0, 0, 0)
            with pytest.raises(cuframes.CuframesFrameTimeout):
                sub.next_frame(timeout_ms=10)
            pub.send(np.zeros((72, 64), np.uint8), pts=0.5)
            with sub.next_frame(timeout_ms=1000) as frame:
                assert isinstance(frame, cuframes.CuframesFrame)
                assert frame.format is cuframes.PixelFormat.NV12 and frame.format.value == 0
                assert (frame.width, frame.height, frame.seq) == (64, 48, 0)
                assert (frame.pitch_y, frame.pitch_uv, frame.pts_ns) == (64, 64, 500000000)
                assert frame.cuda_ptr > 0 and not frame.released
                assert frame.__dlpack_device__() == (1, 0)
                for capsule in (frame.dlpack_y(), frame.dlpack_uv(), frame.__dlpack__()):
                    assert '"dltensor"' in repr(capsule)
            assert frame.released
            for name in ("cuda_ptr", "format", "width", "seq", "pts_ns", "pitch_y"):
                with pytest.raises(cuframes.CuframesError, match="released"):
                    getattr(frame, name)
            assert (sub.frames_received, sub.last_seq, sub.timeouts) == (1, 0, 1)
            assert sub.last_frame_pts_ns == 500000000
            assert sub.stats()["frames_received"] == 1
        assert sub.closed
    for name in ("PublisherGone", "FrameTimeout", "DeviceLost", "ShmError", "ProtocolMismatch",
                 "InvalidArgument", "OutOfMemory", "Internal"):
        error = getattr(cuframes, "Cuframes" + name)
        assert issubclass(error, cuframes.CuframesError) and error("x").code < 0
