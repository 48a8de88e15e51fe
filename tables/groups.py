"""Aggregates of groups of samples, as columns: computed from samples, joined, carried on.

All of it is independent of the order in which samples arrived, up to the rounding of the sums.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Float64, Int64

Bools = NDArray[np.bool_]


@dataclass(slots=True)
class Groups:
    """Aggregates of n groups; all columns are of shape (n,). See ``tables.layout.WINDOW``."""

    count: Int64
    version: Int64
    first_ms: Int64
    last_ms: Int64
    sum: Float64
    sum_sq: Float64
    min: Float64
    max: Float64
    first: Float64
    last: Float64

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self.count)

    def take(self, which: NDArray[Any]) -> "Groups":
        """Return some of the groups, by index or mask."""
        return Groups(*(getattr(self, name)[which] for name in FIELDS))


FIELDS = tuple(Groups.__slots__)


def of_samples(at: Int64, times: Int64, values: Float64, ranks: Int64) -> Groups:
    """Aggregate runs of samples.

    Parameters
    ----------
    at : (n,) int64
        Where each run begins, ascending from 0; a run ends where the next one begins.
    times, values : (m,)
        Samples: epoch milliseconds, values. Within a run they are ordered by instant, those of
        one instant by value.
    ranks : (n,) or (m,) int64
        Milliseconds since 2020 of the receipt: of all samples of a run, or of each sample.
    """
    ends = np.append(at[1:], len(times)) - 1
    count = ends + 1 - at
    return Groups(
        count,
        ranks * count if len(ranks) == len(at) else np.add.reduceat(ranks, at),
        times[at],
        times[ends],
        np.add.reduceat(values, at),
        np.add.reduceat(values * values, at),
        np.minimum.reduceat(values, at),
        np.maximum.reduceat(values, at),
        values[at],
        values[ends],
    )


def joined(groups: Groups, at: Int64) -> Groups:
    """Join runs of groups that follow each other in time; ``at`` says where each run begins."""
    ends = np.append(at[1:], len(groups)) - 1
    return Groups(
        np.add.reduceat(groups.count, at),
        np.add.reduceat(groups.version, at),
        groups.first_ms[at],
        groups.last_ms[ends],
        np.add.reduceat(groups.sum, at),
        np.add.reduceat(groups.sum_sq, at),
        np.minimum.reduceat(groups.min, at),
        np.maximum.reduceat(groups.max, at),
        groups.first[at],
        groups.last[ends],
    )


def carry(groups: Groups, at: Int64, earlier: NDArray[Any]) -> None:
    """Add to some groups what came before them.

    Parameters
    ----------
    groups : Groups
        Changed in place.
    at : (k,) int64
        Which groups.
    earlier : (k,) WINDOW
        Aggregates of samples that are all earlier than those of the groups; counts may be 0.
    """
    some = earlier["count"] > 0
    if not some.all():
        at, earlier = at[some], earlier[some]
    groups.count[at] += earlier["count"]
    groups.version[at] += earlier["version"]
    groups.first_ms[at] = earlier["first_ms"]
    groups.first[at] = earlier["first"]
    groups.sum[at] += earlier["sum"]
    groups.sum_sq[at] += earlier["sum_sq"]
    groups.min[at] = np.minimum(groups.min[at], earlier["min"])
    groups.max[at] = np.maximum(groups.max[at], earlier["max"])


def write(groups: Groups, which: NDArray[Any], windows: NDArray[Any]) -> None:
    """Write groups into rows of dtype WINDOW, as many."""
    for name in FIELDS:
        windows[name] = getattr(groups, name)[which]
