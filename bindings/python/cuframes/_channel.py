# SPDX-License-Identifier: LGPL-2.1-or-later
"""What publishers of frames and of packets alone have in common."""
from __future__ import annotations

import time as _time
from typing import TYPE_CHECKING, Any, Iterable, Self

from . import _arguments, _cuframes
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
    return _arguments.capture_time(time), ClockSource.APPLICATION


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
        self._enable_packets(
            _arguments.count("slots", slots, "a number of packets, 0 for 64"),
            _arguments.count("size", size, "a number of bytes, 0 for 8 MiB"),
            _arguments.count("max_packet", max_packet, "a number of bytes, 0 for 2 MiB"),
            0 if not keep else max(0, _arguments.milliseconds("keep", keep, "for no time of its own")),
            _arguments.count("max_size", max_size, "a number of bytes, 0 for the library's limit"))
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
        return self._send_packet(
            _arguments.contiguous_bytes("data", data),
            NO_TIME if pts is None else _arguments.nanoseconds("pts", pts),
            NO_TIME if dts is None else _arguments.nanoseconds("dts", dts),
            _arguments.nanoseconds("duration", duration), capture_ns, source,
            _arguments.whole_number("stream", stream, 0, 31, "the index of a stream"),
            _arguments.flags(flags, "PacketFlags"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<cuframes.{type(self).__name__} {self.key}{', closed' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("a publisher stays in its process: only one process owns a channel")
