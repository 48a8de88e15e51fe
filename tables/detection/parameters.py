"""The parameters of detection as columns over the metrics of the catalogue."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.catalogue import Metric, catalogue
from schemas.columns import Float64
from tables.limits import Side, Sides, limits
from tables.watch import AnomalyParameters, Watch, watches

_NO_LIMITS: Final = Sides(None, None)
_SLACK: Final = 0.51
"""In units of a metric's last decimal: how far off a limit values may be rounded onto it."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A watched metric: its entry of the catalogue, its words and its limits."""

    metric: Metric
    watch: Watch
    sides: Sides


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the rules need to know of metrics, columns of shape (n,).

    Attributes
    ----------
    floor
        Least spread, in the metric's unit; NaN where no baseline is learned.
    warm_up
        Minutes to be learned from before the baseline serves; infinite where none is learned.
    side_low, side_high
        What to add to the edges of the band: 0, or infinity on a side where nothing is unusual.
    cut_low, cut_high
        Values strictly beyond may be beyond a limit once they are rounded; infinite without one.
    """

    floor: Float64
    warm_up: Float64
    side_low: Float64
    side_high: Float64
    cut_low: Float64
    cut_high: Float64


@cache
def watched_metrics() -> tuple[Watched | None, ...]:
    """Return the watched metrics by code, the position in ``tuple(catalogue())``; else None."""
    return tuple(
        Watched(metric, watches()[name], limits().get(name, _NO_LIMITS))
        if metric.kind == "gauge" and name in watches()
        else None
        for name, metric in catalogue().items()
    )


def parameters(metric: NDArray[np.int16]) -> Parameters:
    """Return the parameters of metrics by their codes.

    Raises
    ------
    ConfigurationError
        If one of the files they come from is malformed.
    """
    return Parameters(*_table().take(metric, axis=1))


@cache
def _table() -> Float64:
    """Return the parameters of all metrics, one row a parameter."""
    return np.array([_column(one) for one in watched_metrics()]).T.copy()


def _column(one: Watched | None) -> list[float]:
    if one is None:
        return [np.nan, np.inf, -np.inf, np.inf, -np.inf, np.inf]
    low, high = one.sides
    slack = _SLACK * 10.0**-one.watch.decimals
    return [
        *_rule(one.watch.anomaly),
        -np.inf if low is None else _mildest(low) + slack,
        np.inf if high is None else _mildest(high) - slack,
    ]


def _rule(rule: AnomalyParameters | None) -> list[float]:
    if rule is None:
        return [np.nan, np.inf, -np.inf, np.inf]
    low = -np.inf if rule.sides == "high" else 0.0
    high = np.inf if rule.sides == "low" else 0.0
    return [rule.scale_floor, float(rule.warm_up_minutes), low, high]


def _mildest(side: Side) -> float:
    return side.levels[0].limit
