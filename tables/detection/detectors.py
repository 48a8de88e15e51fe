"""All rules applied to the fresh samples of a step.

The result does not depend on how samples were cut into calls, nor on which series share a call.
Event time never turns back: samples that are not newer than all that their series had seen are not
fresh, so late data opens no alert about the past, nor does it change what is usual.

A call goes in rounds. First the minutes that were open before are continued; then, round by round,
the next minute of every series is opened, after what the one before teaches. In each round all
series are compared with their row's calm range at once; only those beyond it, and those with an
alert or a run going on, are looked at sample by sample.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.errors import InvariantError
from schemas.columns import Float64, Int64
from tables.alerts import Alert, Change, alert_id
from tables.detection.active import Active
from tables.detection.baseline import begin, sums, turn
from tables.detection.crossings import find_crossings
from tables.detection.fresh import Fresh
from tables.detection.parameters import Watched, parameters, watched_metrics
from tables.detection.rows import Rows
from tables.detection.stretch import Stretch
from tables.detection.unusual import Quiet, Usual, find_unusual
from tables.layout import put


def watched() -> NDArray[np.bool_]:
    """Return by metric code whether any rule applies; other series have no state to keep."""
    return np.array([one is not None for one in watched_metrics()])


def expected(rows: Rows) -> tuple[Float64, Float64]:
    """Return the band that samples of the open minute are compared with.

    Parameters
    ----------
    rows
        Rows of shape (U,).

    Returns
    -------
    low, high : (U,) float64
        The edges, NaN where there is none.
    """
    low, high = rows["low"], rows["high"]
    begun = rows["version"] > 0
    return (
        np.where(begun & (low > -np.inf), np.maximum(low, 0.0), np.nan),
        np.where(begun & (high < np.inf), high, np.nan),
    )


def observe(rows: Rows, active: dict[int, Active], fresh: Fresh) -> list[tuple[int, Alert]]:
    """Apply all rules to fresh samples.

    Parameters
    ----------
    rows
        The row of each series, shape (U,); changed in place.
    active
        By position among the series, what else is kept of those whose row is ``busy``; changed in
        place.
    fresh
        The samples, all of watched metrics.

    Returns
    -------
    list of (int, Alert)
        Revisions of alerts with the position of their series, by series, then event time.

    Raises
    ------
    InvariantError
        If a series is busy and not among the active ones.
    """
    series, start, first = fresh.minute_series, fresh.minute_start, fresh.minute_first
    if not len(series):
        return []
    unseen = np.flatnonzero(rows["version"] == 0)
    if len(unseen):
        begin(rows, unseen, parameters(fresh.metric[unseen]))
    greatest = max(float(fresh.minute_max.max()), -float(fresh.minute_min.min()))
    total, count = sums(fresh.values, first[:-1], greatest), np.diff(first)
    heads = np.concatenate(([0], np.flatnonzero(series[1:] != series[:-1]) + 1, [len(series)]))
    alerts: list[tuple[int, Alert]] = []
    for turned, at in _rounds(rows, series, start, heads):
        which = series[at]
        whole = len(at) == len(rows)
        part = rows if whole else rows.take(which)
        if turned:
            turn(
                part,
                start[at],
                fresh.day_start[at],
                parameters(fresh.metric if whole else fresh.metric[which]),
            )
        part["sum"] += total[at]
        part["count"] += count[at]
        concerned = part["busy"] != 0
        concerned |= fresh.minute_min[at] < part["calm_low"]
        concerned |= fresh.minute_max[at] > part["calm_high"]
        if not whole:
            put(rows, which, part)
        for minute in at[concerned].tolist():
            alerts += _look(rows, active, fresh, minute)
    rows["last_ms"][series[heads[:-1]]] = fresh.times[first[heads[1:]] - 1]
    alerts.sort(key=lambda one: (one[0], one[1].changed_ms))  # stable: rules keep their order
    return alerts


def _rounds(rows: Rows, series: Int64, start: Int64, heads: Int64) -> Iterator[tuple[bool, Int64]]:
    """Yield minutes such that no series occurs twice in a round, and each in event time.

    With each round comes whether its minutes are to be opened, or are open already.
    """
    firsts = heads[:-1]
    going_on = rows["minute"][series[firsts]] == start[firsts]
    number = np.arange(len(series)) - np.repeat(firsts + going_on, np.diff(heads)) + 1
    order = number.argsort(kind="stable")
    begins = [0, *np.bincount(number).cumsum().tolist()]
    for turned, (begins_at, ends_at) in enumerate(pairwise(begins)):
        if begins_at < ends_at:
            yield turned > 0, order[begins_at:ends_at]


def _look(
    rows: Rows, active: dict[int, Active], fresh: Fresh, minute: int
) -> list[tuple[int, Alert]]:
    """Apply the rules to the samples of one minute of a series, one after another."""
    series = int(fresh.minute_series[minute])
    row, watched = rows[series], watched_metrics()[fresh.metric[series]]
    state = active.get(series)
    if watched is None or (state is None and row["busy"]):
        raise InvariantError("a busy series has no active state, or its metric is not watched")
    state = state or Active()
    part = slice(int(fresh.minute_first[minute]), int(fresh.minute_first[minute + 1]))
    again = minute > 0 and fresh.minute_series[minute - 1] == series
    stretch = Stretch.cut(
        fresh.times,
        fresh.values,
        part,
        last_ms=int(fresh.times[part.start - 1] if again else row["last_ms"]),
        decimals=watched.watch.decimals,
    )
    changes = _apply(state, row, stretch, watched)
    alerts = [(series, _alert(change, state, stretch, watched, fresh)) for change in changes]
    state.keep(stretch)
    row["busy"] = not state.idle
    if state.idle:
        active.pop(series, None)
    else:
        active[series] = state
    return alerts


def _apply(state: Active, row: np.void, stretch: Stretch, watched: Watched) -> list[Change]:
    """Take samples into the states of the rules; return what happened to alerts, in order."""
    changes: list[Change] = []
    usual = Usual.of(row, watched)
    if usual is not None:
        before = Quiet(int(row["quiet_side"]), int(row["quiet_until_ms"]), float(row["peak"]))
        quiet, found = find_unusual(state.unusual, before, stretch, usual=usual, watched=watched)
        if quiet is not before:
            row["quiet_side"], row["quiet_until_ms"], row["peak"] = quiet
        changes += found
    for side, of_side in zip(watched.sides, (state.low, state.high), strict=True):
        if side is not None:
            changes += find_crossings(
                of_side, stretch, side=side, watch=watched.watch, unit=watched.metric.unit
            )
    changes.sort(key=lambda change: change.index)  # stable: rules keep their order
    return changes


def _alert(
    change: Change, state: Active, stretch: Stretch, watched: Watched, fresh: Fresh
) -> Alert:
    """Make an alert of a change, with the samples that show it; the last of them made it."""
    times, values = state.evidence(stretch, change.index, change.window_start_ms)
    minute = fresh.minute_first.searchsorted(change.index, "right") - 1
    user_id = fresh.user_of(int(fresh.minute_series[minute]))
    metric = watched.metric
    return Alert(
        alert_id=alert_id(user_id, metric.name, change.rule, change.opened_ms),
        user_id=user_id,
        metric=metric.name,
        device_id=fresh.device_of(change.index),
        rule=change.rule,
        rule_version=change.rule_version,
        severity=change.severity,
        status=change.status,
        revision=change.revision,
        opened_ms=change.opened_ms,
        changed_ms=times[-1],
        resolved_ms=times[-1] if change.status == "resolved" else None,
        value=values[-1],
        unit=metric.unit,
        expected_low=change.expected_low,
        expected_high=change.expected_high,
        baseline_count=change.baseline_count,
        window_start_ms=change.window_start_ms,
        window_end_ms=times[-1],
        explanation=change.explanation,
        sample_times=tuple(times),
        sample_values=tuple(values),
    )
