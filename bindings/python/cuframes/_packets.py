# SPDX-License-Identifier: LGPL-2.1-or-later
"""The encoded stream: packets as the source delivered them."""
from __future__ import annotations

import dataclasses
import datetime
import enum
import fractions
import numbers
import time
from typing import Any, Iterable

from . import _arguments, _cuframes
from ._channel import Channel
from ._frame import EPOCH
from ._publisher import access_code, color_code, rate
from ._subscriber import Subscriber
from ._types import fraction

PACKETS_ONLY = 4
STARTS = {"newest": 0, "oldest": 1}
PRE_ROLL = 2
START = '"newest", "oldest" or a number of seconds ago'
MOST_AGO = 4e6
CHANNEL_OF_PACKETS = 2
TYPES = ("video", "audio", "data")
NAME_MAX, LANGUAGE_MAX = 31, 7
LARGE_FIELDS = ("bit_rate", "channel_mask")
OTHER_FIELDS = ("codec_name", "language", "color", "extradata")
PACKAGINGS = ("raw", "annexb", "length")
NO_TIME = -(1 << 63)


class PacketFlags(enum.IntFlag):
    """Bits of Packet.flags."""

    KEY = 1
    """Decoding can start here."""
    CORRUPT = 2
    """The source reported damage."""
    DISCONTINUITY = 4
    """Time or content do not follow on."""
    LAST_IN_AU = 8
    """Completes its access unit."""
    GENERATION = 16
    """First packet that this reader gets of a packet generation: see PacketReader.streams again."""


@dataclasses.dataclass(frozen=True)
class Stream:
    """One elementary stream: codec and parameters. Zero and None mean unknown."""

    type: str = "video"
    """"video", "audio" or "data"."""
    codec_id: int = 0
    """FFmpeg's AVCodecID: H.264 is 27, HEVC 173."""
    codec_name: str = ""
    """FFmpeg's short name, "h264" and so on."""
    language: str = ""
    """ISO 639-2, "eng"."""
    codec_tag: int = 0
    packaging: str = "raw"
    """"annexb" (start codes) or "length" (avcC, hvcC) for H.264 and HEVC, else "raw"."""
    time_base: fractions.Fraction | None = None
    """Seconds of a tick of the source's clock; None = nanoseconds."""
    profile: int = -99
    level: int = -99
    bit_rate: int = 0
    """Bits a second."""
    width: int = 0
    height: int = 0
    fps: fractions.Fraction | None = None
    pixel_aspect: fractions.Fraction | None = None
    color: tuple[int, int, int, int] = (0, 0, 0, 0)
    """As Frame.color."""
    video_delay: int = 0
    """Frames by which decoding order and display order can differ."""
    sample_rate: int = 0
    """Samples a second."""
    channels: int = 0
    channel_mask: int = 0
    """Which speakers, as FFmpeg's AV_CH_..."""
    samples_per_packet: int = 0
    initial_padding: int = 0
    trailing_padding: int = 0
    seek_preroll: int = 0
    block_align: int = 0
    bits_per_sample: int = 0
    extradata: bytes = b""
    """Out-of-band parameters: SPS and PPS, AudioSpecificConfig; at most 4096 bytes."""

    def to_av(self) -> Any:
        """A decoder of PyAV for this stream: stream.to_av().decode(packet.to_av())."""
        import av

        decoder = av.CodecContext.create(self.codec_name, "r")
        if self.extradata:
            decoder.extradata = self.extradata
        return decoder


def stream_of(raw: dict[str, Any]) -> Stream:
    """From what the extension gives."""
    fields = dict(raw)
    for name, pair in (("time_base", "time_base"), ("fps", "fps"), ("pixel_aspect", "sar")):
        numbers = fields.pop(f"{pair}_num"), fields.pop(f"{pair}_den")
        fields[name] = fraction(numbers)
    fields["type"] = TYPES[fields["type"]]
    fields["packaging"] = PACKAGINGS[fields["packaging"]]
    return Stream(**fields)


def raw_stream(stream: Stream) -> dict[str, Any]:
    """What the extension takes."""
    fields = {field.name: getattr(stream, field.name) for field in dataclasses.fields(stream)}
    fields["time_base_num"], fields["time_base_den"] = _time_base(fields.pop("time_base"))
    fields["fps_num"], fields["fps_den"] = rate("fps of a stream", fields.pop("fps"))
    fields["sar_num"], fields["sar_den"] = rate(
        "pixel_aspect of a stream", fields.pop("pixel_aspect"),
        "the width of a pixel to its height")
    for name, known in (("type", TYPES), ("packaging", PACKAGINGS)):
        if fields[name] not in known:
            raise _cuframes.CuframesInvalidArgument(
                f"the {name} of a stream is one of {', '.join(known)}, not "
                f"{_arguments.shown(fields[name])}")
        fields[name] = known.index(fields[name])
    for name, most in (("codec_name", NAME_MAX), ("language", LANGUAGE_MAX)):
        what = f"a str of at most {most} bytes"
        if len(_arguments.text(f"{name} of a stream", fields[name], what).encode()) > most:
            raise _cuframes.CuframesInvalidArgument(
                f"{name} of a stream is {what}; not {_arguments.shown(fields[name])}")
    fields["color"] = color_code(fields["color"])
    fields["extradata"] = bytes(_arguments.contiguous_bytes("extradata of a stream",
                                                            fields["extradata"]))
    for name, value in fields.items():
        if name not in OTHER_FIELDS:
            most = 2**63 - 1 if name in LARGE_FIELDS else 2**32 - 1
            fields[name] = _arguments.whole_number(f"{name} of a stream", value, -2**31, most,
                                                   "a whole number that fits")
    return fields


def _time_base(given: Any) -> tuple[int, int]:
    what = "time_base of a stream is a Fraction of a second above 0, or None for nanoseconds"
    if given is None:
        return 0, 0
    if not isinstance(given, numbers.Rational):
        raise TypeError(f"{what}; not {_arguments.shown(given)}")
    top, bottom = given.numerator, given.denominator
    if not (0 < top < 2**31 and bottom < 2**31):
        raise _cuframes.CuframesInvalidArgument(f"{what}; not {_arguments.shown(given)}")
    return top, bottom


def raw_streams(streams: Iterable[Stream]) -> list[dict[str, Any]]:
    listed = _arguments.listed("streams", streams, "a list of Stream")
    for stream in listed:
        if not isinstance(stream, Stream):
            raise TypeError(f"streams: each is described by a Stream, not {_arguments.shown(stream)}")
    return [raw_stream(stream) for stream in listed]


class Packet(_cuframes.Packet):
    """One packet. Its bytes are its own: bytes(packet), memoryview(packet), len(packet); they stay
    as long as it lives. Any thread may use it."""

    stream: Stream
    """The stream that it belongs to."""

    @property
    def time(self) -> datetime.datetime | None:
        """When it was taken: an aware datetime, UTC; None if unknown. clock_source says whose."""
        taken = self.capture_ns
        return None if taken is None else EPOCH + datetime.timedelta(microseconds=taken // 1000)

    def to_av(self) -> Any:
        """The packet for PyAV, with times in the stream's time base."""
        import av

        packet = av.Packet(bytes(memoryview(self)))  # type: ignore[arg-type]
        base = self.stream.time_base or fractions.Fraction(1, 1000000000)
        packet.time_base = base
        ticks = 1 / base / 1000000000
        packet.pts = None if self.pts_ns is None else round(self.pts_ns * ticks)
        packet.dts = None if self.dts_ns is None else round(self.dts_ns * ticks)
        if self.duration_ns:
            try:
                packet.duration = round(self.duration_ns * ticks)
            except AttributeError:
                pass  # PyAV before 12 does not let it be set
        return packet

    def __repr__(self) -> str:
        return (f"<cuframes.Packet {self.seq}, {len(self)} bytes of {self.stream.codec_name}"
                f"{', key' if self.is_key else ''}>")


class PacketPublisher(Channel):
    """Owns a channel of packets alone, without frames: readers get them by packets().

    with cuframes.PacketPublisher("cam1", [stream]) as pub:
        pub.send_packet(data, pts=0.0, flags=cuframes.PacketFlags.KEY)

    streams, keep, slots, size, max_packet, max_size: as Publisher.enable_packets(). The others as
    Publisher. Nobody is waited for. Any thread may use it.
    """

    def __init__(self, key: str, streams: Iterable[Stream], *, keep: float | None = None,
                 slots: int = 0, size: int = 0, max_packet: int = 0, max_size: int = 0,
                 max_subscribers: int = 0, socket_mode: int = 0, socket_group: str | None = None,
                 allowed_users: Iterable[int] | None = None,
                 runtime_dir: str | None = None) -> None:
        self.key = _arguments.key(key)
        super().__init__(key, 0, 0, 0, flags=CHANNEL_OF_PACKETS,
                         **access_code(max_subscribers, socket_mode, socket_group, allowed_users,
                                       runtime_dir))
        try:
            self._begin_packets(streams, keep, slots, size, max_packet, max_size)
        except BaseException:
            self.close()
            raise


class PacketReader:
    """Reads a channel's packets; packets() makes one. An iterator, and one for `async for`.

    It begins at a key frame. What was overwritten before it was read is counted in `lost` of the
    next packet, which is a key frame. When the publisher goes away it waits for the next one, or,
    without reconnect, the loop ends.
    """

    def __init__(self, key: str, *, start: str | float = "newest",
                 streams: Iterable[int] | None = None, timeout: float | None = None,
                 reconnect: bool = True, name: str | None = None,
                 runtime_dir: str | None = None) -> None:
        if isinstance(start, str):
            if start not in STARTS:
                raise _cuframes.CuframesInvalidArgument(f"start is {START}; not "
                                                        f"{_arguments.shown(start)}")
        elif _arguments.number("start", start, START) < 0 or start > MOST_AGO:
            raise _cuframes.CuframesInvalidArgument(f"start is {START}; not "
                                                    f"{_arguments.shown(start)}")
        wanted = set() if streams is None else {
            _arguments.whole_number("streams", index, 0, 31, "a list of numbers from 0 to 31, or None")
            for index in _arguments.listed("streams", streams,
                                           "a list of numbers from 0 to 31, or None")}
        self._timeout = timeout
        self._streams: list[Stream] | None = None
        self._generation: int | None = None
        self._subscriber = Subscriber(key, name=name, timeout=timeout, reconnect=reconnect,
                                      runtime_dir=runtime_dir, flags=PACKETS_ONLY)
        self._subscriber.connect(timeout)
        mask = sum(1 << index for index in wanted)
        if isinstance(start, str):
            self._subscriber._enable_packets(STARTS[start], 0, mask)
        else:
            self._subscriber._enable_packets(PRE_ROLL, max(0, round(start * 1000)), mask)

    @property
    def key(self) -> str:
        """The channel's key."""
        return self._subscriber.key

    @property
    def streams(self) -> list[Stream]:
        """The elementary streams of the newest packet (before the first: those to come)."""
        if self._streams is None:
            return [stream_of(raw) for raw in self._subscriber._streams()]
        return self._streams

    def next_packet(self, timeout: float | None = None) -> Packet | None:
        """The next packet, or None if none comes within `timeout` seconds (None = for ever)."""
        packet: Packet | None = self._subscriber._next_packet(timeout)
        if packet is None:
            return None
        if self._streams is None or packet.generation != self._generation:
            self._streams = [stream_of(raw) for raw in self._subscriber._streams()]
            self._generation = packet.generation
        packet.stream = self._streams[packet.stream_index]
        return packet

    def __iter__(self) -> PacketReader:
        return self

    def __next__(self) -> Packet:
        try:
            packet = self.next_packet(self._timeout)
        except _cuframes.CuframesPublisherGone:
            raise StopIteration from None
        if packet is None:
            raise _cuframes.CuframesFrameTimeout(f"no packet of {self.key} in time")
        return packet

    def __aiter__(self) -> PacketReader:
        return self

    async def __anext__(self) -> Packet:
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while True:
            try:
                packet = self.next_packet(0)
            except _cuframes.CuframesPublisherGone:
                raise StopAsyncIteration from None
            if packet is not None:
                return packet
            await self._subscriber._readable(deadline)

    def stats(self) -> dict[str, Any]:
        """What it has counted, as Subscriber.stats(): packets_received, packets_lost and so on."""
        return self._subscriber.stats()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._subscriber.closed

    def fileno(self) -> int:
        """A descriptor that is readable when next_packet(0) has something to say."""
        return self._subscriber.fileno()

    def close(self) -> None:
        """Detaches. Packets stay as they are."""
        self._subscriber.close()

    def __enter__(self) -> PacketReader:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    async def __aenter__(self) -> PacketReader:
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.close()


def packets(key: str, start: str | float = "newest", *, streams: Iterable[int] | None = None,
            timeout: float | None = None, reconnect: bool = True, name: str | None = None,
            runtime_dir: str | None = None) -> PacketReader:
    """Opens the encoded stream of a channel: for packet in cuframes.packets("cam1"): ...

    start: "newest" key frame, "oldest" that is kept, or seconds: the youngest key frame that is at
    least so old. streams: indices of the streams to read; None = all. timeout, reconnect, name,
    runtime_dir: as open(). CuframesPublisherGone if the channel has no packets.
    """
    return PacketReader(key, start=start, streams=streams, timeout=timeout, reconnect=reconnect,
                        name=name, runtime_dir=runtime_dir)
