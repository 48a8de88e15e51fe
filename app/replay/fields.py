"""Fields of a recording's lines: from text to value, or ValueError that says why not."""

import math
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

_PEOPLE = UUID("7f0a4b0c-7d0e-4c55-9a5e-2f6f3d1c8b21")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH_MS = re.compile(r"-?\d{1,15}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def person(name: str) -> UUID:
    """Return the UUID that ``name`` is, or else a UUIDv5 made from it; it must not be empty."""
    if not name:
        raise ValueError("person is empty")
    try:
        uuid = UUID(name)
    except ValueError:
        return uuid5(_PEOPLE, name)
    # UUID() also takes braces, URNs and bare hexadecimal digits: those are names, not ids.
    return uuid if str(uuid) == name.lower() else uuid5(_PEOPLE, name)


def instant(text: str) -> int:
    """Return milliseconds since 1970-01-01 UTC; finer fractions are cut off."""
    if _EPOCH_MS.fullmatch(text):
        return int(text)
    if not _RFC3339.fullmatch(text):
        raise ValueError("time is neither RFC 3339 with a zone nor epoch milliseconds")
    try:
        return (datetime.fromisoformat(text.upper()) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError) as error:
        raise ValueError("time is not an instant of the calendar") from error


def number(text: str) -> float:
    """Return a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("value is not a finite number")
    return value
