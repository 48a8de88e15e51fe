"""What is kept of every watched series: one row of fixed size."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

VERSION: Final = 1

PARTS: Final = 12
"""Parts of the day, of two hours."""

ROW: Final[np.dtype[np.void]] = np.dtype(
    [
        ("last_ms", "<i8"),  # latest instant seen
        ("minute", "<i8"),  # start of the open minute
        ("sum", "<f8"),  # of its values, in units of tables.detection.baseline.SUM_UNIT
        ("level", "<f8"),  # what is usual: see tables.detection.baseline
        ("spread", "<f8"),
        ("low", "<f8"),  # band that samples of the open minute are compared with; infinite: none
        ("high", "<f8"),
        ("calm_low", "<f8"),  # values from calm_low to calm_high concern no rule
        ("calm_high", "<f8"),
        ("peak", "<f8"),  # greatest deviation of the latest episode of unusual values
        ("quiet_until_ms", "<i8"),  # until when a side is silent after it
        ("count", "<i4"),  # samples of the open minute
        ("learned", "<i4"),  # minutes learned from
        ("part_spread", "<f4", (PARTS,)),  # by part of the day
        ("part_learned", "<u2", (PARTS,)),  # minutes each was learned from, counted up to 65,535
        ("part", "u1"),  # part of the day of the open minute
        ("gap", "u1"),  # minutes for which the open one will stand
        ("quiet_side", "i1"),  # +1 high, -1 low, 0 none
        ("busy", "u1"),  # whether the series is among the active ones
        ("version", "u1"),  # of this layout; 0: nothing seen
        ("spare", "u1", (3,)),  # 0; all columns are aligned, which makes operations on them fast
    ]
)
"""A row of zeros is a series that has seen nothing."""

Rows = NDArray[Any]
"""Array of shape (n,) and dtype ROW."""
