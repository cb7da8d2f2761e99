# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks of arguments. Each error names the argument, says what it may be and what was given: a
TypeError where the type is wrong, CuframesInvalidArgument where the value is out of range."""
from __future__ import annotations

import datetime
import math
import operator
import os
from typing import Any, Iterable, Mapping

from . import _cuframes

UINT32_MAX = 2**32 - 1
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1


def shown(given: Any) -> str:
    """What was given, in at most a line."""
    text = repr(given)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_number(given: Any) -> bool:
    return hasattr(given, "__float__") and not isinstance(given, (str, bytes, type))


def whole_number(name: str, given: Any, least: int, most: int, what: str) -> int:
    """An int, or what counts as one, from `least` to `most`."""
    try:
        number = operator.index(given)
    except TypeError:
        raise TypeError(f"{name} is {what}; not {shown(given)}") from None
    if not least <= number <= most:
        raise _cuframes.CuframesInvalidArgument(f"{name} is {what}; not {shown(given)}")
    return number


def count(name: str, given: Any, what: str) -> int:
    """A number that the library checks further, 0 = its default."""
    return whole_number(name, given, 0, INT32_MAX, what)


def flags(given: Any, kind: str = "FrameFlags") -> int:
    return whole_number("flags", given, 0, UINT32_MAX, f"bits of {kind}")


def number(name: str, given: Any, what: str) -> float:
    """A finite number."""
    if not _is_number(given):
        raise TypeError(f"{name} is {what}; not {shown(given)}")
    try:
        value = float(given)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise _cuframes.CuframesInvalidArgument(f"{name} is {what}; not {shown(given)}")
    return value


def seconds(name: str, given: Any, without: str = "to wait for ever") -> float | None:
    """Seconds from 0 on; infinity and what is too large for a wait are None."""
    what = f"a number of seconds, 0 or more, or None {without}"
    if given is None:
        return None
    if not _is_number(given):
        raise TypeError(f"{name} is {what}; not {shown(given)}")
    try:
        value = float(given)
    except OverflowError:
        value = math.inf
    except (TypeError, ValueError):
        value = math.nan
    if math.isnan(value) or value < 0:
        raise _cuframes.CuframesInvalidArgument(f"{name} is {what}; not {shown(given)}")
    return value if value < 3e9 else None


def milliseconds(name: str, given: Any, without: str = "to wait for ever", most: int = INT32_MAX) -> int:
    """The same for the library, -1 for None; a time of more than 0 is at least one."""
    value = seconds(name, given, without)
    if value is None:
        return -1
    return min(most, max(1, round(value * 1000)))


def nanoseconds(name: str, given: Any) -> int:
    """A point in time or a duration in seconds, as the library has it."""
    what = "a number of seconds"
    value = round(number(name, given, what) * 1e9)
    if not -INT64_MAX <= value <= INT64_MAX:
        raise _cuframes.CuframesInvalidArgument(
            f"{name} is {what} that is less than 292 years; not {shown(given)}")
    return value


def text(name: str, given: Any, what: str) -> str:
    if not isinstance(given, str):
        raise TypeError(f"{name} is {what}; not {shown(given)}")
    if "\0" in given or not _is_unicode(given):
        raise _cuframes.CuframesInvalidArgument(
            f"{name} is {what}, without a zero character and in whole characters of Unicode; not "
            f"{given!a}")
    return given


def _is_unicode(given: str) -> bool:
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True


def key(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(f'key: a channel is named by its key, for example "cam1", not by {shown(given)}')
    return text("key", given, "1 to 63 characters of A-Z a-z 0-9 _ -")


def name(given: Any) -> str | None:
    return None if given is None else text("name", given,
                                           "1 to 63 printable characters, or None to make one up")


def runtime_dir(given: Any) -> str | None:
    """A path as a str, or None."""
    what = "the path of a folder, or None for the default"
    if given is None:
        return None
    if not isinstance(given, (str, bytes, os.PathLike)):
        raise TypeError(f"runtime_dir is {what}; not {shown(given)}")
    path = os.fsdecode(given)
    return text("runtime_dir", path, what)


def switch(name: str, given: Any) -> bool:
    """True or False; numbers 0 and 1 too, but nothing whose truth would be a surprise."""
    if isinstance(given, bool) or (not isinstance(given, (str, bytes)) and hasattr(given, "__index__")
                                   and operator.index(given) in (0, 1)):
        return bool(given)
    raise TypeError(f"{name} is True or False; not {shown(given)}")


def choice(name: str, given: Any, known: Mapping[str, Any]) -> Any:
    """The value of one of some words."""
    words = " or ".join(f'"{word}"' for word in known)
    if isinstance(given, str) and given in known:
        return known[given]
    raise _cuframes.CuframesInvalidArgument(f"there is no {name} {shown(given)}: say {words}")


def listed(name: str, given: Any, what: str) -> list[Any]:
    """A list of what can be iterated over, but not of the characters of a str."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"{name} is {what}; not {shown(given)}")
    return list(given)


def contiguous_bytes(name: str, given: Any) -> Any:
    what = f"{name} is bytes, or an object with contiguous bytes"
    try:
        view = memoryview(given)
    except TypeError:
        raise TypeError(f"{what}; not {shown(given)}") from None
    if not view.c_contiguous:
        raise _cuframes.CuframesInvalidArgument(f"{what}; not {shown(given)}")
    return view


def users(given: Any) -> tuple[int, ...] | None:
    what = "a list of user numbers, at most 64, or None"
    if given is None:
        return None
    return tuple(whole_number("allowed_users", user, 0, UINT32_MAX, what)
                 for user in listed("allowed_users", given, what))


def capture_time(time: Any) -> int | None:
    """Nanoseconds since 1970 of an aware datetime or seconds."""
    what = "an aware datetime, seconds since 1970, True for now, or None"
    if isinstance(time, datetime.datetime):
        if time.tzinfo is None:
            raise _cuframes.CuframesInvalidArgument(
                f"time needs a time zone, for example datetime.now(timezone.utc); not {time!r}")
        since = time - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        microseconds = (since.days * 86400 + since.seconds) * 1000000 + since.microseconds
        value = microseconds * 1000
    else:
        value = round(number("time", time, what) * 1e9)
    if not 0 <= value <= INT64_MAX:
        raise _cuframes.CuframesInvalidArgument(f"time is {what}, from 1970 to 2262; not {shown(time)}")
    return value
