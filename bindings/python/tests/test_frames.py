# SPDX-License-Identifier: LGPL-2.1-or-later
"""Publishing a picture and reading it, every format, and what a frame says."""
import json
import datetime
import time

import numpy as np
import pytest

import cuframes

FORMATS = {
    # format: (shape of one array, shapes of the planes), for 64 x 48
    "nv12": ((72, 64), [(48, 64), (24, 32, 2)]),
    "yuv420p": ((72, 64), [(48, 64), (24, 32), (24, 32)]),
    "rgb": ((48, 64, 3), [(48, 64, 3)]),
    "bgr": ((48, 64, 3), [(48, 64, 3)]),
    "rgba": ((48, 64, 4), [(48, 64, 4)]),
    "bgra": ((48, 64, 4), [(48, 64, 4)]),
    "grayscale": ((48, 64), [(48, 64)]),
    "gray16": ((48, 64), [(48, 64)]),
    "p010": ((72, 64), [(48, 64), (24, 32, 2)]),
    "yuv444p": ((3, 48, 64), [(48, 64), (48, 64), (48, 64)]),
}


def picture_of(format, seed=0):
    shape, _ = FORMATS[format]
    dtype = np.uint16 if format in ("gray16", "p010") else np.uint8
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("alignment", [0, 256])
def test_every_format_arrives_as_it_was_sent(format, alignment):
    shape, planes = FORMATS[format]
    picture = picture_of(format)
    with cuframes.Publisher("cam", 64, 48, format, alignment=alignment) as pub, \
            cuframes.open("cam", timeout=5) as sub:
        assert pub.send(picture) == 0
        frame = next(sub)
        assert frame.format == cuframes.PixelFormat.of(format)
        assert [array.shape for array in frame.numpy()] == planes
        assert frame.shape == shape
        assert [plane.shape for plane in frame.planes] == planes
        assert not any(array.flags.writeable for array in frame.numpy())
        assert np.array_equal(np.concatenate([a.ravel() for a in frame.numpy()]), picture.ravel())
        assert np.array_equal(np.asarray(frame), picture)
        assert np.array_equal(np.asarray(frame.copy()), picture)


def test_a_tuple_of_planes_can_be_sent():
    y, uv = np.full((48, 64), 7, np.uint8), np.full((24, 32, 2), 9, np.uint8)
    with cuframes.Publisher("cam", 64, 48, "nv12") as pub, cuframes.open("cam", timeout=5) as sub:
        pub.send((y, uv))
        frame = next(sub)
        assert np.array_equal(frame.numpy(0), y) and np.array_equal(frame.numpy(1), uv)


@pytest.mark.parametrize("alignment", [0, 256])
def test_a_picture_of_another_shape_is_refused(alignment):
    with cuframes.Publisher("cam", 64, 48, "yuv420p", alignment=alignment) as pub:
        for shape in ((64, 72), (72, 64, 1), (48, 64), (4608,), (72, 32)):
            with pytest.raises(cuframes.CuframesInvalidArgument, match=r"\(72, 64\)"):
                pub.send(np.zeros(shape, np.uint8))
        assert pub.stats()["published"] == 0


def test_what_a_frame_says():
    with cuframes.Publisher("cam", 64, 48, "gray", fps=25, color="bt709-full") as pub, \
            cuframes.open("cam", timeout=5) as sub:
        taken = datetime.datetime(2024, 2, 3, 4, 5, 6, 789, tzinfo=datetime.timezone.utc)
        with pub.frame(pts=1.5, time=taken, metadata={"boxes": [[1, 2, 3, 4]]},
                       flags=cuframes.FrameFlags.KEY) as buf:
            buf[...] = 3
        assert buf.seq == 0 and buf.published
        frame = next(sub)
        assert (frame.seq, frame.dropped, frame.generation) == (0, 0, 1)
        assert frame.pts == 1.5 and frame.pts_ns == 1500000000
        assert frame.time == taken and frame.time_source == "application"
        assert frame.metadata == {"boxes": [[1, 2, 3, 4]]}
        assert frame.user_data == b'{"boxes":[[1,2,3,4]]}'
        assert frame.flags & cuframes.FrameFlags.KEY
        assert frame.color == (1, 0, 0, 2)
        assert frame.device == "cpu" and frame.size == (64, 48)
        assert 0 <= frame.age < 5
        copy = frame.copy()
        frame.release()
        assert copy.metadata == {"boxes": [[1, 2, 3, 4]]} and copy.time == taken
        assert copy.seq == 0 and not copy.released


@pytest.mark.parametrize("given, back", [
    ({"seq": 7, "boxes": [[1, 2.5, None]]}, ...), ([1, [2]], ...), ([], ...), ({}, ...),
    ("a sentence: \u00fc", ...), ("", ...), ("{", ...), ("5", ...), (5, ...), (-2.5, ...), (0, ...),
    (True, ...), (False, ...), (b"bytes\0", ...), (b"5", ...), (b"true", ...), (b'"a"', ...),
    (b"{no json", ...), (b" no json", ...), (None, ...), ((1, 2), [1, 2]), ({1: 2}, {"1": 2}),
    (b"", None), (bytearray(b"x"), b"x"), (b'{"a": 1}', {"a": 1}),
    (np.float32(0.5), 0.5), ({"box": np.arange(4), "n": np.int64(3)}, {"box": [0, 1, 2, 3], "n": 3}),
])
def test_metadata_comes_back_as_what_it_was(given, back):
    with cuframes.Publisher("cam", 4, 2, "gray") as pub, cuframes.open("cam", timeout=5) as sub:
        pub.send(np.zeros((2, 4), np.uint8), metadata=given)
        frame = next(sub)
        back = given if back is ... else back
        assert frame.metadata == back and type(frame.metadata) is type(back)
        # Whoever is not in Python reads JSON, too.
        if isinstance(given, (bytes, bytearray)):
            assert frame.user_data == bytes(given)
        elif given is not None:
            assert json.loads(frame.user_data) == back


def test_a_frame_without_a_capture_time_has_that_of_its_announcement():
    with cuframes.Publisher("cam", 64, 48, "gray") as pub, cuframes.open("cam", timeout=5) as sub:
        pub.send(np.zeros((48, 64), np.uint8), metadata=b"\x01\x02")
        frame = next(sub)
        assert frame.capture_ns is None and frame.time_source == "published"
        assert abs(frame.time.timestamp() - time.time()) < 5
        assert frame.metadata == b"\x01\x02"
        assert frame.pts is not None


def test_the_loop_gives_back_what_is_not_held():
    zero = np.zeros((48, 64), np.uint8)
    with cuframes.Publisher("cam", 64, 48, "gray") as pub, cuframes.open("cam", timeout=5) as sub:
        pub.send(zero)
        first = next(sub)
        pub.send(zero)
        second = next(sub).hold()
        pub.send(zero)
        third = next(sub)
        assert first.released and not second.released and not third.released
        with pytest.raises(cuframes.CuframesInvalidArgument, match="hold"):
            first.seq
        assert sub.stats()["held"] == 2
        second.release()
        second.release()
        assert second.released and sub.stats()["held"] == 1


def test_an_array_keeps_the_memory():
    with cuframes.Publisher("cam", 64, 48, "gray", slots=3) as pub, \
            cuframes.open("cam", timeout=5) as sub:
        pub.send(np.full((48, 64), 1, np.uint8))
        frame = next(sub)
        array, part = frame.numpy(0), frame.numpy(0)[4:8, ::2]
        frame.release()
        assert sub.stats()["held"] == 1
        for value in range(2, 9):
            pub.send(np.full((48, 64), value, np.uint8))
        assert array.max() == 1 and part.max() == 1
        del array
        assert sub.stats()["held"] == 1
        del part
        assert sub.stats()["held"] == 0


def test_slots_cannot_be_written_after_they_are_published():
    with cuframes.Publisher("cam", 64, 48, "nv12") as pub:
        with pub.frame() as buf:
            y, uv = buf.numpy()
            y[...] = 1
            uv[...] = 2
            assert buf.shape == buf.array.shape == (72, 64)
            buf.array[0, :4] = 5
            assert buf[0, 3] == 5 and buf[0, 4] == 1 and (buf[48:] == 2).all()
        with pytest.raises(ValueError):
            y[...] = 3
        with pytest.raises(cuframes.CuframesInvalidArgument):
            buf.numpy()
        with pytest.raises(cuframes.CuframesInvalidArgument):
            buf.publish()


def test_a_block_that_raises_publishes_nothing():
    with cuframes.Publisher("cam", 64, 48, "gray") as pub:
        with pytest.raises(KeyError):
            with pub.frame():
                raise KeyError
        assert pub.stats()["published"] == 0 and pub.stats()["dropped"] == 0


def test_when_every_slot_is_held():
    zero = np.zeros((48, 64), np.uint8)
    with cuframes.Publisher("cam", 64, 48, "gray", slots=2, max_holds=1) as pub, \
            cuframes.open("cam", timeout=5) as one, cuframes.open("cam", timeout=5) as two:
        pub.send(zero)
        first = next(one).hold()
        assert pub.send(zero) == 1
        second = next(two).hold()
        assert pub.send(zero) is None and pub.stats()["dropped"] == 1
        with pytest.raises(cuframes.CuframesFrameTimeout, match="slots"):
            pub.frame(wait=0.02)
        del first, second


def test_holds_that_run_out_name_who_has_them():
    zero = np.zeros((48, 64), np.uint8)
    with cuframes.Publisher("cam", 64, 48, "gray") as pub, \
            cuframes.open("cam", timeout=5, max_holds=2) as sub:
        kept = []
        for _ in range(2):
            pub.send(zero)
            kept.append(next(sub).numpy(0))
        pub.send(zero)
        with pytest.warns(cuframes.CuframesHoldWarning, match="test_frames.py"):
            with pytest.raises(cuframes.CuframesTooMany, match="frame 0.*1 view"):
                next(sub)
        kept.clear()
        assert next(sub).seq == 2


def test_a_change_of_size_is_followed():
    with cuframes.Publisher("cam", 64, 48, "gray") as pub, cuframes.open("cam", timeout=5) as sub:
        pub.send(np.zeros((48, 64), np.uint8))
        before = next(sub).hold()
        pub.reconfigure(32, 16, "rgb")
        pub.send(np.zeros((16, 32, 3), np.uint8))
        frame = next(sub)
        assert frame.size == (32, 16) and frame.format is cuframes.PixelFormat.RGB
        assert frame.flags & cuframes.FrameFlags.GENERATION
        assert frame.generation == before.generation + 1
        assert before.numpy(0).shape == (48, 64)
        assert pub.info.width == sub.info.width == 32


def test_who_comes_in_a_pause_gets_nothing_old():
    with cuframes.Publisher("cam", 64, 48, "gray") as pub, cuframes.open("cam", timeout=5) as there:
        pub.send(np.zeros((48, 64), np.uint8))
        pub.pause()
        assert next(there).seq == 0
        with cuframes.open("cam", timeout=5) as late:
            assert late.poll() is None
            pub.send(np.zeros((48, 64), np.uint8))
            assert next(late).seq == next(there).seq == 1
    with pytest.raises(cuframes.CuframesInvalidArgument, match="closed"):
        pub.pause()
