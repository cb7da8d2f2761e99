# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several cameras at once."""
from __future__ import annotations

import dataclasses
import datetime
import select
import time
from typing import TYPE_CHECKING, Any, Iterable, Sequence

from . import _arguments, _cuframes
from ._frame import BGR, RGB, Frame
from ._subscriber import Subscriber, subscribers_of

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

# Longest sleep in one go, so that what no descriptor tells is seen: close() by another thread.
SLICE = 0.5


def _sleep(subscribers: Sequence[Subscriber], deadline: float | None) -> bool:
    """Waits until one of them has something to say. False when the time is over."""
    left = SLICE if deadline is None else min(SLICE, deadline - time.monotonic())
    if left <= 0:
        return False
    poller = select.poll()
    for subscriber in subscribers:
        poller.register(subscriber.fileno(), select.POLLIN)
    poller.poll(left * 1000)
    return True


def _deadline(name: str, given: float | None) -> float | None:
    seconds = _arguments.seconds(name, given)
    return None if seconds is None else time.monotonic() + seconds


def _connect(subscribers: Sequence[Subscriber], deadline: float | None) -> None:
    for subscriber in subscribers:
        subscriber.connect(None if deadline is None else max(0.0, deadline - time.monotonic()))


_turns = 0


def wait_any(subscribers: Iterable[Subscriber],
             timeout: float | None = None) -> tuple[Subscriber, Frame]:
    """The next frame of any of them: (subscriber, frame).

    The frame is given back by the next wait_any() over the same subscriber, unless its hold() was
    called. All are served in turn. Raises CuframesFrameTimeout after `timeout` seconds (None =
    waits for ever).
    """
    global _turns
    waited = subscribers_of(subscribers)
    if not waited:
        raise _cuframes.CuframesInvalidArgument("there is no subscriber to wait for")
    deadline = _deadline("timeout", timeout)
    _connect(waited, deadline)
    _turns += 1
    while True:
        for i in range(len(waited)):
            subscriber = waited[(i + _turns) % len(waited)]
            frame = subscriber.poll()
            if frame is not None:
                return subscriber, frame
        if not _sleep(waited, deadline):
            raise _cuframes.CuframesFrameTimeout(
                f"no frame of {', '.join(one.key for one in waited)} in time")


@dataclasses.dataclass(frozen=True)
class Batch:
    """One frame of each camera that had one in time, in the order of the subscribers."""

    keys: list[str]
    frames: list[Frame | None]
    """None where none came in time."""
    mask: list[bool]
    """Whether there is a frame."""
    times: list[datetime.datetime | None]
    """When each picture was taken, see Frame.time."""

    def __len__(self) -> int:
        """Number of cameras."""
        return len(self.frames)

    def _check_one_size(self) -> None:
        """Raises unless the frames that are there can be in one array."""
        sizes = {key: frame.size for key, frame in zip(self.keys, self.frames)
                 if frame is not None}
        if len(set(sizes.values())) > 1:
            each = ", ".join(f"{key} is {width}x{height}"
                             for key, (width, height) in sizes.items())
            raise _cuframes.CuframesInvalidArgument(
                f"pictures of different sizes are not one array ({each}): take each by itself, "
                "frames[i].bgr(), and scale it, or let the publishers send one size")

    def _stack(self, order: int, out: Any) -> Any:
        import numpy

        if out is None:
            self._check_one_size()
        there = [frame for frame in self.frames if frame is not None]
        if out is None:
            if not there:
                raise _cuframes.CuframesInvalidArgument(
                    "there is no frame in this batch: give out, whose shape is then kept")
            width, height = there[0].size
            out = numpy.zeros((len(self), height, width, 3), numpy.uint8)
        shape: tuple[int, ...] = getattr(out, "shape", ())
        if len(shape) != 4 or shape[0] != len(self):
            raise _cuframes.CuframesInvalidArgument(
                f"out has shape ({len(self)}, height, width, 3): a picture for each camera; "
                f"this is {shape or out!r}")
        for key, frame, place in zip(self.keys, self.frames, out):
            if frame is None:
                place[...] = 0
            elif getattr(place, "shape", None) != (frame.height, frame.width, 3):
                raise _cuframes.CuframesInvalidArgument(
                    f"out has shape {shape}, and the picture of {key} is "
                    f"({frame.height}, {frame.width}, 3): give an out of that height and width, or "
                    "take each picture by itself, frames[i].bgr()")
            else:
                frame._picture(order, place)
        return out

    def bgr(self, out: Array | None = None) -> Array:
        """All as one array: uint8, shape (cameras, height, width, 3), black where there is no
        frame. The cameras must have one size. Written into `out` if that is given."""
        made: Array = self._stack(BGR, out)
        return made

    def rgb(self, out: Array | None = None) -> Array:
        """As bgr(), red first."""
        made: Array = self._stack(RGB, out)
        return made

    def release(self) -> None:
        """Gives all its frames back."""
        for frame in self.frames:
            if frame is not None:
                frame.release()

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, *error: Any) -> None:
        self.release()


def batch(subscribers: Iterable[Subscriber], deadline: float = 0.04) -> Batch:
    """A new frame of each camera: returns when all have one, or after `deadline` seconds with
    those that are there.

    Cameras that are away are left out. The frames are given back by the next batch() over the
    same subscribers, unless their hold() was called.
    """
    waited = subscribers_of(subscribers)
    if len(set(map(id, waited))) < len(waited):
        raise _cuframes.CuframesInvalidArgument(
            "a subscriber is there twice: it gives one frame to a batch")
    until = _deadline("deadline", deadline)
    frames: list[Frame | None] = [None] * len(waited)
    missing = set(range(len(waited)))
    while missing:
        # Whoever is away for good would end every sleep at once.
        asleep = [waited[i] for i in sorted(missing) if _is_awaited(frames, i, waited[i])]
        missing = {i for i in missing if frames[i] is None}
        if not missing or not _sleep(asleep, until):
            break
    return Batch([one.key for one in waited], frames, [frame is not None for frame in frames],
                 [None if frame is None else frame.time for frame in frames])


def _is_awaited(frames: list[Frame | None], i: int, subscriber: Subscriber) -> bool:
    """Looks for a frame of camera i; whether it has none now, and one can come."""
    try:
        frames[i] = subscriber.poll()
    except _cuframes.CuframesPublisherGone:
        return False
    return frames[i] is None
