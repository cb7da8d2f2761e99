# SPDX-License-Identifier: LGPL-2.1-or-later
"""Groups of processes."""
from __future__ import annotations

from . import _arguments, _cuframes

ANY_RANK = -1


class Group(_cuframes.Group):
    """Processes of one host that meet under a name, wait for one another and exchange bytes and
    descriptors.

    Every rank calls the same operations in the same order. Each takes a timeout in seconds (None =
    waits for ever, nothing = that of the group); when a rank dies, leaves or does not come, the calls of all others fail and
    name it: CuframesPublisherGone, CuframesFrameTimeout.

    name: up to 57 characters of A-Z a-z 0-9 _ -. size: number of ranks. rank: 0 to size - 1, or
    None to be given one in the order of arrival. timeout: seconds for all to come, and for each call
    that does not say another. fd: a connected
    descriptor that was handed down, in place of the name; consumed. One thread at a time; not
    across fork(). Ctrl-C ends a call that waits; the group is then broken, by this rank.
    """

    def __new__(cls, name: str | None, size: int, rank: int | None = None, *,
                timeout: float | None = 30.0, runtime_dir: str | None = None,
                fd: int = -1) -> Group:
        if name is not None:
            name = _arguments.text("name", name, "up to 57 characters of A-Z a-z 0-9 _ -")
        size = _arguments.count("size", size, "a number of ranks")
        rank = ANY_RANK if rank is None else _arguments.count(
            "rank", rank, "0 to size - 1, or None to be given one")
        fd = _arguments.whole_number("fd", fd, -1, _arguments.INT32_MAX,
                                     "the number of an open descriptor, or -1")
        return super().__new__(cls, name, rank, size, timeout, _arguments.runtime_dir(runtime_dir),
                               fd)
