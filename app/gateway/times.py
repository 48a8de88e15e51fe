"""Instants as they are sent, RFC 3339 or epoch milliseconds, to epoch milliseconds."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

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
    if set(map(type, times)) <= {int}:
        try:
            return np.array(times, np.int64)
        except OverflowError:  # one is beyond 64 bits; the others count
            pass
    return np.fromiter(map(instant, times), np.int64, len(times))


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
