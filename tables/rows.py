"""Window rows that a step makes, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schemas.columns import Int64
from tables.groups import FIELDS, Bools, Groups


@dataclass(slots=True)
class WindowRows:
    """W windows of one size that changed.

    Attributes
    ----------
    size : int
        ``schemas.windows.MINUTE``, ``HOUR`` or ``DAY``.
    series : (W,) int64
        Whose: an index, or a slot, of series.
    start, end : (W,) int64
        Bounds, epoch milliseconds, the end exclusive.
    groups : Groups
        Their aggregates.
    in_care : (W,) bool
        Late samples have come for them: they are not exact here.
    """

    size: int
    series: Int64
    start: Int64
    end: Int64
    groups: Groups
    in_care: Bools

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.series)

    def take(self, which: Bools) -> "WindowRows":
        """Return some of the rows."""
        return WindowRows(
            self.size,
            self.series[which],
            self.start[which],
            self.end[which],
            self.groups.take(which),
            self.in_care[which],
        )


def concatenated(groups: Sequence[Groups]) -> Groups:
    """Return groups one after the other."""
    return Groups(*(np.concatenate([getattr(g, name) for g in groups]) for name in FIELDS))
