# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several cameras, discovery, OpenCV's calls, and groups."""
import asyncio
import os
import time

import numpy as np
import pytest

import cuframes

ZERO = np.zeros((2, 4), np.uint8)


@pytest.fixture
def cameras():
    pubs = [cuframes.Publisher(f"cam{i}", 4, 2, "gray") for i in range(3)]
    subs = [cuframes.open(f"cam{i}", timeout=5) for i in range(3)]
    yield pubs, subs
    for one in pubs + subs:
        one.close()


def test_wait_any(cameras):
    pubs, subs = cameras
    with pytest.raises(cuframes.CuframesFrameTimeout, match="cam0, cam1, cam2"):
        cuframes.wait_any(subs, timeout=0.05)
    pubs[1].send(ZERO)
    sub, frame = cuframes.wait_any(subs, timeout=5)
    assert sub is subs[1] and frame.seq == 0
    for pub in pubs:
        pub.send(ZERO)
    served = [cuframes.wait_any(subs, timeout=5)[0].key for _ in range(3)]
    assert sorted(served) == ["cam0", "cam1", "cam2"]
    assert frame.released
    with pytest.raises(cuframes.CuframesInvalidArgument):
        cuframes.wait_any([])
    with pytest.raises(TypeError, match="open"):
        cuframes.wait_any(["cam0"])


def test_wait_any_serves_all_alike(cameras):
    pubs, subs = cameras
    served = dict.fromkeys(subs, 0)
    for _ in range(30):
        for pub in pubs:
            pub.send(ZERO)
        served[cuframes.wait_any(subs, timeout=5)[0]] += 1
    assert list(served.values()) == [10, 10, 10]


def test_batch(cameras):
    pubs, subs = cameras
    for value, pub in enumerate(pubs):
        pub.send(np.full((2, 4), value, np.uint8))
    start = time.monotonic()
    batch = cuframes.batch(subs, deadline=5)
    assert time.monotonic() - start < 2
    assert batch.mask == [True] * 3 and batch.keys == ["cam0", "cam1", "cam2"]
    assert batch.bgr().shape == (3, 2, 4, 3)
    assert [int(picture.max()) for picture in batch.bgr()] == [0, 1, 2]
    pubs[2].send(np.full((2, 4), 9, np.uint8))
    start = time.monotonic()
    second = cuframes.batch(subs, deadline=0.1)
    assert 0.05 < time.monotonic() - start < 2
    assert second.mask == [False, False, True] and second.times[0] is None
    assert second.times[2].tzinfo is not None
    assert batch.frames[2].released
    out = np.ones((3, 2, 4, 3), np.uint8)
    assert second.rgb(out) is out
    assert [int(picture.max()) for picture in out] == [0, 0, 9]
    with second:
        pass
    assert second.frames[2].released
    pubs[0].close()
    assert cuframes.batch(subs, deadline=0.02).mask == [False] * 3
    with pytest.raises(cuframes.CuframesInvalidArgument, match="out"):
        cuframes.batch(subs, deadline=0).bgr()


def test_a_batch_of_different_sizes_says_which(cameras):
    pubs, subs = cameras
    pubs[1].reconfigure(8, 6, "gray")
    pubs[0].send(ZERO)
    pubs[1].send(np.zeros((6, 8), np.uint8))
    with cuframes.batch(subs, deadline=0.3) as batch:
        assert batch.mask == [True, True, False]
        with pytest.raises(cuframes.CuframesInvalidArgument,
                           match=r"cam0 is 4x2, cam1 is 8x6.*frames\[i\]\.bgr\(\)"):
            batch.bgr()
        with pytest.raises(cuframes.CuframesInvalidArgument,
                           match=r"out has shape \(3, 2, 4, 3\).*cam1 is \(6, 8, 3\)"):
            batch.rgb(np.zeros((3, 2, 4, 3), np.uint8))


def test_a_camera_that_is_gone_for_good_costs_no_processor():
    with cuframes.Publisher("gone", 4, 2, "gray"):
        gone = cuframes.open("gone", timeout=5, reconnect=False)
    with gone, cuframes.Publisher("cam", 4, 2, "gray"), cuframes.open("cam", timeout=5) as sub:
        start = time.process_time()
        assert cuframes.batch([gone, sub], deadline=0.5).mask == [False, False]
        assert time.process_time() - start < 0.2
        with pytest.raises(cuframes.CuframesPublisherGone):
            cuframes.wait_any([gone, sub], timeout=1)


def test_list_and_info(script):
    assert cuframes.list() == []
    assert cuframes.runtime_dir() == os.environ["CUFRAMES_RUNTIME_DIR"]
    program = script("""
        import cuframes
        cuframes.Publisher("dead", 4, 2, "gray")
        pub = cuframes.Publisher("dies", 4, 2, "gray")
        print("ready", flush=True)
        input()
    """)
    assert program.line() == "ready"
    with cuframes.Publisher("b", 640, 480, "bgr", fps=30, slots=5, policy="wait", ack_timeout=0.5):
        assert cuframes.list() == ["b", "dies"]
        program.kill()
        assert cuframes.list() == ["b"]
        with cuframes.open("b", name="me", timeout=5):
            info = cuframes.info("b")
            assert (info.width, info.height, info.format) == (640, 480, cuframes.PixelFormat.BGR)
            assert (info.fps, info.slots, info.policy, info.ack_timeout) == (30, 5, "wait", 0.5)
            assert (info.pid, info.memory) == (os.getpid(), "cpu")
            assert [one["name"] for one in info.subscribers] == ["me"]
            assert info.stats["published"] == 0
    for key in ("b", "dies"):
        with pytest.raises(cuframes.CuframesPublisherGone):
            cuframes.info(key)


def test_snapshot():
    with cuframes.Publisher("cam", 4, 2, "gray") as pub:
        with pytest.raises(cuframes.CuframesFrameTimeout):
            cuframes.snapshot("cam", timeout=0.05)
        pub.send(np.full((2, 4), 3, np.uint8))
        frame = cuframes.snapshot("cam")
        assert (frame.numpy(0) == 3).all() and not frame.released
        assert (cuframes.snapshot("cam").numpy(0) == 3).all()
    with pytest.raises(cuframes.CuframesFrameTimeout):
        cuframes.snapshot("cam", timeout=0.05)


def test_watch():
    with cuframes.watch() as watch, cuframes.Publisher("a", 4, 2, "gray"):
        assert watch.next(5) == (True, "a")
        assert watch.next(0.01) is None
        with cuframes.Publisher("b", 4, 2, "gray"):
            assert watch.next(5) == cuframes.WatchEvent(True, "b")
        assert watch.next(5) == (False, "b")
    with pytest.raises(cuframes.CuframesInvalidArgument, match="closed"):
        watch.next(0)
    with cuframes.Publisher("a", 4, 2, "gray"), cuframes.watch(timeout=0.05) as watch:
        assert [key for added, key in watch] == ["a"]


def test_watch_in_asyncio():
    async def main():
        with cuframes.watch(timeout=0.3) as watch:
            pubs = []

            async def come():
                await asyncio.sleep(0.05)
                pubs.append(cuframes.Publisher("a", 4, 2, "gray"))

            coming = asyncio.create_task(come())
            assert [event async for event in watch] == [(True, "a")]
            await coming
            pubs[0].close()

    asyncio.run(main())


def test_video_capture():
    cv2 = pytest.importorskip("cv2")
    with cuframes.Publisher("cam", 64, 48, "bgr", fps=25) as pub:
        picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
        capture = cuframes.VideoCapture("cam", timeout=0.2)
        assert capture.isOpened() and capture.getBackendName() == "CUFRAMES"
        assert capture.retrieve() == (False, None)
        pub.send(picture, pts=2.0)
        assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == 64
        assert capture.get(cv2.CAP_PROP_FRAME_HEIGHT) == 48
        assert capture.get(cv2.CAP_PROP_FPS) == 25
        there, image = capture.read()
        assert there and np.array_equal(image, picture) and image.flags.writeable
        assert capture.get(cv2.CAP_PROP_POS_MSEC) == 2000 and capture.frame.seq == 0
        assert capture.get(cv2.CAP_PROP_BRIGHTNESS) == 0 and not capture.set(3, 1)
        assert capture.read() == (False, None)
        pub.send(picture)
        assert capture.grab()
        assert np.array_equal(capture.retrieve(np.zeros((48, 64, 3), np.uint8))[1], picture)
        capture.release()
        assert not capture.isOpened() and capture.read() == (False, None)
        assert capture.get(cv2.CAP_PROP_FPS) == 0
    with cuframes.VideoCapture("cam", timeout=0.05) as capture:
        assert not capture.isOpened()


RANK = """
    import os, sys
    import cuframes
    with cuframes.Group("g", 3, int(sys.argv[1]), timeout=20) as group:
        assert (group.rank, group.size, group.broken_rank) == (int(sys.argv[1]), 3, None)
        group.barrier(timeout=10)
        print(group.all_gather(b"x" * group.rank, timeout=10), flush=True)
        print(group.broadcast(1, b"from one" if group.rank == 1 else None, timeout=10), flush=True)
        print(group.broadcast(0, b"", timeout=10), flush=True)
        ends = os.pipe()
        os.write(ends[1], b"%d" % group.rank)
        given = group.all_gather_fds([ends[0]], timeout=10)
        group.barrier(timeout=10)
        print(os.read(given[(group.rank + 1) % 3][0], 1), flush=True)
        sent = group.broadcast_fds(2, [ends[1]] if group.rank == 2 else None, timeout=10)
        print(len(sent), flush=True)
        input()
        if group.rank == 2:
            os._exit(0)
        try:
            group.barrier(timeout=10)
        except cuframes.CuframesPublisherGone as error:
            print(group.broken_rank, flush=True)
"""


def test_groups(script):
    ranks = [script(RANK, rank) for rank in range(3)]
    for rank, program in enumerate(ranks):
        assert program.line() == "[b'', b'x', b'xx']"
        assert program.line() == "b'from one'"
        assert program.line() == "b''"
        assert program.line() == f"b'{(rank + 1) % 3}'"
        assert program.line() == ("0" if rank == 2 else "1")
    for program in ranks:
        program.say()
    for program in ranks[:2]:
        assert program.line() == "2"
    assert [program.end() for program in ranks] == [0, 0, 0]


def test_a_group_that_does_not_meet():
    with pytest.raises(cuframes.CuframesFrameTimeout, match="rank"):
        cuframes.Group("g", 2, 0, timeout=0.1)
    with pytest.raises(cuframes.CuframesInvalidArgument):
        cuframes.Group("g", 0)
    with cuframes.Group("g", 1) as group:
        assert group.all_gather(b"alone") == [b"alone"] and group.rank == 0
        group.barrier(timeout=None)
    assert group.closed
    with pytest.raises(cuframes.CuframesInvalidArgument, match="closed"):
        group.barrier()


def test_a_descriptor_that_is_not_open_fails_its_call_alone():
    with cuframes.Group("g", 1) as group:
        closed = os.dup(0)
        os.close(closed)
        for give in (lambda: group.all_gather_fds([closed]),
                     lambda: group.broadcast_fds(0, [closed])):
            with pytest.raises(cuframes.CuframesInvalidArgument, match=f"{closed} is not open"):
                give()
        assert group.broken_rank is None and group.all_gather(b"whole") == [b"whole"]


def test_a_batch_takes_an_out_of_its_own_shape_alone(cameras):
    pubs, subs = cameras
    for pub in pubs:
        pub.send(ZERO)
    with cuframes.batch(subs, deadline=5) as batch:
        for wrong in (np.zeros((2, 2, 4, 3), np.uint8), np.zeros((4, 2, 4, 3), np.uint8), "out"):
            with pytest.raises(cuframes.CuframesInvalidArgument, match="out has"):
                batch.bgr(out=wrong)
    with pytest.raises(cuframes.CuframesInvalidArgument, match="twice"):
        cuframes.batch([subs[0], subs[0]])
