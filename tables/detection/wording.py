"""The sentences in which alerts explain themselves: neutral, in the metric's own precision.

They state the value, what it was compared with and what that rests on; never a diagnosis.
"""

from typing import Final

from tables.alerts import Status
from tables.watch import Watch

Band = tuple[float | None, float | None]
"""Lower and upper edge of what is expected, in the metric's unit; None where there is none."""

_UNITS: Final = {"Cel": " °C", "mm[Hg]": " mmHg", "%": "%"}
_COMPARISONS: Final = {"<": "below", "<=": "at or below", ">": "above", ">=": "at or above"}


def explain_unusual(
    watch: Watch,
    unit: str,
    status: Status,
    *,
    value: float,
    level: float,
    minutes: int,
    band: Band,
    above: bool,
) -> str:
    """Explain a value that is far from, or back to, what is usual for the person.

    ``level`` and ``band`` were learned from ``minutes`` of data; ``band`` is (None, None) when an
    alert ends because there is nothing to compare with any more.
    """
    subject = _subject(watch, unit, value)
    if band == (None, None):
        return f"{subject} has no expected range to be compared with yet; the alert ends here."
    relation = {"opened": "is", "updated": "is further", "resolved": "is no longer"}[status]
    direction = "above" if above else "below"
    sentence = (
        f"{subject} {relation} {direction} the expected {_range(watch, unit, band)} "
        f"(recent level {_number(watch, level)}, spread learned from {minutes} minutes)."
    )
    return sentence if status == "resolved" else _with_caveat(sentence, watch)


def explain_limit(
    watch: Watch, unit: str, value: float, *, comparison: str, limit: float, duration_ms: int
) -> str:
    """Explain a value beyond a fixed limit, for at least ``duration_ms`` (0: a single value)."""
    relation = f"{_COMPARISONS[comparison]} {_number(watch, limit)}{_words(unit)}"
    minutes = duration_ms // 60_000
    if duration_ms == 0:
        sentence = f"{_subject(watch, unit, value)} is {relation}."
    else:
        duration = f"{minutes} minute{'s' if minutes != 1 else ''}"
        sentence = f"{_subject(watch, unit, value)} has been {relation} for {duration} or more."
    return _with_caveat(sentence, watch)


def explain_return(
    watch: Watch,
    unit: str,
    value: float,
    *,
    comparison: str,
    limit: float,
    remaining: float | None,
) -> str:
    """Explain that values are no longer beyond a limit; ``remaining`` is a milder one, if any."""
    relation = f"{_COMPARISONS[comparison]} {_number(watch, limit)}{_words(unit)}"
    sentence = f"{_subject(watch, unit, value)} is no longer {relation}"
    if remaining is None:
        return f"{sentence}."
    return f"{sentence}; the limit of {_number(watch, remaining)}{_words(unit)} still counts."


def _range(watch: Watch, unit: str, band: Band) -> str:
    low, high = (None if edge is None else _number(watch, edge) for edge in band)
    if low is None:
        return f"{high}{_words(unit)} or less"
    if high is None:
        return f"{low}{_words(unit)} or more"
    return f"{low}\N{EN DASH}{high}{_words(unit)}"


def _number(watch: Watch, value: float) -> str:
    return f"{value:.{watch.decimals}f}"


def _words(unit: str) -> str:
    return _UNITS.get(unit, f" {unit}")


def _subject(watch: Watch, unit: str, value: float) -> str:
    return f"{watch.label} {_number(watch, value)}{_words(unit)}"


def _with_caveat(sentence: str, watch: Watch) -> str:
    return f"{sentence} {watch.caveat}" if watch.caveat else sentence
