# SPDX-License-Identifier: LGPL-2.1-or-later
"""Decoded video frames, shared between processes without copies.

    import cuframes
    for frame in cuframes.open("cam1"):
        picture = frame.bgr()        # your own array, as OpenCV has it
        y, uv = frame.numpy()        # or the planes in place, read-only

Any number of processes read what one publishes. Frames are read in place, in host or GPU memory;
they do not change while they are held.
"""
from . import _cuframes
from ._capture import VideoCapture
from ._cuframes import (CuframesAlreadyExists, CuframesDeviceLost, CuframesError, CuframesEvicted,
                        CuframesFrameTimeout, CuframesInternal, CuframesInvalidArgument,
                        CuframesOutOfMemory, CuframesPacketError, CuframesPermissionError,
                        CuframesProtocolMismatch, CuframesPublisherGone, CuframesShmError,
                        CuframesTooMany, Plane, now_ns, protocol_version, runtime_dir,
                        version_string)
# "as": type checkers then know that they are public, which __all__ does not say of them.
from ._discovery import list as list
from ._discovery import Watch, WatchEvent, info, snapshot, watch
from ._frame import Frame
from ._group import Group
from ._packets import Packet, PacketFlags, PacketPublisher, PacketReader, Stream, packets
from ._publisher import Buffer, Publisher
from ._several import Batch, batch, wait_any
from ._subscriber import CuframesHoldWarning, Subscriber, exhausted, subscribe
from ._subscriber import open as open
from ._types import (ChannelInfo, ChannelReport, ClockSource, FrameFlags, PixelFormat,
                     SubscriberMode)

_cuframes._register(Frame, Buffer, Packet, tuple(PixelFormat), tuple(ClockSource), exhausted)
del exhausted

# Names of the 0.1 to 0.4 line.
CuframesFrame = Frame
CuframesSubscriber = Subscriber

__version__ = version_string()

# Without open() and list(): "from cuframes import *" leaves Python's own as they are.
__all__ = [
    "Batch", "Buffer", "ChannelInfo", "ChannelReport", "ClockSource", "CuframesAlreadyExists",
    "CuframesDeviceLost", "CuframesError", "CuframesEvicted", "CuframesFrame",
    "CuframesFrameTimeout", "CuframesHoldWarning", "CuframesInternal", "CuframesInvalidArgument",
    "CuframesOutOfMemory", "CuframesPacketError", "CuframesPermissionError",
    "CuframesProtocolMismatch", "CuframesPublisherGone", "CuframesShmError", "CuframesSubscriber",
    "CuframesTooMany", "Frame", "FrameFlags", "Group", "Packet", "PacketFlags",
    "PacketPublisher", "PacketReader", "PixelFormat", "Plane", "Publisher", "Stream",
    "Subscriber", "SubscriberMode", "VideoCapture", "Watch", "WatchEvent", "batch", "info",
    "now_ns", "packets", "protocol_version", "runtime_dir", "snapshot", "subscribe", "version_string",
    "wait_any", "watch",
]
