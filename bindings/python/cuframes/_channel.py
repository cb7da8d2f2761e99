# SPDX-License-Identifier: LGPL-2.1-or-later
"""What publishers of frames and of packets alone have in common."""
from __future__ import annotations

import datetime
import time as _time
from typing import TYPE_CHECKING, Any, Iterable, Self

from . import _cuframes
from ._types import ChannelInfo, ClockSource, info_fields

if TYPE_CHECKING:
    from ._packets import Stream

NO_TIME = -(1 << 63)


def capture_time(time: Any) -> tuple[int, int]:
    """(nanoseconds since 1970, source) of a datetime, seconds, True (now) or None."""
    if time is None:
        return 0, ClockSource.UNKNOWN
    if time is True:
        return _time.time_ns(), ClockSource.APPLICATION
    if isinstance(time, datetime.datetime):
        if time.tzinfo is None:
            raise ValueError("time needs a time zone, for example "
                             "datetime.now(timezone.utc)")
        since = time - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        microseconds = (since.days * 86400 + since.seconds) * 1000000 + since.microseconds
        return microseconds * 1000, ClockSource.APPLICATION
    return round(time * 1e9), ClockSource.APPLICATION


class Channel(_cuframes.Publisher):
    """What publishers of frames and of packets alone have in common."""

    key: str
    """The channel's key."""

    @property
    def info(self) -> ChannelInfo:
        """What the channel is now."""
        return ChannelInfo(**info_fields(self._info()))

    def _begin_packets(self, streams: Iterable[Stream], keep: float | None, slots: int, size: int,
                       max_packet: int, max_size: int) -> None:
        from ._packets import raw_streams

        self._own()
        raw = raw_streams(streams)
        self._enable_packets(slots, size, max_packet, round((keep or 0) * 1000), max_size)
        self._set_streams(raw)

    def set_streams(self, streams: Iterable[Stream]) -> None:
        """Describes the streams anew: readers see PacketFlags.GENERATION on the first packet."""
        from ._packets import raw_streams

        self._own()
        self._set_streams(raw_streams(streams))

    def send_packet(self, data: Any, *, pts: float | None = None, dts: float | None = None,
                    duration: float = 0.0, time: Any = None, flags: int = 0,
                    stream: int = 0) -> int:
        """Publishes one packet (anything with bytes; copied) and returns its number. pts, dts and
        duration in seconds; flags: bits of PacketFlags, of which KEY matters; stream: index."""
        self._own()
        capture_ns, source = capture_time(time)
        return self._send_packet(data, NO_TIME if pts is None else round(pts * 1e9),
                                 NO_TIME if dts is None else round(dts * 1e9),
                                 round(duration * 1e9), capture_ns, source, stream, flags)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<cuframes.{type(self).__name__} {self.key}{', closed' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("a publisher stays in its process: only one process owns a channel")
