# SPDX-License-Identifier: LGPL-2.1-or-later
"""Numbers that have names, and descriptions."""
from __future__ import annotations

import dataclasses
import enum
import fractions
from typing import Any

from . import _cuframes
from ._arguments import shown


class PixelFormat(enum.IntEnum):
    """Pixel formats; multi-byte samples are little-endian."""

    NV12 = 0
    """Y, then Cb and Cr side by side at half width and height."""
    YUV420P = 1
    """Y, Cb, Cr; chroma at half width and height."""
    RGB = 2
    BGR = 3
    RGBA = 4
    GRAYSCALE = 5
    """8 bits a pixel."""
    P010 = 6
    """As NV12 with 16-bit samples, 10 used bits at the top."""
    YUV444P = 7
    """Y, Cb, Cr at full size."""
    BGRA = 8
    GRAY16 = 9
    """16 bits a pixel."""

    @classmethod
    def of(cls, value: PixelFormat | int | str) -> PixelFormat:
        """The format of a number, a member or a name ("nv12", "gray" and so on)."""
        if isinstance(value, str):
            name = value.upper()
            name = {"GRAY": "GRAYSCALE", "GRAY8": "GRAYSCALE", "I420": "YUV420P",
                    "RGB24": "RGB", "BGR24": "BGR"}.get(name, name)
            if name in cls.__members__:
                return cls[name]
        elif isinstance(value, int) and value in tuple(cls):
            return cls(value)
        known = ", ".join(member.name.lower() for member in cls)
        raise _cuframes.CuframesInvalidArgument(
            f"there is no pixel format {shown(value)}; there are {known}")


class SubscriberMode(enum.IntEnum):
    """Which frame comes next."""

    NEWEST_ONLY = 0
    """The newest frame that was not given yet."""
    STRICT_ORDER = 1
    """The next frame in order."""


class ClockSource(enum.IntEnum):
    """Where a capture time comes from."""

    UNKNOWN = 0
    """There is none."""
    RECEIVED = 1
    """This host's clock when the picture's data arrived."""
    CAMERA = 2
    """The camera's clock, through RTCP sender reports."""
    DEVICE = 3
    """The capture driver's time stamp (V4L2)."""
    APPLICATION = 4
    """The publisher's program set it."""
    FILE = 5
    """Recorded in the file that is played."""


class FrameFlags(enum.IntFlag):
    """Bits of Frame.flags."""

    DISCONTINUITY = 1
    """Time or content do not follow the frame before."""
    CORRUPT = 2
    """The decoder reported damage."""
    GENERATION = 4
    """First frame that this subscriber sees of a generation."""
    KEY = 8
    """Decoded from a key frame."""
    PACKET = 16
    """Frame.packet_seq is known."""
    INTERLACED = 32
    """Two fields, taken one after the other: the rows with even numbers, and the others."""
    TOP_FIELD_FIRST = 64
    """Of an interlaced frame the even rows are older."""


@dataclasses.dataclass(frozen=True)
class ChannelInfo:
    """What a channel is."""

    key: str
    format: PixelFormat
    width: int
    """Visible width in pixels."""
    height: int
    """Visible height in pixels."""
    memory: str
    """"cpu" or "cuda"."""
    policy: str
    """"drop": the publisher never waits; "wait": it waits for subscribers in strict order."""
    slots: int
    generation: int
    fps: fractions.Fraction | None
    """Nominal frame rate; None = unknown or variable."""
    pixel_aspect: fractions.Fraction | None
    """Width of a pixel to its height; None = unknown (square)."""
    color: tuple[int, int, int, int]
    """(matrix, primaries, transfer, range) of frames that do not say otherwise, see Frame.color."""
    ack_timeout: float | None
    """Wait policy: seconds that the publisher waits; None = for ever."""
    max_holds: int
    """Most frames that one subscriber may hold."""
    pid: int
    """The publisher's process as this process sees it; 0 = in another PID namespace."""
    streams: int
    """Elementary streams of its packets, see packets(); 0 = it has none."""
    gpu: str | None
    """UUID of the GPU whose memory the frames are in; None = host memory."""
    packets_only: bool
    """A PacketPublisher's: it has no frames, so what is said of them means nothing."""


@dataclasses.dataclass(frozen=True)
class ChannelReport(ChannelInfo):
    """What a channel is and counts, and who reads it."""

    stats: dict[str, Any]
    """As Publisher.stats()."""
    subscribers: list[dict[str, Any]]
    """As Publisher.subscribers()."""


def whole_shape(format: PixelFormat, width: int, height: int) -> tuple[int, ...] | None:
    """Shape of a picture as one array; None where odd sizes leave no such array."""
    samples = {PixelFormat.RGB: 3, PixelFormat.BGR: 3, PixelFormat.RGBA: 4, PixelFormat.BGRA: 4}
    if format in samples:
        return height, width, samples[format]
    if format in (PixelFormat.GRAYSCALE, PixelFormat.GRAY16):
        return height, width
    if format is PixelFormat.YUV444P:
        return 3, height, width
    return None if height % 2 or width % 2 else (height * 3 // 2, width)


def fraction(pair: tuple[int, int]) -> fractions.Fraction | None:
    return fractions.Fraction(*pair) if pair[1] else None


def info_fields(raw: dict[str, Any]) -> dict[str, Any]:
    """The fields of ChannelInfo from what the extension gives."""
    fields = dict(raw)
    fields["fps"] = fraction(fields["fps"])
    fields["pixel_aspect"] = fraction(fields["pixel_aspect"])
    ack_ms = fields.pop("ack_timeout_ms")
    fields["ack_timeout"] = None if ack_ms < 0 else ack_ms / 1000
    return fields
