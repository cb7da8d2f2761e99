# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames: what is said about them in Python, and pictures of them."""
from __future__ import annotations

import datetime
import functools
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from . import _cuframes, _png
from ._types import ClockSource, PixelFormat, whole_shape

if TYPE_CHECKING:
    import numpy
    import PIL.Image

    Array = numpy.ndarray[Any, Any]

RGB, BGR, GRAY = 0, 1, 2
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


@functools.lru_cache(maxsize=None)
def _cv2() -> Any:
    """OpenCV, or None."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2


def _threads() -> int:
    """How many threads a conversion may use: OpenCV's number where the program has OpenCV, else one
    for each core that the process may use."""
    cv2 = sys.modules.get("cv2")
    ask = getattr(cv2, "getNumThreads", None)  # not there while OpenCV is being imported
    return ask() if ask else len(os.sched_getaffinity(0))


# Conversions by which OpenCV gives the right colours: its YUV is BT.601 with limited range alone.
_CV2_YUV = {
    (PixelFormat.NV12, BGR): "COLOR_YUV2BGR_NV12",
    (PixelFormat.NV12, RGB): "COLOR_YUV2RGB_NV12",
    (PixelFormat.YUV420P, BGR): "COLOR_YUV2BGR_I420",
    (PixelFormat.YUV420P, RGB): "COLOR_YUV2RGB_I420",
}
_CV2_RGB = {
    (PixelFormat.RGB, BGR): "COLOR_RGB2BGR",
    (PixelFormat.BGR, RGB): "COLOR_BGR2RGB",
    (PixelFormat.RGBA, BGR): "COLOR_RGBA2BGR",
    (PixelFormat.RGBA, RGB): "COLOR_RGBA2RGB",
    (PixelFormat.BGRA, BGR): "COLOR_BGRA2BGR",
    (PixelFormat.BGRA, RGB): "COLOR_BGRA2RGB",
    (PixelFormat.RGB, GRAY): "COLOR_RGB2GRAY",
    (PixelFormat.BGR, GRAY): "COLOR_BGR2GRAY",
    (PixelFormat.RGBA, GRAY): "COLOR_RGBA2GRAY",
    (PixelFormat.BGRA, GRAY): "COLOR_BGRA2GRAY",
}


def whole_array(owner: Any) -> Any:
    """A view of the whole picture of a frame; BufferError if its planes are not one array."""
    import numpy

    return numpy.asarray(memoryview(owner))


class Frame(_cuframes.Frame):
    """A picture in shared memory, with what is known about it.

    The pixels are read in place and do not change while the frame is held. A frame that a loop
    gave is held until the loop's next step, or longer with hold(); one of next_frame() and
    snapshot() until release() or until nobody refers to it. Arrays and tensors made from it keep
    its memory as long as they live. Any thread may use a frame.

    After release() every attribute but `released` raises CuframesInvalidArgument.
    """

    __slots__ = ()

    # ---- what is known ----

    @property
    def metadata(self) -> Any:
        """What the publisher attached: a dict, list, str, int, float or bool that a Publisher was
        given comes back as that; bytes as bytes, but bytes that are a JSON object or list come back
        as that too (user_data has them as they are). None if there is nothing. Read anew by each
        access."""
        data = self.user_data
        if not data:
            return None
        if data[:1] in b"{[ ":
            try:
                return json.loads(data)
            except ValueError:
                pass
        return data

    @property
    def time_source(self) -> str:
        """Where `time` comes from: "camera", "device", "received", "application", "file" (see
        ClockSource), or "published" where no capture time is known."""
        source = self.clock_source
        return "published" if source is ClockSource.UNKNOWN else source.name.lower()

    @property
    def time_ns(self) -> int:
        """`time` as nanoseconds since 1970."""
        capture = self.capture_ns
        if capture is not None:
            return capture
        import time

        return time.time_ns() - (_cuframes.now_ns() - self.published_ns)

    @property
    def time(self) -> datetime.datetime:
        """When the picture was taken, on the wall clock: an aware datetime, UTC. Where that is not
        known, when the frame was announced; time_source says which."""
        return EPOCH + datetime.timedelta(microseconds=self.time_ns // 1000)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height

    def __reduce__(self) -> Any:
        raise TypeError("a frame stays in its process: send an array of it (frame.bgr()), or its "
                        "seq to a process that opens the channel itself")

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of the picture as one array, as np.asarray(frame) has it; None where odd sizes
        leave no such array."""
        return whole_shape(self.format, self.width, self.height)

    # ---- pictures ----

    def _picture(self, order: int, out: Any) -> Any:
        import numpy

        shape = (self.height, self.width) if order == GRAY else (self.height, self.width, 3)
        if out is None:
            out = numpy.empty(shape, numpy.uint8)
        here = self if self.device == "cpu" else self.copy()
        if not here._through_cv2(order, out, shape):
            _cuframes._convert(here, order, out, _threads())
        return out

    def _through_cv2(self, order: int, out: Any, shape: tuple[int, ...]) -> bool:
        """Converts by OpenCV where that is there and right for this picture."""
        code = _CV2_RGB.get((self.format, order))
        if code is None:
            code = _CV2_YUV.get((self.format, order))
            if code is None or _cuframes._colors_of(self) not in ((5, True), (6, True)):
                return False
            if self.width % 2 or self.height % 2:
                return False
        cv2 = _cv2()
        if (cv2 is None or getattr(out, "shape", None) != shape or out.dtype != "uint8"
                or not out.flags.c_contiguous or not out.flags.writeable):
            return False
        try:
            whole = whole_array(self)
        except BufferError:
            return False
        # OpenCV writes to dst where type and shape fit, which they do.
        cv2.cvtColor(whole, getattr(cv2, code), dst=out)
        return True

    def bgr(self, out: Array | None = None) -> Array:
        """The picture as OpenCV has it: uint8, shape (height, width, 3), contiguous, your own.

        Colour matrix and range are those of the picture, or what its size suggests. Written into
        `out` if that is given (same shape, rows contiguous), which is returned. A frame in GPU memory
        is copied down first. Uses as many threads as OpenCV (cv2.setNumThreads()), without OpenCV
        one for each core; eight at most where OpenCV does not do it.
        """
        made: Array = self._picture(BGR, out)
        return made

    def rgb(self, out: Array | None = None) -> Array:
        """As bgr(), red first."""
        made: Array = self._picture(RGB, out)
        return made

    def gray(self, out: Array | None = None) -> Array:
        """The picture's luma at full range: uint8, shape (height, width), your own. See bgr()."""
        made: Array = self._picture(GRAY, out)
        return made

    def pil(self) -> PIL.Image.Image:
        """The picture as a PIL image of mode "RGB" ("L" for gray formats), a copy."""
        import PIL.Image

        if self.format in (PixelFormat.GRAYSCALE, PixelFormat.GRAY16):
            return PIL.Image.fromarray(self.gray())
        return PIL.Image.fromarray(self.rgb())

    def _repr_png_(self) -> bytes | None:
        if self.released:
            return None
        if self.format in (PixelFormat.GRAYSCALE, PixelFormat.GRAY16):
            return _png.encode(self.gray(), self.width, self.height, 1)
        return _png.encode(self.rgb(), self.width, self.height, 3)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.device != "cpu":
            raise TypeError("this frame is in GPU memory: use torch.from_dlpack(frame) or "
                            "cupy.from_dlpack(frame), copy it with frame.copy() or bgr(), or open "
                            "the channel with device=\"cpu\", staged=True")
        wanted_copy = copy
        try:
            array = whole_array(self)
        except BufferError:
            if copy is False:
                raise
            array, wanted_copy = whole_array(self.copy()), None
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"the samples are {array.dtype}: a view cannot be {dtype}")
            return array.astype(dtype)
        return array.copy() if wanted_copy else array
