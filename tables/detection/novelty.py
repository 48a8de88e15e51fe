"""How new a value is: a causal score for a series of which nothing is known beforehand.

A value is new by its distance from all values seen so far, as a share of their range. What was seen
is kept as a bounded number of intervals, as in fuzzy ART (Carpenter, Grossberg & Rosen 1991) on one
feature: a value near an interval widens it, as long as it stays narrow; one farther away begins an
interval of its own; and when there are too many, the one that was not met for the longest time is
forgotten, and with it, where it lay outermost, its part of the range. No distribution is assumed,
and no scale can become 0: the range is that of the values themselves.

An event is to be told once. So of a value's newness only that part is the score by which it exceeds
what the latest events left, which halves every HALF_LIFE values.

On the 31 series of the Numenta Anomaly Benchmark at hand (standard profile): 74.5 with the best
threshold, 72.1 with each category scored by the threshold of the others, 67 when they choose
interval width, number of intervals and half-life as well. The half-life matters little from 15 to
100, the width from 5 to 20 %. A change of shape within the known range is not seen.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Final

import numpy as np

from schemas.columns import Float64

MAX_INTERVALS: Final = 32
MAX_WIDTH: Final = 0.1
"""Of an interval, as a share of the range."""

WARM_UP: Final = 30
"""Values before the first that is scored."""

HALF_LIFE: Final = 50
_DECAY: Final = 0.5 ** (1 / HALF_LIFE)


@dataclass(slots=True)
class Novelty:
    """What is kept of one series.

    Attributes
    ----------
    lows, highs
        Ends of the intervals, which are disjoint and ascending; at most MAX_INTERVALS.
    met
        Number of the latest value that each of them held.
    count
        Values seen.
    echo
        What the latest events left.
    """

    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    met: list[int] = field(default_factory=list)
    count: int = 0
    echo: float = 0.0

    def score(self, value: float) -> float:
        """Take in a finite value; return its score, from 0 (nothing new) to 1."""
        newness = self._meet(value)
        self.count += 1
        if self.count <= WARM_UP:
            return 0.0
        echo = self.echo * _DECAY
        self.echo = max(echo, newness)
        return max(newness - echo, 0.0)

    def _meet(self, value: float) -> float:
        """Take in a value; return its distance from what was seen, as a share of the range."""
        if not self.lows:
            self._insert(0, value)
            return 0.0
        after = bisect_left(self.highs, value)
        if after < len(self.lows) and self.lows[after] <= value:
            self.met[after] = self.count
            return 0.0
        spread = max(self.highs[-1], value) - min(self.lows[0], value)
        below = value - self.highs[after - 1] if after > 0 else inf
        above = self.lows[after] - value if after < len(self.lows) else inf
        nearest = after - 1 if below <= above else after
        low, high = min(self.lows[nearest], value), max(self.highs[nearest], value)
        if high - low <= MAX_WIDTH * spread:
            self.lows[nearest], self.highs[nearest] = low, high
            self.met[nearest] = self.count
        else:
            self._insert(after, value)
        return float(min(below, above) / spread)

    def _insert(self, at: int, value: float) -> None:
        """Begin an interval, and forget another when there are too many."""
        self.lows.insert(at, value)
        self.highs.insert(at, value)
        self.met.insert(at, self.count)
        if len(self.lows) > MAX_INTERVALS:
            oldest = self.met.index(min(self.met))
            del self.lows[oldest], self.highs[oldest], self.met[oldest]


def novelty(values: Iterable[float]) -> Float64:
    """Return the score of each value of a series, in order.

    Parameters
    ----------
    values
        Numbers; one that is not finite scores 0 and is not taken in.

    Returns
    -------
    (n,) float64
        Scores from 0 to 1; each rests on the values up to its own.
    """
    state = Novelty()
    return np.array([state.score(value) if isfinite(value) else 0.0 for value in values])
