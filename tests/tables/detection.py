"""Feeding synthetic series to the detector."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from schemas.catalogue import catalogue
from schemas.columns import Float64, Int64
from tables.alerts import Alert
from tables.detector import DetectorState, observe

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MIDNIGHT = 20_000 * DAY
"""The day on which the series begin."""


def days_over(times: Int64) -> list[tuple[int, int]]:
    """Return the UTC days that cover times."""
    first, last = int(times[0]) // DAY, int(times[-1]) // DAY
    return [(day * DAY, (day + 1) * DAY) for day in range(first, last + 1)]


def feed(
    metric: str,
    times: Int64,
    values: Float64,
    *,
    state: DetectorState | None = None,
    cuts: Iterable[int] = (),
    repack: bool = False,
) -> tuple[DetectorState, list[Alert]]:
    """Observe a series, cut into calls before the given positions."""
    state = state or DetectorState()
    alerts: list[Alert] = []
    for begin, end in pairwise([0, *sorted(cuts), len(times)]):
        if begin == end:
            continue
        state, found = observe(
            state,
            user_id="ada",
            metric=catalogue()[metric],
            device_id="watch",
            times=times[begin:end],
            values=values[begin:end],
            days=days_over(times[begin:end]),
        )
        alerts += found
        if repack:
            state = DetectorState.unpack(state.pack())
    return state, alerts


def series(
    stretches: Sequence[tuple[float, int]], *, step: int = MINUTE, start: int = MIDNIGHT
) -> tuple[Int64, Float64]:
    """Return samples every ``step`` ms: each value for its number of samples."""
    values = np.concatenate([np.full(count, float(value)) for value, count in stretches])
    return start + step * np.arange(len(values), dtype=np.int64), values


def story(alerts: Iterable[Alert], rule: str | None = None) -> list[tuple[str, str]]:
    """Return (status, severity) of each revision, of one rule or of all."""
    return [(a.status, a.severity) for a in alerts if rule in (None, a.rule)]
