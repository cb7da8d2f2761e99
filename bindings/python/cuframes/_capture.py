# SPDX-License-Identifier: LGPL-2.1-or-later
"""A channel with the calls of OpenCV's VideoCapture."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _arguments, _cuframes
from ._frame import Frame
from ._subscriber import Subscriber

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

# OpenCV's numbers.
POS_MSEC, POS_FRAMES, FRAME_WIDTH, FRAME_HEIGHT, FPS, FOURCC, FRAME_COUNT = 0, 1, 3, 4, 5, 6, 7
CONVERT_RGB = 16


class VideoCapture:
    """cv2.VideoCapture for a channel: VideoCapture("cam1").read() gives (True, picture).

    Pictures are BGR, uint8, shape (height, width, 3), your own. read() waits up to `timeout`
    seconds and gives (False, None) then, or when the publisher is gone for good. Other arguments
    are those of open().
    """

    def __init__(self, key: str | None = None, *, timeout: float | None = 5.0,
                 **wishes: Any) -> None:
        self._timeout, self._wishes = timeout, wishes
        self._subscriber: Subscriber | None = None
        self._frame: Frame | None = None
        if key is not None:
            self.open(key)

    def open(self, key: str) -> bool:
        """Opens a channel, and says whether that worked."""
        self.release()
        subscriber = Subscriber(key, timeout=self._timeout, **self._wishes)
        try:
            subscriber.connect(self._timeout)
        except (_cuframes.CuframesPublisherGone, _cuframes.CuframesFrameTimeout):
            return False
        self._subscriber = subscriber
        return True

    def isOpened(self) -> bool:
        """Whether a channel is open."""
        return self._subscriber is not None

    def grab(self) -> bool:
        """Waits for the next frame, and says whether there is one."""
        if self._subscriber is None:
            return False
        try:
            self._frame = next(self._subscriber, None)
        except _cuframes.CuframesFrameTimeout:
            self._frame = None
        return self._frame is not None

    def retrieve(self, image: Any = None, flag: int = 0
                 ) -> tuple[bool, Array | None]:
        """The picture of the frame that grab() got, into `image` if that fits."""
        if self._frame is None or self._frame.released:
            return False, None
        shape = (self._frame.height, self._frame.width, 3)
        return True, self._frame.bgr(image if getattr(image, "shape", None) == shape else None)

    def read(self, image: Any = None) -> tuple[bool, Array | None]:
        """grab(), then retrieve()."""
        return self.retrieve(image) if self.grab() else (False, None)

    @property
    def frame(self) -> Frame | None:
        """The frame that grab() got, with its times and metadata."""
        return self._frame

    def get(self, propId: int) -> float:
        """Width, height, frame rate, position; 0 for what a channel does not have."""
        if self._subscriber is None:
            return 0.0
        propId = _arguments.whole_number("propId", propId, -2**31, 2**31 - 1,
                                         "a number of OpenCV's, cv2.CAP_PROP_...")
        info = self._subscriber.info
        frame = self._frame if self._frame is not None and not self._frame.released else None
        values: dict[int, float] = {
            FRAME_WIDTH: info.width, FRAME_HEIGHT: info.height, FPS: float(info.fps or 0),
            FRAME_COUNT: -1.0, CONVERT_RGB: 1.0, POS_FRAMES: frame.seq if frame else 0.0,
            POS_MSEC: (frame.pts or 0.0) * 1000 if frame else 0.0,
        }
        return float(values.get(propId, 0.0))

    def set(self, propId: int, value: float) -> bool:
        """A channel has nothing to set: False."""
        return False

    def getBackendName(self) -> str:
        """ "CUFRAMES"."""
        return "CUFRAMES"

    def release(self) -> None:
        """Closes the channel."""
        if self._subscriber is not None:
            self._subscriber.close()
        if self._frame is not None:
            self._frame.release()
        self._subscriber = self._frame = None

    def __enter__(self) -> VideoCapture:
        return self

    def __exit__(self, *error: Any) -> None:
        self.release()
