"""Detection over many series at once: rules on columns, with one fixed row of state a series.

:func:`observe` applies all rules to the fresh samples of a step. What a series costs depends on
what happens in it: one that stays inside its limits and its usual range is dismissed by least and
greatest value of each minute, together with all others, in a fixed number of array operations; only
where a value is beyond, or an alert is open, are samples looked at.
"""

from tables.detection.active import Active
from tables.detection.detectors import expected, observe, watched
from tables.detection.fresh import Fresh
from tables.detection.rows import ROW

__all__ = ["ROW", "Active", "Fresh", "expected", "observe", "watched"]
