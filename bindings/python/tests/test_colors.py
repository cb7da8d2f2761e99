# SPDX-License-Identifier: LGPL-2.1-or-later
"""bgr(), rgb() and gray() of every format, matrix and range, against the formulas in floating point."""
import io
import os
import sys
import time

import numpy as np
import pytest
from test_frames import FORMATS
from test_frames import picture_of as any_picture_of

import cuframes
from cuframes import _cuframes, _frame

WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593),
           4: (0.30, 0.11), 7: (0.212, 0.087)}
ORDERS = {"bgr": 1, "rgb": 0, "gray": 2}


def picture_of(format, seed=0, own=True):
    """Any samples; for OpenCV, which takes what is darker than black for black, legal ones."""
    picture = any_picture_of(format, seed)
    if format == "p010":
        picture &= 0xffc0
    return picture if own else np.clip(picture, 16, 235)


def planes_of(frame):
    """Y, U, V at full size as floats of 8-bit steps, and the width of their range."""
    arrays = [array.astype(np.float64) for array in frame.numpy()]
    if frame.format is cuframes.PixelFormat.P010:
        arrays = [np.floor(array / 64) for array in arrays]
    if len(arrays) == 2:
        arrays = [arrays[0], arrays[1][:, :, 0], arrays[1][:, :, 1]]
    h, w = arrays[0].shape
    if arrays[1].shape != (h, w):
        arrays[1:] = [a.repeat(2, 0).repeat(2, 1)[:h, :w] for a in arrays[1:]]
    return arrays


def reference(frame, matrix, limited):
    """RGB as floats from 0 to 255."""
    y, u, v = planes_of(frame)
    red, blue = WEIGHTS[matrix]
    depth = 10 if frame.format is cuframes.PixelFormat.P010 else 8
    one, top = 1 << depth - 8, (1 << depth) - 1
    if limited:
        y, u, v = (y - 16 * one) / (219 * one), (u - 128 * one) / (224 * one), \
            (v - 128 * one) / (224 * one)
    else:
        y, u, v = y / top, (u - 128 * one) / top, (v - 128 * one) / top
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, g, b], 2) * 255, 0, 255), np.clip(y * 255, 0, 255)


def convert(frame, order, threads=1):
    """The package's own conversion, also where OpenCV would be asked."""
    shape = (frame.height, frame.width) + ((3,) if order != "gray" else ())
    out = np.zeros(shape, np.uint8)
    _cuframes._convert(frame, ORDERS[order], out, threads)
    return out


def check(frame, matrix, limited, own):
    rgb, gray = reference(frame, matrix, limited)
    made = {order: convert(frame, order) if own else getattr(frame, order)() for order in ORDERS}
    # OpenCV's coefficients are rounded more coarsely.
    most = 1.01 if own else 2.01
    assert np.abs(made["rgb"] - rgb).max() <= most
    assert np.abs(made["rgb"] - rgb).mean() < (0.3 if own else 0.7)
    assert np.array_equal(made["bgr"], made["rgb"][:, :, ::-1])
    assert np.abs(made["gray"] - gray).max() <= 1.01


@pytest.mark.parametrize("format", ["nv12", "yuv420p", "p010", "yuv444p"])
@pytest.mark.parametrize("range", [1, 2])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_yuv(format, matrix, range):
    with cuframes.Publisher("cam", 64, 48, format, color=(matrix, 0, 0, range)) as pub, \
            cuframes.open("cam", timeout=5) as sub:
        pub.send(picture_of(format, matrix))
        check(next(sub), matrix, range == 1, True)
        pub.send(picture_of(format, matrix, False))
        check(next(sub), matrix, range == 1, False)


@pytest.mark.parametrize("format", ["nv12", "yuv420p", "p010", "yuv444p"])
@pytest.mark.parametrize("size", [(65, 49), (1, 1), (3, 2), (1030, 3)])
def test_odd_sizes(format, size):
    width, height = size
    with cuframes.Publisher("cam", width, height, format, color="bt601") as pub, \
            cuframes.open("cam", timeout=5) as sub:
        with pub.frame() as buf:
            for array in buf.numpy():
                array[...] = np.random.default_rng(5).integers(16, 235, array.shape)
                array *= 256 if format == "p010" else 1
        frame = next(sub)
        check(frame, 6, True, True)
        check(frame, 6, True, False)


@pytest.mark.parametrize("format", ["nv12", "yuv420p", "p010", "yuv444p", "rgb", "bgra", "gray"])
@pytest.mark.parametrize("size", [(1920, 1080), (1283, 723), (16384, 33), (16001, 119)])
def test_several_threads_make_the_same_picture(format, size):
    with cuframes.Publisher("cam", *size, format) as pub, \
            cuframes.open("cam", timeout=5) as sub:
        with pub.frame() as buf:
            for array in buf.numpy():
                array[...] = np.random.default_rng(7).integers(
                    0, np.iinfo(array.dtype).max, array.shape)
        frame = next(sub)
        running = len(os.listdir("/proc/self/task"))
        for order in ORDERS:
            one = convert(frame, order)
            for threads in (0, 2, 3, 8, 1000):
                assert np.array_equal(convert(frame, order, threads), one)
        # A thread that has ended is listed for a moment longer.
        deadline = time.monotonic() + 10
        while len(os.listdir("/proc/self/task")) > running and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(os.listdir("/proc/self/task")) <= running


def test_opencv_says_how_many_threads(monkeypatch):
    cv2 = pytest.importorskip("cv2")
    asked = []
    monkeypatch.setattr(_cuframes, "_convert", lambda *words: asked.append(words[-1]))
    before = cv2.getNumThreads()
    try:
        with cuframes.Publisher("cam", 64, 48, "nv12", color="bt709") as pub, \
                cuframes.open("cam", timeout=5) as sub:
            pub.send(picture_of("nv12"))
            frame = next(sub)
            for threads in (1, 2):
                cv2.setNumThreads(threads)
                frame.bgr()
            monkeypatch.delitem(sys.modules, "cv2")
            frame.bgr()
    finally:
        cv2.setNumThreads(before)
    assert asked == [1, 2, len(os.sched_getaffinity(0))]


@pytest.mark.parametrize("size,matrix", [((640, 480), 6), ((1280, 720), 1), ((720, 578), 1)])
def test_a_picture_that_does_not_say_gets_what_its_size_suggests(size, matrix):
    with cuframes.Publisher("cam", *size, "nv12") as pub, cuframes.open("cam", timeout=5) as sub:
        pub.send(np.random.default_rng(3).integers(16, 235, (size[1] * 3 // 2, size[0]), np.uint8))
        frame = next(sub)
        check(frame, matrix, True, True)
        check(frame, matrix, True, False)


def test_a_matrix_that_is_no_sum_is_refused():
    with cuframes.Publisher("cam", 64, 48, "nv12", color=(8, 0, 0, 0)) as pub, \
            cuframes.open("cam", timeout=5) as sub:
        pub.send(picture_of("nv12"))
        with pytest.raises(cuframes.CuframesInvalidArgument, match="matrix 8"):
            next(sub).bgr()


@pytest.mark.parametrize("format", ["rgb", "bgr", "rgba", "bgra"])
@pytest.mark.parametrize("own", [True, False])
def test_rgb_in_its_orders(format, own):
    picture = picture_of(format)
    rgb = picture[:, :, [format.index(c) for c in "rgb"]]
    with cuframes.Publisher("cam", 64, 48, format) as pub, cuframes.open("cam", timeout=5) as sub:
        pub.send(picture)
        frame = next(sub)
        for order, wanted in (("rgb", rgb), ("bgr", rgb[:, :, ::-1])):
            made = convert(frame, order) if own else getattr(frame, order)()
            assert np.array_equal(made, wanted) and made.flags.c_contiguous
        gray = convert(frame, "gray") if own else frame.gray()
        assert np.abs(gray - rgb @ [0.299, 0.587, 0.114]).max() <= 1


@pytest.mark.parametrize("format", ["grayscale", "gray16"])
@pytest.mark.parametrize("range", [0, 1, 2])
def test_gray(format, range):
    picture = picture_of(format)
    with cuframes.Publisher("cam", 64, 48, format, color=(0, 0, 0, range)) as pub, \
            cuframes.open("cam", timeout=5) as sub:
        pub.send(picture)
        frame = next(sub)
        wanted = picture / (1 if format == "grayscale" else (256 if range == 1 else 257))
        if range == 1:
            wanted = np.clip((wanted - 16) * 255 / 219, 0, 255)
        assert np.abs(frame.gray() - wanted).max() <= 1
        assert np.array_equal(frame.bgr(), frame.gray()[:, :, None].repeat(3, 2))


def test_into_a_buffer_of_the_caller():
    with cuframes.Publisher("cam", 64, 48, "nv12", color="bt709") as pub, \
            cuframes.open("cam", timeout=5) as sub:
        pub.send(picture_of("nv12"))
        frame = next(sub)
        out = np.zeros((48, 64, 3), np.uint8)
        assert frame.bgr(out) is out and np.array_equal(out, frame.bgr())
        wide = np.zeros((48, 100, 3), np.uint8)
        frame.rgb(out=wide[:, 10:74])
        assert np.array_equal(wide[:, 10:74], frame.rgb())
        assert not wide[:, :10].any() and not wide[:, 74:].any()
        for wrong in (np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3), np.uint16),
                      np.zeros((48, 64, 4), np.uint8), np.zeros((64, 48, 3), np.uint8).swapaxes(0, 1)):
            with pytest.raises(cuframes.CuframesInvalidArgument, match="out"):
                frame.bgr(wrong)
        out.flags.writeable = False
        with pytest.raises((BufferError, ValueError)):
            frame.bgr(out)


@pytest.mark.parametrize("format", ["nv12", "yuv420p"])
def test_opencv_is_used_where_it_is_right(format, monkeypatch):
    cv2 = pytest.importorskip("cv2")
    called = []
    monkeypatch.setattr(cv2, "cvtColor",
                        lambda *a, f=cv2.cvtColor, **k: called.append(a) or f(*a, **k))
    for color, times in (("bt601", 1), ("bt709", 0), ("bt601-full", 0)):
        called.clear()
        with cuframes.Publisher("cam", 64, 48, format, color=color) as pub, \
                cuframes.open("cam", timeout=5) as sub:
            pub.send(picture_of(format))
            next(sub).bgr()
        assert len(called) == times


def test_without_opencv(monkeypatch):
    monkeypatch.setattr(_frame, "_cv2", lambda: None)
    with cuframes.Publisher("cam", 64, 48, "nv12", color="bt601") as pub, \
            cuframes.open("cam", timeout=5) as sub:
        pub.send(picture_of("nv12"))
        frame = next(sub)
        assert np.array_equal(frame.bgr(), convert(frame, "bgr"))


@pytest.mark.parametrize("format", FORMATS)
def test_pil_and_notebooks(format):
    Image = pytest.importorskip("PIL.Image")
    with cuframes.Publisher("cam", 64, 48, format) as pub, cuframes.open("cam", timeout=5) as sub:
        pub.send(picture_of(format))
        frame = next(sub)
        image = frame.pil()
        again = Image.open(io.BytesIO(frame._repr_png_()))
        assert image.size == again.size == (64, 48)
        assert image.mode == again.mode == ("L" if format.startswith("gray") else "RGB")
        assert np.array_equal(np.asarray(image), np.asarray(again))
        frame.release()
        assert frame._repr_png_() is None
