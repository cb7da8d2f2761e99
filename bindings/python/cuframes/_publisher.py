# SPDX-License-Identifier: LGPL-2.1-or-later
"""Publishing: channels and their slots."""
from __future__ import annotations

import datetime
import fractions
import importlib
import json
import math
import re
import time as _time
from typing import TYPE_CHECKING, Any, Iterable

from . import _arguments, _cuframes
from ._arguments import shown
from ._channel import Channel, capture_time
from ._types import PixelFormat, whole_shape

if TYPE_CHECKING:
    from ._packets import Stream

SLOTS = "2 to 64 frames of memory, 0 for the default"
POLICIES = {"drop": 0, "wait": 1}
RANGES = {"limited": 1, "full": 2}
MATRICES = {"bt709": 1, "bt601": 6, "bt2020": 9}


def color_code(color: Any) -> tuple[int, int, int, int]:
    """Colour as the four numbers of the library, from what a program may say."""
    if color is None:
        return (0, 0, 0, 0)
    if isinstance(color, str):
        matrix, _, range_ = color.partition("-")
        if matrix not in MATRICES or (range_ and range_ not in RANGES):
            raise _cuframes.CuframesInvalidArgument(
                f'there is no color {shown(color)}: say "bt601", "bt709" or "bt2020", with "-full" '
                'or "-limited" behind if need be')
        return (MATRICES[matrix], 0, 0, RANGES.get(range_, 0))
    what = '"bt709", "bt601-full" and so on, or four code points of H.273 (0 to 255)'
    if not isinstance(color, (tuple, list)) or len(color) != 4:
        raise _cuframes.CuframesInvalidArgument(f"color is {what}; not {shown(color)}")
    matrix, primaries, transfer, range_ = (
        _arguments.whole_number("each number of color", part, 0, 255,
                                "a code point of H.273, 0 to 255") for part in color)
    return (matrix, primaries, transfer, range_)


def size_code(width: Any, height: Any) -> tuple[int, int]:
    return (_arguments.whole_number("width", width, 1, _arguments.INT32_MAX,
                                    "a number of pixels, 1 or more"),
            _arguments.whole_number("height", height, 1, _arguments.INT32_MAX,
                                    "a number of pixels, 1 or more"))


def access_code(max_subscribers: Any, socket_mode: Any, socket_group: Any, allowed_users: Any,
                runtime_dir: Any) -> dict[str, Any]:
    """Where the channel is, and who may read it."""
    return {
        "max_subscribers": _arguments.count("max_subscribers", max_subscribers,
                                            "a number of subscribers, 0 for the default"),
        "socket_mode": _arguments.whole_number("socket_mode", socket_mode, 0, 0o777,
                                               "permissions such as 0o660, 0 for the default"),
        "socket_group": None if socket_group is None else _arguments.text(
            "socket_group", socket_group, "the name or number of a group, or None"),
        "runtime_dir": _arguments.runtime_dir(runtime_dir),
        "allowed_users": _arguments.users(allowed_users),
    }


def crop_code(crop: Any) -> tuple[int, int, int, int]:
    what = "(x, y, width, height) in pixels, zeros for all"
    if not isinstance(crop, (tuple, list)) or len(crop) != 4:
        raise _cuframes.CuframesInvalidArgument(f"crop is {what}; not {shown(crop)}")
    x, y, width, height = (_arguments.count("each number of crop", part, "a number of pixels")
                           for part in crop)
    return (x, y, width, height)


def device_code(device: str | None, unnamed: int = 0) -> tuple[int, int]:
    """(kind of memory, number of the GPU) of "cpu", "cuda", "cuda:1" or None. `unnamed` is the
    number where none is given."""
    if device is None:
        return 0, unnamed
    if device == "cpu":
        return 1, unnamed
    known = re.fullmatch("cuda(:([0-9]{1,4}))?", device) if isinstance(device, str) else None
    if known is None:
        raise _cuframes.CuframesInvalidArgument(
            f'there is no device {shown(device)}: say "cpu", "cuda" or "cuda:N"')
    return 2, int(known[2] or unnamed)


def rate(name: str, given: Any, what: str = "frames a second") -> tuple[int, int]:
    """A number above 0 as a fraction; None and 0 are unknown."""
    text = f'{name} is {what}: a number above 0, a Fraction, "30000/1001" or None if unknown'
    if given is None or (isinstance(given, (int, float)) and given == 0):
        return 0, 0
    try:
        fraction = fractions.Fraction(given).limit_denominator(1001)
    except (TypeError, AttributeError):
        raise TypeError(f"{text}; not {shown(given)}") from None
    except (ValueError, OverflowError, ZeroDivisionError):
        fraction = fractions.Fraction(-1)
    if not 0 < fraction < 2**31 // 1001 or fraction.numerator > _arguments.INT32_MAX:
        raise _cuframes.CuframesInvalidArgument(f"{text}; not {shown(given)}")
    return fraction.numerator, fraction.denominator


def metadata_bytes(metadata: Any) -> bytes:
    """What goes with the frame: bytes as they are, anything else as JSON. What is no object and no
    list gets a space before it, by which Frame.metadata tells it from bytes."""
    if metadata is None:
        return b""
    if isinstance(metadata, (bytes, bytearray, memoryview)):
        return bytes(metadata)
    try:
        text = json.dumps(metadata, separators=(",", ":"), ensure_ascii=False, default=_plain)
        return (text if text[0] in "{[" else f" {text}").encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError("metadata is bytes, or what JSON can say (dict, list, str, int, float, "
                        f"bool); not {shown(metadata)}: {error}") from None


def _plain(value: Any) -> Any:
    """For JSON: numbers and arrays of NumPy as those of Python."""
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not of JSON")


def _optional(name: str, given: Any, what: str) -> int | None:
    return None if given is None else _arguments.whole_number(name, given, 0, 2**64 - 1, what)


class Buffer(_cuframes.Buffer):
    """A slot in your hands: write the picture into it, then leave the `with` block.

    buf[...] = picture writes the whole picture; `array` is a writable view of it for functions
    that draw, numpy() gives views of the planes. On a GPU, torch.from_dlpack(buf) and cupy.from_dlpack(buf) are writable tensors. The attributes
    below travel with the frame. Do not write after publishing: others read then.
    """

    pts: float | None = None
    """Presentation time in seconds; None = seconds since the publisher was made."""
    pts_ns: int | None = None
    """The same in nanoseconds; counts before `pts`."""
    time: datetime.datetime | float | bool | None = None
    """When the picture was taken: aware datetime, seconds since 1970, or True for now."""
    metadata: Any = None
    """Goes with the frame, at most 1024 bytes: bytes, or anything that JSON can say (dict, list, str,
    int, float, bool; numbers and arrays of NumPy become those of Python), which comes back as what it
    was, but tuples as lists and keys as str. See Frame.metadata."""
    flags: int = 0
    """Bits of FrameFlags: DISCONTINUITY, CORRUPT, KEY, INTERLACED, TOP_FIELD_FIRST."""
    color: Any = None
    """How to read the colours, where that differs from the channel's."""
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    """(x, y, width, height) of the visible part; zeros = all."""
    packet_seq: int | None = None
    """Number of the packet that it was decoded from, see send_packet()."""
    copies: int = 0
    """Copies that were made to fill the slot; counted in the statistics."""
    stream: int | None = None
    """CUDA stream (its address) whose work fills the slot, for GPU memory: the frame is announced
    when that work is done. None = the stream on which a tensor of the slot was last made by
    DLPack, else the default stream."""
    _publisher: Publisher

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of the picture as one array, see Publisher.send(); None where odd sizes leave no
        such array."""
        return whole_shape(self.format, self.width, self.height)

    @property
    def array(self) -> Any:
        """The whole picture as one writable NumPy array, in place; BufferError if its planes are
        not one array. Host memory only."""
        return self._whole()

    def __getitem__(self, key: Any) -> Any:
        return self._whole()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._whole()[key] = value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.device != "cpu":
            raise TypeError("this slot is in GPU memory: use torch.from_dlpack(buf) or "
                            "cupy.from_dlpack(buf)")
        array = self._whole()
        return array.copy() if copy or (dtype is not None and dtype != array.dtype) else array

    def publish(self) -> int:
        """Announces the slot now, and returns the frame's sequence number."""
        self._own()
        capture_ns, source = capture_time(self.time)
        pts_ns = self.pts_ns
        if pts_ns is None:
            pts_ns = (_arguments.nanoseconds("pts", self.pts) if self.pts is not None
                      else _cuframes.now_ns() - self._publisher._start_ns)
        else:
            pts_ns = _arguments.whole_number("pts_ns", pts_ns, -_arguments.INT64_MAX,
                                             _arguments.INT64_MAX, "a number of nanoseconds")
        return self._publish(pts_ns, capture_ns, source, _arguments.flags(self.flags),
                             metadata_bytes(self.metadata), color_code(self.color),
                             crop_code(self.crop),
                             _arguments.count("copies", self.copies, "a number of copies"),
                             _optional("stream", self.stream, "the address of a CUDA stream, or None"),
                             _optional("packet_seq", self.packet_seq, "a packet's number, or None"))

    def __enter__(self) -> Buffer:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None:
            self.discard()
        elif not self.released:
            self.publish()


class Publisher(Channel):
    """Owns a channel: others read what it sends, in place.

    with cuframes.Publisher("cam1", 1920, 1080, "bgr") as pub:
        pub.send(picture)

    key: 1 to 63 characters of A-Z a-z 0-9 _ -. width, height: pixels. format: PixelFormat or its
    name. slots: 2 to 64 frames of memory, reserved now. policy: "drop" never waits for a
    subscriber; "wait" waits for those in strict order up to ack_timeout seconds (None = for ever),
    then evicts. device: where the frames are: "cpu", "cuda:N", or None for the GPU where there is
    one. fps: nominal rate. color: "bt709", "bt601-full" and so on, or four code points of H.273.
    max_holds: most frames one subscriber may hold. socket_mode, socket_group, allowed_users
    (numbers): who may connect. alignment: bytes that rows start at multiples of.

    Raises CuframesAlreadyExists if the key has a publisher. Any thread may use it.
    """

    def __init__(self, key: str, width: int, height: int, format: PixelFormat | int | str = "nv12",
                 *, slots: int = 0, policy: str = "drop", ack_timeout: float | None = 0.2,
                 device: str | None = "cpu", fps: Any = None, color: Any = None,
                 pixel_aspect: Any = None, max_subscribers: int = 0, max_holds: int = 0,
                 socket_mode: int = 0, socket_group: str | None = None,
                 allowed_users: Iterable[int] | None = None,
                 runtime_dir: str | None = None, alignment: int = 0) -> None:
        memory, number = device_code(device)
        self._wishes: dict[str, Any] = {
            "slots": _arguments.count("slots", slots, SLOTS),
            "policy": _arguments.choice("policy", policy, POLICIES),
            "cuda_device": number, "memory": memory,
            "ack_timeout_ms": _arguments.milliseconds("ack_timeout", ack_timeout),
            "max_holds": _arguments.count("max_holds", max_holds,
                                          "a number of frames, 0 for the default"),
            "alignment": _arguments.count("alignment", alignment,
                                          "a power of 2 in bytes, 0 for the default"),
            "fps": rate("fps", fps),
            "pixel_aspect": rate("pixel_aspect", pixel_aspect,
                                 "the width of a pixel to its height"),
            "color": color_code(color),
            **access_code(max_subscribers, socket_mode, socket_group, allowed_users, runtime_dir),
        }
        self._start_ns = _cuframes.now_ns()
        self.key = _arguments.key(key)
        super().__init__(key, *size_code(width, height), PixelFormat.of(format), **self._wishes)

    def acquire(self) -> Buffer | None:
        """A free slot, or None where every slot is held (policy "drop": the frame counts as
        dropped). With policy "wait" it waits for subscribers; Ctrl-C and close() end that.
        Publish it, or discard() it."""
        buffer = self._acquire()
        if buffer is not None:
            buffer._publisher = self
        return buffer

    def frame(self, *, pts: float | None = None, time: Any = None, metadata: Any = None,
              flags: int = 0, wait: float = 1.0) -> Buffer:
        """A slot for `with`: published at the end of the block, given back if that raises.

        Where every slot is held it tries again for `wait` seconds, then raises
        CuframesFrameTimeout. The other arguments are attributes of Buffer.
        """
        self._own()
        patience = _arguments.seconds("wait", wait)
        buffer = self.acquire()
        deadline = math.inf if patience is None else _time.monotonic() + patience
        while buffer is None:
            if _time.monotonic() >= deadline:
                raise _cuframes.CuframesFrameTimeout(
                    f"every slot of {self.key} is held by subscribers: give the channel more "
                    "slots, or let them hold fewer (max_holds)")
            _time.sleep(0.001)
            buffer = self.acquire()
        buffer.pts, buffer.time, buffer.metadata, buffer.flags = pts, time, metadata, flags
        return buffer

    def send(self, picture: Any, *, pts: float | None = None, time: Any = None,
             metadata: Any = None, flags: int = 0) -> int | None:
        """Copies a picture into a slot and announces it; returns its sequence number, or None
        where it was dropped because every slot is held.

        picture: one array with the shape of the format: (height, width) for gray, (height, width,
        3 or 4) for RGB, (height * 3 / 2, width) for nv12, p010 and yuv420p, (3, height, width) for
        yuv444p; or a tuple with an array for each plane, as Frame.numpy() has them.
        """
        buffer = self.acquire()
        if buffer is None:
            return None
        buffer.pts, buffer.time, buffer.metadata, buffer.flags = pts, time, metadata, flags
        buffer.copies = 1
        with buffer:
            fill(buffer, picture)
        return buffer.seq

    def pause(self) -> None:
        """Says that no frames come for a while: who attaches from now on gets none that are old,
        but waits for the next, which ends the pause. Those who are attached keep what they have."""
        self._pause()

    def reconfigure(self, width: int, height: int, format: PixelFormat | int | str = "nv12", *,
                    slots: int = 0, color: Any = None, fps: Any = None) -> None:
        """Changes size and format: subscribers follow with the first frame of the new kind."""
        self._own()
        slots = _arguments.count("slots", slots, "2 to 64 frames of memory, 0 for as many as before")
        wishes = dict(self._wishes, slots=slots or self._wishes["slots"], fps=rate("fps", fps),
                      color=color_code(color))
        self._reconfigure(self.key, *size_code(width, height), PixelFormat.of(format), **wishes)

    # ---- packets ----

    def enable_packets(self, streams: Iterable[Stream], *, keep: float | None = None,
                       slots: int = 0, size: int = 0, max_packet: int = 0,
                       max_size: int = 0) -> None:
        """Gives the channel a packet ring for the encoded stream beside its frames.

        streams: descriptions, in the order of the indices. keep: choose the ring's size so that
        about so many seconds, and at least two whole GOPs, are kept, in at most max_size bytes.
        Else slots (64 packets), size (8 MiB) and max_packet (2 MiB) say it.
        """
        self._begin_packets(streams, keep, slots, size, max_packet, max_size)


def expected(buffer: Buffer) -> str:
    shapes, whole = [plane.shape for plane in buffer.planes], buffer.shape
    planes = f"a tuple of arrays of shapes {', '.join(map(str, shapes))}"
    one = f"one array of shape {whole}" if whole else ""
    return " or ".join(filter(None, (one, planes if len(shapes) > 1 else "")))


def fill(buffer: Buffer, picture: Any) -> None:
    """Copies an array, or a tuple of planes, into a slot."""
    if buffer.device != "cpu":
        fill_on_gpu(buffer, picture)
        return
    parts: Any = picture
    targets: tuple[Any, ...]
    if isinstance(picture, (tuple, list)):
        targets = buffer.numpy()
    else:
        try:
            targets, parts = (buffer._whole(),), (picture,)
        except BufferError:
            targets, parts = split_into(buffer, buffer.numpy(), picture)
    sources = [as_array(part) for part in parts]
    check_parts(buffer, sources, targets)
    for source, target in zip(sources, targets):
        target[...] = source


def as_array(part: Any) -> Any:
    import numpy

    try:
        array = numpy.asarray(part)
    except (TypeError, ValueError):
        array = numpy.asarray(0)
    if array.ndim == 0:
        raise TypeError("picture is an array, or a tuple with an array for each plane; not "
                        f"{shown(part)}")
    return array


def fill_on_gpu(buffer: Buffer, picture: Any) -> None:
    """Copies into a slot in GPU memory: from host memory through the library, from a GPU by the
    library that the tensor is of."""
    import numpy

    planes = buffer.planes
    given = picture if isinstance(picture, (tuple, list)) else None
    device = getattr(picture if given is None else given[0], "__dlpack_device__", None)
    if device is not None and device()[0] == 2:
        if given is None and len(planes) > 1:
            copy_on_gpu(buffer, picture)
            return
        for plane, part in zip(planes, (picture,) if given is None else given):
            copy_on_gpu(plane, part)
        return
    arrays = [numpy.empty(plane.shape, plane.dtype) for plane in planes]
    parts = split_into(buffer, arrays, picture)[1] if given is None else given
    parts = [as_array(part) for part in parts]
    check_parts(buffer, parts, arrays)
    for index, (plane, part) in enumerate(zip(planes, parts)):
        rows = numpy.zeros((plane.shape[0], plane.pitch), numpy.uint8)
        flat = numpy.ascontiguousarray(part).view(numpy.uint8).reshape(plane.shape[0], -1)
        rows[:, :flat.shape[1]] = flat
        buffer._write(index, rows.reshape(-1)[:rows.size - plane.pitch + flat.shape[1]],
                      buffer.stream)


def copy_on_gpu(target: Any, source: Any) -> None:
    """target[...] = source for tensors of PyTorch and arrays of CuPy."""
    library = type(source).__module__.partition(".")[0]
    if library not in ("torch", "cupy"):
        raise _cuframes.CuframesInvalidArgument(
            f"a {type(source).__name__} in GPU memory is not known here: write into the slot of "
            "frame() by DLPack")
    # By name, so that type checkers do not read these libraries for every program.
    there = importlib.import_module(library).from_dlpack(target)
    if there.shape != source.shape or there.dtype != source.dtype:
        raise _cuframes.CuframesInvalidArgument(
            f"the slot has shape {tuple(there.shape)} of {there.dtype}; this has "
            f"{tuple(source.shape)} of {source.dtype}")
    there[...] = source


def split_into(buffer: Buffer, planes: Any, picture: Any) -> tuple[Any, Any]:
    """Arrays for the planes, and the parts of one packed array for them."""
    import numpy

    whole = as_array(picture)
    if whole.shape != buffer.shape:
        return planes, (whole,)
    flat, parts, at = numpy.ascontiguousarray(whole).reshape(-1), [], 0
    for plane in planes:
        parts.append(flat[at:at + plane.size].reshape(plane.shape))
        at += plane.size
    return planes, tuple(parts)


def check_parts(buffer: Buffer, sources: Any, targets: Any) -> None:
    """Raises with what was expected unless shapes and types are the same."""
    if (len(sources) != len(targets)
            or any(s.shape != t.shape for s, t in zip(sources, targets))):
        got = ", ".join(str(source.shape) for source in sources) or "no plane"
        raise _cuframes.CuframesInvalidArgument(
            f"a {buffer.format.name.lower()} picture of {buffer.width}x{buffer.height} is "
            f"{expected(buffer)}; this has shape {got}")
    for source, target in zip(sources, targets):
        if source.dtype != target.dtype:
            raise _cuframes.CuframesInvalidArgument(
                f"samples of {buffer.format.name.lower()} are {target.dtype}; these are "
                f"{source.dtype}")
