"""Fresh samples of many series, as the detectors take them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Float64, Int64


@dataclass(frozen=True, slots=True)
class Fresh:
    """Samples newer than all that their series had seen: U series, G minutes, T samples.

    A minute is that of one series, as far as it is in this call: its samples may go on in the
    next one. The samples of a series are contiguous, and so are those of a minute.

    Attributes
    ----------
    metric : (U,) int16
        Each series' metric, as its position in ``tuple(catalogue())``.
    minute_series : (G,) int64
        Position of a minute's series, ascending.
    minute_start : (G,) int64
        Start of the minute, epoch milliseconds, a multiple of 60,000; ascending within a series.
    minute_first : (G + 1,) int64
        Samples ``minute_first[g]`` to ``minute_first[g + 1]`` are those of minute ``g``; none is
        empty.
    minute_min, minute_max : (G,) float64
        Least and greatest value of those samples.
    day_start : (G,) int64
        Start of the person's local day in which the minute lies, epoch milliseconds.
    times : (T,) int64
        Instants, epoch milliseconds, strictly ascending within a series.
    values : (T,) float64
        Finite values in the metric's canonical unit.
    device_of : callable
        Gives the device id of a sample by its position (0 to T - 1); asked only for alerts.
    user_of : callable
        Gives the user id of a series by its position (0 to U - 1); asked only for alerts.
    """

    metric: NDArray[np.int16]
    minute_series: Int64
    minute_start: Int64
    minute_first: Int64
    minute_min: Float64
    minute_max: Float64
    day_start: Int64
    times: Int64
    values: Float64
    device_of: Callable[[int], str]
    user_of: Callable[[int], str]
