# SPDX-License-Identifier: LGPL-2.1-or-later
"""Subscribing: open(), subscribe() and what they give."""
from __future__ import annotations

import asyncio
import time
import warnings
from typing import Any, Iterable, Sequence

from . import _arguments, _cuframes
from ._frame import Frame
from ._publisher import device_code
from ._types import ChannelInfo, SubscriberMode, info_fields

RECONNECT, STAGED = 1, 8
GPU_OF_FRAMES = -1
MODES = {"newest": SubscriberMode.NEWEST_ONLY, "order": SubscriberMode.STRICT_ORDER}
FPS = "a number above 0, or None for every frame"
# How long open() waits for a publisher before it says so.
PATIENCE = 3.0


class CuframesHoldWarning(RuntimeWarning):
    """Every frame that a subscriber may hold is held."""


class Subscriber(_cuframes.Subscriber):
    """Reads a channel's frames in place. open() and subscribe() make one.

    for frame in subscriber: each step gives the next frame and gives back the one before, unless
    the program called its hold(); it waits up to `timeout` seconds (None = for ever), then raises
    CuframesFrameTimeout. When the publisher goes away it waits for the next one, or, without
    reconnect, the loop ends. `async for` does the same in asyncio, without a thread.

    Any thread may use it; threads that share one call next_frame(), whose frames are theirs, since
    each step of a loop gives back the frame of the step before. It can be pickled: the copy subscribes anew,
    in the process where it is first used. After fork() the child must open its own.
    """

    def __init__(self, key: str, *, mode: SubscriberMode | int | str = SubscriberMode.NEWEST_ONLY,
                 name: str | None = None, fps: float | None = None, every: int = 1,
                 device: str | None = None, timeout: float | None = None, reconnect: bool = True,
                 max_holds: int = 0, runtime_dir: str | None = None, stream: int = 0,
                 staged: bool = False, cuda_device: int | None = None,
                 flags: int = 0) -> None:
        if not isinstance(mode, int) or mode not in MODES.values():
            mode = _arguments.choice("mode", mode, MODES)
        key, name = _arguments.key(key), _arguments.name(name)
        every = _arguments.whole_number("every", every, 1, _arguments.UINT32_MAX,
                                        "1 for each frame, n for every n-th")
        if fps is not None and _arguments.number("fps", fps, FPS) <= 0:
            raise _cuframes.CuframesInvalidArgument(f"fps is {FPS}; not {_arguments.shown(fps)}")
        memory, number = device_code(device, GPU_OF_FRAMES)
        if cuda_device is not None:
            number = _arguments.whole_number("cuda_device", cuda_device, -1, _arguments.INT32_MAX,
                                             "the number of a GPU, or -1 for that of the frames")
        max_holds = _arguments.whole_number("max_holds", max_holds, 0, _arguments.UINT32_MAX,
                                            "a number of frames, 0 for what the channel grants")
        stream = _arguments.whole_number("consumer_stream", stream, 0, 2**64 - 1,
                                         "the address of a CUDA stream, 0 for none")
        runtime_dir = _arguments.runtime_dir(runtime_dir)
        _arguments.seconds("timeout", timeout)
        reconnect = _arguments.switch("reconnect", reconnect)
        staged = _arguments.switch("staged", staged)
        flags |= (RECONNECT if reconnect else 0) | (STAGED if staged else 0)
        self._again: dict[str, Any] = {
            "mode": int(mode), "fps": fps, "every": every, "device": device, "timeout": timeout,
            "reconnect": reconnect, "max_holds": max_holds, "runtime_dir": runtime_dir,
            "staged": staged, "cuda_device": cuda_device,
        }
        self._waiter: asyncio.Future[None] | None = None
        super().__init__(key, name=name, mode=int(mode), cuda_device=number, memory=memory,
                         flags=flags, every=every, fps=fps or 0.0,
                         max_holds=max_holds, runtime_dir=runtime_dir, stream=stream,
                         timeout=timeout)

    @property
    def mode(self) -> SubscriberMode:
        """Which frame comes next."""
        return SubscriberMode(self._mode)

    @property
    def info(self) -> ChannelInfo:
        """What the channel is now; attaches if that has not happened."""
        self.connect(self.timeout)
        return ChannelInfo(**info_fields(self._info()))

    def __repr__(self) -> str:
        state = "closed" if self.closed else self.mode.name.lower()
        return f"<cuframes.Subscriber {self.key}, {state}>"

    def __reduce__(self) -> Any:
        return _again, (self.key, self._again)

    def close(self) -> None:
        """Detaches. Frames that are held stay as they are; waits for a frame end with an error, in
        other threads and tasks too."""
        waiter = self._waiter
        here = waiter is not None and in_loop(waiter.get_loop())
        if waiter is not None and here:
            # Before its number can be another's.
            waiter.get_loop().remove_reader(self.fileno())
            self._waiter = None
            wake(waiter)
        super().close()
        if waiter is not None and not here and not waiter.get_loop().is_closed():
            waiter.get_loop().call_soon_threadsafe(wake, waiter)

    def __exit__(self, *error: Any) -> None:
        self.close()

    # ---- asyncio ----

    def __aiter__(self) -> Subscriber:
        return self

    async def __anext__(self) -> Frame:
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        while not self.connected:
            await self._try_to_connect(deadline)
        while True:
            try:
                frame = self.poll()
            except _cuframes.CuframesPublisherGone:
                raise StopAsyncIteration from None
            if frame is not None:
                return frame
            await self._readable(deadline)

    async def _try_to_connect(self, deadline: float | None) -> None:
        try:
            self.connect(0)
        except _cuframes.CuframesPublisherGone:
            if deadline is not None and time.monotonic() >= deadline:
                raise _cuframes.CuframesFrameTimeout(
                    f"no publisher of {self.key} came in time") from None
            await asyncio.sleep(0.05)

    async def _readable(self, deadline: float | None) -> None:
        """Waits until poll() has something to say."""
        if self._waiter is not None:
            raise _cuframes.CuframesInvalidArgument(
                f"another task waits for a frame of {self.key}: open one subscriber for each")
        loop, fd = asyncio.get_running_loop(), self.fileno()
        self._waiter = waiter = loop.create_future()
        loop.add_reader(fd, wake, waiter)
        try:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            await asyncio.wait_for(waiter, left)
        except (TimeoutError, asyncio.TimeoutError):
            raise _cuframes.CuframesFrameTimeout(f"nothing of {self.key} came in time: cuframes.info() says what its publisher "
                "sends") from None
        finally:
            if self._waiter is waiter:
                loop.remove_reader(fd)
                self._waiter = None

    async def __aenter__(self) -> Subscriber:
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.close()


def wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def in_loop(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is called in that loop's thread, while it runs."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _again(key: str, wishes: dict[str, Any]) -> Subscriber:
    """A subscriber that attaches when it is first used: what pickle makes."""
    return Subscriber(key, **wishes)


def open(key: str, mode: SubscriberMode | int | str = "newest", fps: float | None = None,
         every: int = 1, device: str | None = None, timeout: float | None = None,
         reconnect: bool = True, *, name: str | None = None, max_holds: int = 0,
         staged: bool = False, runtime_dir: str | None = None) -> Subscriber:
    """Opens a channel for reading: for frame in cuframes.open("cam1"): ...

    key: the channel's. mode: "newest" skips what you were too slow for; "order" gives every frame
    in order. fps: at most so many frames a second. every: every n-th frame. device: what reads the
    frames: "cpu", "cuda:N", or None = what they are in the memory of. timeout: seconds to wait for
    the publisher and for each frame (None = for ever), then CuframesFrameTimeout. reconnect: wait
    for the next publisher when this one goes; without it a loop ends. name: by which the publisher
    knows it, unique in the channel; made up if not given. max_holds: frames to hold at once (0 =
    what the channel grants, at most 4). staged: take copies where `device` cannot read the frames
    in place, for example frames of a GPU on the CPU; without it that is an error. runtime_dir:
    where the channel's socket is, if not in runtime_dir().
    """
    subscriber = Subscriber(key, mode=mode, name=name, fps=fps, every=every, device=device,
                            timeout=timeout, reconnect=reconnect, max_holds=max_holds,
                            staged=staged, runtime_dir=runtime_dir)
    timeout = _arguments.seconds("timeout", timeout)
    if timeout is not None and timeout <= PATIENCE:
        subscriber.connect(timeout)
        return subscriber
    try:
        subscriber.connect(PATIENCE)
    except _cuframes.CuframesFrameTimeout:
        _say_who_is_missing(key, runtime_dir)
        subscriber.connect(None if timeout is None else timeout - PATIENCE)
    return subscriber


def _say_who_is_missing(key: str, runtime_dir: str | None) -> None:
    from ._discovery import list as live_keys

    there = ", ".join(live_keys(runtime_dir)) or "none"
    where = runtime_dir or _cuframes.runtime_dir()
    warnings.warn(f"waiting for a publisher of {key}; channels in {where}: {there}", stacklevel=3)


def subscribe(key: str, consumer_name: str | None = None,
              mode: SubscriberMode | int = SubscriberMode.NEWEST_ONLY, cuda_device: int = 0,
              connect_timeout_ms: int = -1, consumer_stream: int = 0) -> Subscriber:
    """Attaches to a channel as programs of the 0.1 to 0.4 line do; open() is the way for new ones.

    key: the channel's. consumer_name: unique in the channel; made up if None. mode:
    SubscriberMode. cuda_device: GPU to read on, for frames in GPU memory. connect_timeout_ms:
    below 0 waits for ever, 0 raises CuframesPublisherGone at once if there is no publisher, above
    0 raises CuframesFrameTimeout. consumer_stream: address of the CUDA stream that reads the
    frames, 0 = none. It does not reconnect.
    """
    if consumer_name is not None:
        _arguments.text("consumer_name", consumer_name,
                        "1 to 63 printable characters, or None to make one up")
    connect_timeout_ms = _arguments.whole_number(
        "connect_timeout_ms", connect_timeout_ms, -2**63, 2**63 - 1,
        "a whole number of milliseconds, below 0 to wait for ever")
    subscriber = Subscriber(key, mode=mode, name=consumer_name, reconnect=False,
                            cuda_device=cuda_device, stream=consumer_stream)
    subscriber.connect(None if connect_timeout_ms < 0 else connect_timeout_ms / 1000)
    return subscriber


# ---- holds ----

def culprits(held: Sequence[tuple[Any, ...]]) -> str:
    """Who holds which frame, in words; `held` as Subscriber._held() gives it."""
    lines = []
    for seq, seconds, views, code, line, what in held:
        text = f"frame {seq}, since {seconds:.1f} s"
        if views:
            text += f", by {views} view{'s' if views > 1 else ''} of it (arrays, tensors, planes)"
        if code is not None:
            text += f"; {what} at {code.co_filename}:{line} in {code.co_name}"
        lines.append(text)
    return "; ".join(lines)


def exhausted(subscriber: Subscriber, held: Sequence[tuple[Any, ...]]) -> str:
    """Called by the extension: warns, and gives the sentence of the error."""
    text = (f"{len(held)} frame{'s' if len(held) > 1 else ''} of {subscriber.key} "
            f"{'are' if len(held) > 1 else 'is'} held, as many as were granted: release one, "
            f"copy() what you keep, or ask for more (max_holds). Held: {culprits(held)}")
    warnings.warn(text, CuframesHoldWarning, stacklevel=2)
    return text


def subscribers_of(some: Iterable[Any]) -> list[Subscriber]:
    """Checks what wait_any() and batch() take."""
    subscribers = _arguments.listed("subscribers", some, "a list of what open() gives")
    for one in subscribers:
        if not isinstance(one, Subscriber):
            raise TypeError(f"subscribers: {_arguments.shown(one)} is not a subscriber: open() makes them")
        one._own()
    return subscribers
