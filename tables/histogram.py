"""A bounded histogram of integers that gives the median and the median absolute deviation."""

from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Float64

MAX_BINS: Final = 256

Integer = TypeVar("Integer", np.int32, np.uint16)


@dataclass(slots=True, eq=False)
class Histogram:
    """Counts of integers, in at most MAX_BINS bins. Treat it as immutable.

    Where there are more distinct values, neighbouring bins are joined and their width doubles.

    Attributes
    ----------
    bins
        Bin numbers, ascending, int32 of shape (b,): bin k holds ``k·2**shift`` and what follows.
    counts
        Integers counted in each bin, uint16 of shape (b,).
    shift
        Bins are ``2**shift`` wide.
    """

    HEADER: ClassVar[Struct] = Struct("<HB")

    bins: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    counts: NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    shift: int = 0

    def plus(self, number: int) -> "Histogram":
        """Return the histogram with one more integer counted."""
        code = number >> self.shift
        at = int(self.bins.searchsorted(code))
        if at < len(self.bins) and self.bins[at] == code:
            counts = self.counts.copy()
            counts[at] += 1
            return Histogram(self.bins, counts, self.shift)
        grown = Histogram(_inserted(self.bins, at, code), _inserted(self.counts, at, 1), self.shift)
        while len(grown.bins) > MAX_BINS:
            grown = grown.coarser()
        return grown

    def coarser(self) -> "Histogram":
        """Return the histogram with bins twice as wide."""
        halved = self.bins >> 1
        firsts = np.concatenate(([0], np.flatnonzero(np.diff(halved)) + 1))
        joined = np.add.reduceat(self.counts, firsts, dtype=np.uint16)
        return Histogram(halved[firsts], joined, self.shift + 1)

    def median_and_mad(self) -> tuple[float, float]:
        """Return median and median absolute deviation; integers count as their bin's centre."""
        width = 1 << self.shift
        centres = self.bins * np.float64(width) + (width - 1) / 2
        median = _weighted_median(centres, self.counts)
        deviations = np.abs(centres - median)
        order = deviations.argsort(kind="stable")
        return median, _weighted_median(deviations[order], self.counts[order])

    def pack(self) -> bytes:
        """Return the histogram as bytes: a header, then its two columns."""
        header = self.HEADER.pack(len(self.bins), self.shift)
        return header + self.bins.astype("<i4").tobytes() + self.counts.astype("<u2").tobytes()

    @classmethod
    def unpack_from(cls, data: bytes, offset: int) -> tuple[Self, int]:
        """Read a histogram at an offset of packed bytes; return it and the offset after it."""
        size, shift = cls.HEADER.unpack_from(data, offset)
        offset += cls.HEADER.size
        bins = np.frombuffer(data, np.dtype("<i4"), size, offset)
        counts = np.frombuffer(data, np.dtype("<u2"), size, offset + 4 * size)
        return cls(bins, counts, shift), offset + 6 * size


def _inserted(column: NDArray[Integer], at: int, number: int) -> NDArray[Integer]:
    """Return a column with a number inserted; several times faster than ``np.insert``."""
    grown = np.empty(len(column) + 1, column.dtype)
    grown[:at] = column[:at]
    grown[at] = number
    grown[at + 1 :] = column[at:]
    return grown


def _weighted_median(values: Float64, counts: NDArray[np.uint16]) -> float:
    """Return the median of ascending values that occur ``counts`` times each."""
    ends = counts.cumsum(dtype=np.int64)
    total = int(ends[-1])
    low = ends.searchsorted((total - 1) // 2, "right")
    high = ends.searchsorted(total // 2, "right")
    return float(values[low] + values[high]) / 2
