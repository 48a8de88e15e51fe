"""Instants as they are sent, RFC 3339 or epoch milliseconds, to epoch milliseconds."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import numpy as np

from schemas.columns import Int64

_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_SECOND: Final = slice(17, 19)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DAY_MS: Final = 86_400_000
_INT64_MAX: Final = 2**63 - 1
_DIGITS_ALIKE: Final = bytes.maketrans(b"123456789", b"000000000")
_TO_MILLISECONDS: Final = len("1970-01-01T00:00:00.000")
_YEAR_1_MS: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
UNREADABLE: Final = np.iinfo(np.int64).min
"""Stands for an instant that cannot be read."""


def instants(times: Sequence[object] | Int64) -> Int64:
    """Read instants.

    Parameters
    ----------
    times : sequence or (T,) int64
        Each an RFC 3339 string with a zone, or whole epoch milliseconds.

    Returns
    -------
    (T,) int64
        Epoch milliseconds, fractions of a millisecond cut off (towards the past);
        :data:`UNREADABLE` where there is no instant.
    """
    if isinstance(times, np.ndarray):
        return times
    kinds = set(map(type, times))
    if kinds <= {int}:
        try:
            return np.array(times, np.int64)
        except OverflowError:  # one is beyond 64 bits; the others count
            pass
    elif kinds == {str}:
        found = _of_one_form(cast("Sequence[str]", times))
        if found is not None:
            return found
    return np.fromiter(map(instant, times), np.int64, len(times))


def _of_one_form(times: Sequence[str]) -> Int64 | None:
    """Read strings that have the form and zone of the first, which a device's usually do, at once.

    The first is read alone: what it is in UTC gives the offset of all. The others are compared
    with it, every digit counting as the same, and read as the local date and time that they begin
    with. None when they differ in form or one of them is no instant or a leap second.
    """
    first = instant(times[0])
    width = len(times[0])
    if first == UNREADABLE or set(map(len, times)) != {width}:
        return None
    text = "".join(times).encode("ascii", "replace")
    if text.translate(_DIGITS_ALIKE) != text[:width].translate(_DIGITS_ALIKE) * len(times):
        return None
    local = width - (1 if times[0][-1] in "Zz" else len("+00:00"))
    zones = np.frombuffer(text, np.uint8).reshape(-1, width)[:, local:]
    if zones.tobytes() != text[local:width] * len(times):
        return None
    cut = np.frombuffer(text, f"S{width}").astype(f"S{min(local, _TO_MILLISECONDS)}")
    try:
        found = cut.astype("M8[ms]").view(np.int64)
    except ValueError:
        return None
    if found.min() < _YEAR_1_MS:  # NumPy knows a year 0, RFC 3339 as read here does not
        return None
    return found + (first - int(found[0]))


def instant(time: object) -> int:
    """Read one instant; see :func:`instants`."""
    if isinstance(time, str):
        return _rfc3339(time)
    if isinstance(time, float) and time.is_integer():
        time = int(time)
    if isinstance(time, int) and not isinstance(time, bool) and abs(time) <= _INT64_MAX:
        return time
    return UNREADABLE


def _rfc3339(text: str) -> int:
    if _RFC3339.fullmatch(text) is None:
        return UNREADABLE
    leap = text[_SECOND] == "60"
    if leap:
        text = f"{text[: _SECOND.start]}59{text[_SECOND.stop :]}"
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:  # no such day, hour, minute, second or offset
        return UNREADABLE
    milliseconds = (moment - _EPOCH) // _MILLISECOND
    if not leap:
        return milliseconds
    # A leap second ends a UTC day; epoch time has no place for it but the next day's first instant.
    day, rest = divmod(milliseconds + 1000, _DAY_MS)
    return day * _DAY_MS if rest < 1000 else UNREADABLE
