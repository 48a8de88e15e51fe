"""Which of several values of one identity counts: the one of the highest rank."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Float64, Int64
from tables.groups import Bools
from tables.ranges import changes, counted


@dataclass(slots=True)
class Identified:
    """Samples of several series, as columns of one length.

    ``series``: index of the series; ``time``; ``device``: its code; ``rank``: ms since 2020 of the
    receipt; ``value``; ``order``: when it was applied, -1 for those that are kept already.
    """

    series: Int64
    time: Int64
    device: Int64
    rank: Int64
    value: Float64
    order: Int64

    def take(self, which: NDArray[Any]) -> "Identified":
        """Return some of the samples, by index or mask."""
        return Identified(*(getattr(self, name)[which] for name in Identified.__slots__))

    def followed_by(self, other: "Identified") -> "Identified":
        """Return these samples and others behind them."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in Identified.__slots__)
        return Identified(*(np.concatenate(pair) for pair in pairs))

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.series)


@dataclass(slots=True)
class Distinct:
    """Distinct samples after an arrival, ordered by series, instant and device.

    ``known``: kept before; ``old_value`` and ``old_rank`` are what was kept then. ``touched``: new,
    or with another value or rank than before.
    """

    series: Int64
    time: Int64
    device: Int64
    rank: Int64
    value: Float64
    known: Bools
    old_value: Float64
    old_rank: Int64
    touched: Bools

    def take(self, which: NDArray[Any]) -> "Distinct":
        """Return some of the samples, by index or mask."""
        return Distinct(*(getattr(self, name)[which] for name in Distinct.__slots__))


def resolve(samples: Identified) -> tuple[Distinct, Bools]:
    """Let the highest rank win among the samples of each identity.

    Returns
    -------
    Distinct
        One sample an identity.
    (n,) bool
        Of the samples given: whether it was known already and told nothing new.
    """
    if not len(samples):
        nothing = np.zeros(0, np.bool_)
        return Distinct(
            samples.series, samples.time, samples.device, samples.rank, samples.value,
            nothing, samples.value, samples.rank, nothing,
        ), nothing  # fmt: skip
    order = np.lexsort((samples.order, samples.device, samples.time, samples.series))
    s = samples.take(order)
    begins = changes(s.series, s.time, s.device)
    first = begins.nonzero()[0]
    group = begins.cumsum() - 1
    value, rank = s.value[first], s.rank[first]
    known = s.order[first] < 0
    touched = ~known
    duplicate = np.zeros(len(s), np.bool_)
    lengths = np.diff(np.append(first, len(s)))
    within = counted(lengths)
    for turn in range(1, int(lengths.max(initial=0))):
        e = (within == turn).nonzero()[0]
        g = group[e]
        newer = (s.rank[e] > rank[g]) | ((s.rank[e] == rank[g]) & (s.value[e] > value[g]))
        duplicate[e] = ~(newer & (s.value[e] != value[g]))
        e, g = e[newer], g[newer]
        value[g], rank[g], touched[g] = s.value[e], s.rank[e], True
    told_nothing = np.empty(len(s), np.bool_)
    told_nothing[order] = duplicate
    distinct = Distinct(
        s.series[first], s.time[first], s.device[first], rank, value,
        known, np.where(known, s.value[first], 0.0), np.where(known, s.rank[first], 0), touched,
    )  # fmt: skip
    return distinct, told_nothing
