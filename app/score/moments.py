"""Times as recordings write them."""

import re
from datetime import UTC, datetime
from typing import Final

_FORM: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)"
    r"| \d\d:\d\d:\d\d(?:\.\d+)?)",
    re.ASCII,
)
_SECOND: Final = slice(17, 19)


def moment(text: str) -> datetime:
    """Read a time, to the microsecond.

    Parameters
    ----------
    text
        RFC 3339 with a zone, or ``YYYY-MM-DD HH:MM:SS``, which is UTC.

    Returns
    -------
    datetime
        The instant in the zone as written; a leap second counts as the second before it.

    Raises
    ------
    ValueError
        If it is neither, or no instant of the calendar.
    """
    if _FORM.fullmatch(text) is None:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        raise ValueError(f"time {shown!r} is neither RFC 3339 with a zone nor YYYY-MM-DD HH:MM:SS")
    plain = text
    if text[_SECOND] == "60":
        plain = f"{text[: _SECOND.start]}59{text[_SECOND.stop :]}"
    try:
        found = datetime.fromisoformat(plain.upper())
    except ValueError as error:
        raise ValueError(f"time {text!r} is not an instant of the calendar") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
