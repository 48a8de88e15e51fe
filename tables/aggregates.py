"""Window aggregates: computed from samples, and merged.

All rules are deterministic and independent of the order in which samples arrived: a window's row
follows from the set of its samples alone (up to the rounding of the two sums).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Float64, Int64, UInt64

EPOCH_2020_MS = 1_577_836_800_000


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What is kept of one window, or of a part of it.

    Attributes
    ----------
    count : int
        Distinct samples.
    sum, sum_sq : float
        Sums of values and of squared values.
    min, max : float
        Least and greatest value.
    first_ms, last_ms : int
        Earliest and latest instant, epoch milliseconds.
    first, last : float
        Their values: the least, respectively the greatest, where several devices share one.
    version : int
        Sum over samples of ``received_ms`` since 2020: it grows with every sample that is added
        and every value that is corrected, so that of two rows of one window the higher version
        knows more.
    """

    count: int
    sum: float
    sum_sq: float
    min: float
    max: float
    first_ms: int
    last_ms: int
    first: float
    last: float
    version: int

    def merge(self, other: Self) -> "Aggregate":
        """Return the aggregate of two disjoint sets of samples."""
        return Aggregate(
            self.count + other.count,
            self.sum + other.sum,
            self.sum_sq + other.sum_sq,
            min(self.min, other.min),
            max(self.max, other.max),
            min(self.first_ms, other.first_ms),
            max(self.last_ms, other.last_ms),
            min((self.first_ms, self.first), (other.first_ms, other.first))[1],
            max((self.last_ms, self.last), (other.last_ms, other.last))[1],
            self.version + other.version,
        )


def by_time_and_value(times: Int64, values: Float64, ranks: Int64) -> tuple[Int64, Float64, Int64]:
    """Order samples by instant, those of one instant by value."""
    if len(times) < 2 or bool((np.diff(times) > 0).all()):
        return times, values, ranks
    order = np.lexsort((values, times))
    return times[order], values[order], ranks[order]


def aggregate(times: Int64, values: Float64, ranks: Int64) -> Aggregate:
    """Aggregate one window's samples, at least one, as :func:`by_time_and_value` orders them.

    Parameters
    ----------
    times : (n,) int64
        Epoch milliseconds.
    values : (n,) float64
        Values.
    ranks : (n,) int64
        ``received_ms`` of each value.
    """
    return Aggregate(
        len(times),
        float(values.sum()),
        float((values * values).sum()),
        float(values.min()),
        float(values.max()),
        int(times[0]),
        int(times[-1]),
        float(values[0]),
        float(values[-1]),
        int((ranks - EPOCH_2020_MS).sum()),
    )


@dataclass(frozen=True, slots=True)
class AggregateColumns:
    """Aggregates of W windows as columns of shape (W,); see :class:`Aggregate`."""

    start: Int64
    count: Int64
    sum: Float64
    sum_sq: Float64
    min: Float64
    max: Float64
    first: Float64
    last: Float64
    version: UInt64


def aggregate_by(starts: Int64, values: Float64, ranks: Int64) -> AggregateColumns:
    """Aggregate samples into windows.

    Parameters
    ----------
    starts : (n,) int64, n > 0
        Start of the window of each sample; ascending. Within a window the samples are ordered as
        :func:`by_time_and_value` does.
    values : (n,) float64
        Values.
    ranks : (n,) int64
        ``received_ms`` of each value.
    """
    at: NDArray[np.int64] = np.concatenate(([0], np.flatnonzero(np.diff(starts)) + 1))
    end = np.append(at[1:], len(starts))
    return AggregateColumns(
        starts[at],
        end - at,
        np.add.reduceat(values, at),
        np.add.reduceat(values * values, at),
        np.minimum.reduceat(values, at),
        np.maximum.reduceat(values, at),
        values[at],
        values[end - 1],
        np.add.reduceat(ranks - EPOCH_2020_MS, at).astype(np.uint64),
    )
