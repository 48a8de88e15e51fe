"""The fixed limits of ``tables/thresholds.csv``: one row a limit, with what it rests on.

Columns: ``comparison`` (``<``, ``<=``, ``>``, ``>=``) and ``limit`` in the metric's canonical unit;
``severity``; ``margin``, by which values must be back inside before the limit counts as left; how
long values must be beyond the limit (``hold_seconds``), or back (``clear_seconds``); and ``basis``.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from app.errors import ConfigurationError
from tables.alerts import SEVERITIES, Severity
from tables.watch import Watch, watches

LIMITS: Final = Path(__file__).with_name("thresholds.csv")
MAX_LEVELS: Final = len(SEVERITIES)
_COMPARISONS: Final = ("<", "<=", ">", ">=")


@dataclass(frozen=True, slots=True)
class Level:
    """One limit. ``clear_limit`` is the limit moved by the margin; times in milliseconds."""

    comparison: str
    limit: float
    clear_limit: float
    severity: Severity
    hold_ms: int
    clear_ms: int

    def reached(self, value: float) -> bool:
        """Whether a value is beyond the limit."""
        return self._beyond(value, self.limit)

    def left(self, value: float) -> bool:
        """Whether a value is back beyond the margin."""
        return not self._beyond(value, self.clear_limit)

    def _beyond(self, value: float, limit: float) -> bool:
        if value == limit:
            return self.comparison.endswith("=")
        return (value < limit) == self.comparison.startswith("<")


@dataclass(frozen=True, slots=True)
class Side:
    """The levels of one side of a metric, the mildest first, and the name of their rule."""

    rule: str
    levels: tuple[Level, ...]

    @property
    def low(self) -> bool:
        """Whether small values are the ones beyond the limits."""
        return self.levels[0].comparison.startswith("<")


class Sides(NamedTuple):
    """The limits of a metric; None on a side without any."""

    low: Side | None
    high: Side | None


@cache
def limits() -> Mapping[str, Sides]:
    """Return the limits by metric, from ``tables/thresholds.csv``.

    Raises
    ------
    ConfigurationError
        If the levels of a side are not in order.
    """
    levels: dict[tuple[str, str], list[Level]] = {}
    with LIMITS.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            level = _level(row, watches()[row["metric"]])
            levels.setdefault((row["metric"], level.comparison[0]), []).append(level)
    metrics = dict.fromkeys(metric for metric, _ in levels)
    return MappingProxyType(
        {
            metric: Sides(
                _side(metric, "threshold-low", levels.get((metric, "<"), [])),
                _side(metric, "threshold-high", levels.get((metric, ">"), [])),
            )
            for metric in metrics
        }
    )


def _level(row: dict[str, str], watch: Watch) -> Level:
    limit, margin = float(row["limit"]), float(row["margin"])
    inwards = margin if row["comparison"].startswith("<") else -margin
    if row["comparison"] not in _COMPARISONS or row["severity"] not in SEVERITIES or margin < 0:
        raise ConfigurationError(f"{LIMITS.name}: malformed limit of {watch.metric}: {row}")
    return Level(
        comparison=row["comparison"],
        limit=limit,
        # Rounded as the values are, so that 38.0 - 0.3 equals a reading of 37.7.
        clear_limit=round(limit + inwards, watch.decimals),
        severity=row["severity"],
        hold_ms=int(row["hold_seconds"]) * 1000,
        clear_ms=int(row["clear_seconds"]) * 1000,
    )


def _side(metric: str, rule: str, levels: list[Level]) -> Side | None:
    """Return the levels as a side, after checking that each is beyond and worse than the last."""
    for milder, severer in pairwise(levels):
        ordered = milder.reached(severer.limit) and not severer.reached(milder.limit)
        worse = SEVERITIES.index(milder.severity) < SEVERITIES.index(severer.severity)
        if not (ordered and worse):
            raise ConfigurationError(f"{LIMITS.name}: the levels of {metric} are not in order")
    return Side(rule, tuple(levels)) if levels else None
