# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which channels there are, and single pictures of them."""
from __future__ import annotations

import asyncio
import builtins
from typing import Any, NamedTuple

from . import _arguments, _cuframes
from ._frame import Frame
from ._subscriber import Subscriber, wake
from ._types import ChannelReport, info_fields


def list(runtime_dir: str | None = None) -> builtins.list[str]:
    """Keys of the channels that have a live publisher, sorted."""
    runtime_dir = _arguments.runtime_dir(runtime_dir)
    return [key for key in _cuframes._keys(runtime_dir) if _lives(key, runtime_dir)]


def _lives(key: str, runtime_dir: str | None) -> bool:
    try:
        _cuframes._query(key, runtime_dir, 200)
    except _cuframes.CuframesPublisherGone:
        return False
    except _cuframes.CuframesError:
        pass  # there is somebody, who is slow or does not let us in
    return True


def info(key: str, runtime_dir: str | None = None, timeout: float | None = 1.0) -> ChannelReport:
    """What a channel is, what it counts and who reads it, as its publisher says within `timeout`
    seconds (None = for ever). CuframesPublisherGone if there is none."""
    timeout_ms = _arguments.milliseconds("timeout", timeout)
    raw, stats, subscribers = _cuframes._query(
        _arguments.key(key), _arguments.runtime_dir(runtime_dir),
        _arguments.INT32_MAX if timeout_ms < 0 else timeout_ms)
    return ChannelReport(**info_fields(raw), stats=stats, subscribers=subscribers)


def snapshot(key: str, timeout: float | None = 5.0, runtime_dir: str | None = None) -> Frame:
    """The newest frame of a channel, or the next one if it has none yet; host memory.

    It is held until it is released or garbage; snapshot(key).copy() holds nothing.
    """
    with Subscriber(key, timeout=timeout, reconnect=False, runtime_dir=runtime_dir,
                    device="cpu", staged=True) as subscriber:
        subscriber.connect(timeout)
        return subscriber.next_frame(_arguments.milliseconds("timeout", timeout))


class WatchEvent(NamedTuple):
    """What happened to which channel."""

    added: bool
    """True: it came, or was there before. False: it was closed, or its publisher died."""
    key: str


class Watch(_cuframes.Watch):
    """Tells when channels come and go; watch() makes one. An iterator, and one for `async for`."""

    def __new__(cls, runtime_dir: str | None = None, timeout: float | None = None) -> Watch:
        _arguments.seconds("timeout", timeout)
        self = super().__new__(cls, _arguments.runtime_dir(runtime_dir))
        self.timeout = timeout
        return self

    timeout: float | None
    """Seconds without an event after which a loop ends; None = never."""

    def next(self, timeout: float | None = None) -> WatchEvent | None:
        """The next event, or None if none came within `timeout` seconds (None = for ever)."""
        event = self._next(timeout)
        return None if event is None else WatchEvent(*event)

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> WatchEvent:
        event = self.next(self.timeout)
        if event is None:
            raise StopIteration
        return event

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> WatchEvent:
        loop = asyncio.get_running_loop()
        while True:
            event = self.next(0)
            if event is not None:
                return event
            waiter = loop.create_future()
            loop.add_reader(self.fileno(), wake, waiter)
            try:
                await asyncio.wait_for(waiter, self.timeout)
            except (TimeoutError, asyncio.TimeoutError):
                raise StopAsyncIteration from None
            finally:
                loop.remove_reader(self.fileno())

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def watch(runtime_dir: str | None = None, timeout: float | None = None) -> Watch:
    """Watches a runtime directory, which must exist: for added, key in cuframes.watch(): ...

    The channels that are there come first. timeout: seconds without an event after which the loop
    ends; None = never.
    """
    return Watch(runtime_dir, timeout)
