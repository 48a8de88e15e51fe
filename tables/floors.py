"""Where the floor of a series lies, and what is noted of samples that fall below it."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Float64, Int64
from schemas.windows import MINUTE_MS
from tables.groups import Bools
from tables.ranges import changes

SLACK: Final = 4
"""The floor follows the newest sample when it has fallen behind by 1/SLACK of the horizon."""


def followed(floor: Int64, newest: Int64, horizon_ms: int) -> tuple[Int64, Bools]:
    """Return the floors that follow the newest samples, and which of them had fallen behind."""
    behind = newest - floor > horizon_ms + horizon_ms // SLACK
    wanted = (newest - horizon_ms) // MINUTE_MS * MINUTE_MS
    return np.where(behind, np.maximum(wanted, floor), floor), behind


def fold(windows: NDArray[Any], series: Int64, times: Int64, values: Float64, floor: Int64) -> None:
    """Note in the windows least and greatest of those of their samples that are below the floor.

    Parameters
    ----------
    windows : (U, k) WINDOW
        The latest windows of each series; changed in place.
    series : (n,) int64
        Index of the series of each sample; ascending.
    times, values : (n,)
        The samples.
    floor : (U,) int64
        The floors.
    """
    below = times < floor[series]
    if not below.any():
        return
    at = changes(series).nonzero()[0]
    which = series[at]
    for place in range(windows.shape[1]):
        window = windows[:, place]
        inside = below & (times >= window["start"][series]) & (times < window["end"][series])
        least = np.minimum.reduceat(np.where(inside, values, np.inf), at)
        greatest = np.maximum.reduceat(np.where(inside, values, -np.inf), at)
        window["low"][which] = np.minimum(window["low"][which], least)
        window["high"][which] = np.maximum(window["high"][which], greatest)
