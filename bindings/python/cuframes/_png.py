# SPDX-License-Identifier: LGPL-2.1-or-later
"""PNG files of 8-bit gray and RGB pictures, for notebooks."""
from __future__ import annotations

import struct
import zlib
from typing import Any


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def encode(pixels: Any, width: int, height: int, samples: int) -> bytes:
    """A PNG file of an array of contiguous rows of `samples` bytes a pixel: 1 = gray, 3 = RGB."""
    data, row = memoryview(pixels).cast("B"), width * samples
    # No filter, fast compression: a picture that is looked at once is better there soon than small.
    rows = b"".join(b"\0" + data[at:at + row] for at in range(0, row * height, row))
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[samples], 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header)
            + _chunk(b"IDAT", zlib.compress(rows, 1)) + _chunk(b"IEND", b""))
