"""Samples that are newer than all that their series have seen: the usual case, in columns.

Nothing has to be looked up: no identity can have been there before, so windows only grow at their
end. Series for which that is not so, or that need more than this module does, are told apart by
:func:`plan` and go through :mod:`tables.merge`; both end in the same rows.

Indices: ``i`` counts the U series of the call, ``g`` their G minutes, ``h`` hours or days.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Float64, Int64
from schemas.windows import DAY, HOUR, HOUR_MS, MINUTE, MINUTE_MS
from tables.days import Calendar, days_of
from tables.floors import followed
from tables.groups import Bools, Groups, carry, joined, of_samples, write
from tables.layout import DAY_SLOT, EMPTY_WINDOW, SLOTS, put
from tables.ranges import changes, starts_of
from tables.rows import WindowRows


@dataclass(slots=True)
class Minutes:
    """The minutes of the samples of a call: one entry a series and minute.

    ``series`` (G,) is the index of the series, ``start`` (G,) the minute, ``first`` (G,) the
    position of its first sample, ``of_series`` (U + 1,) the first entry of each series and the
    end, ``groups`` their aggregates.
    """

    series: Int64
    start: Int64
    first: Int64
    of_series: Int64
    groups: Groups


@dataclass(slots=True)
class Plan:
    """How far the floor of each series moves, and what that means for what is kept.

    ``floor`` (U,): the floor after. ``drop_all`` (U,): whether everything kept so far is below it.
    ``partly`` (U,): whether some of it may be. ``fits`` (U,): whether this module can do it.
    """

    floor: Int64
    drop_all: Bools
    partly: Bools
    fits: Bools


def minutes_of(
    of_series: Int64, lengths: Int64, ranks: Int64, times: Int64, values: Float64
) -> Minutes:
    """Cut samples into minutes.

    Parameters
    ----------
    of_series : (U + 1,) int64
        Where the segments of each series begin, and the end; a series has at least one.
    lengths, ranks : (k,) int64
        Samples of each segment, at least one, and the rank of all of them.
    times, values : (T,)
        The samples, ascending within a series.
    """
    starts = starts_of(lengths)
    minute = times // MINUTE_MS
    begins = changes(minute)
    begins[starts[:-1]] = True
    at = begins.nonzero()[0]  # where a minute or a segment begins
    segment_at = np.searchsorted(at, starts)
    segment = np.repeat(np.arange(len(lengths)), np.diff(segment_at))
    groups = of_samples(at, times, values, ranks[segment])
    series_at = segment_at[of_series]
    series = np.repeat(np.arange(len(of_series) - 1), np.diff(series_at))
    start = minute[at] * MINUTE_MS
    if len(lengths) > len(series_at) - 1:
        first = changes(series, start).nonzero()[0]
        if len(first) < len(at):
            groups = joined(groups, first)
            series_at = np.searchsorted(first, series_at)
            at, series, start = at[first], series[first], start[first]
    return Minutes(series, start, at, series_at, groups)


def plan(
    rows: NDArray[Any],
    kept: Int64,
    lengths: Int64,
    minutes: Minutes,
    *,
    horizon_ms: int,
    samples_max: int,
) -> Plan:
    """Choose the floors: as low as the horizon asks for, and the samples that may be kept allow.

    Parameters
    ----------
    rows : (U,) SERIES
        The series before.
    kept, lengths : (U,) int64
        Samples that each keeps, and that come.
    minutes : Minutes
        The minutes of those that come.
    horizon_ms, samples_max : int
        The bounds.
    """
    newest_before = rows["newest"]
    floor_before = rows["floor"]
    last = minutes.of_series[1:] - 1
    newest = minutes.groups.last_ms[last]
    floor, behind = followed(floor_before, newest, horizon_ms)
    too_many = kept + lengths > samples_max
    another_minute = minutes.start[last] > newest_before
    # Below a floor inside a minute that minute is not complete; it is left as soon as possible.
    cut = (floor_before % MINUTE_MS != 0) & another_minute
    past_all = behind & (floor > newest_before)
    drop_all = too_many | cut | past_all
    partly = behind & ~drop_all
    choose = too_many | cut
    fits = np.ones(len(rows), np.bool_)
    if choose.any():
        following = np.repeat(starts_of(lengths)[1:], np.diff(minutes.of_series)) - minutes.first
        allowed = (following <= samples_max) & (minutes.start > newest_before[minutes.series])
        start = np.where(allowed, minutes.start, np.iinfo(np.int64).max)
        chosen = np.minimum.reduceat(start, minutes.of_series[:-1])
        fits = ~choose | (chosen < np.iinfo(np.int64).max)
        low_enough = past_all & (lengths <= samples_max)
        floor = np.where(choose & ~low_enough, np.maximum(chosen, floor), floor)
    return Plan(floor, drop_all, partly, fits)


def local_days(
    rows: NDArray[Any], calendars: Sequence[Calendar], minutes: Minutes
) -> tuple[Int64, Int64]:
    """Return the bounds of the local day of each minute: two columns of shape (G,)."""
    today = rows["windows"][:, DAY_SLOT]
    start = today["start"][minutes.series]
    end = today["end"][minutes.series]
    outside = np.flatnonzero((minutes.start < start) | (minutes.start >= end))
    start[outside], end[outside] = days_of(
        calendars, minutes.series[outside], minutes.start[outside]
    )
    return start, end


def extend(
    rows: NDArray[Any],
    minutes: Minutes,
    days: tuple[Int64, Int64],
    planned: Plan,
) -> list[WindowRows]:
    """Add the minutes to the windows of their series.

    Parameters
    ----------
    rows : (U,) SERIES
        The series; changed in place: their windows, floor and newest instant.
    minutes : Minutes
        What comes.
    days : two columns of shape (G,)
        Bounds of the local day of each minute.
    planned : Plan
        The floors.

    Returns
    -------
    list of WindowRows
        The windows that changed, by size; ``in_care`` tells those that are not exact.
    """
    hour = minutes.start // HOUR_MS * HOUR_MS
    bounds = {
        MINUTE: (minutes.start, minutes.start + MINUTE_MS),
        HOUR: (hour, hour + HOUR_MS),
        DAY: days,
    }
    found = [_extend(rows, size, minutes, bounds[size], planned) for size in SLOTS]
    rows["floor"] = planned.floor
    rows["newest"] = minutes.groups.last_ms[minutes.of_series[1:] - 1]
    return found


def _extend(
    rows: NDArray[Any],
    size: int,
    minutes: Minutes,
    bounds: tuple[Int64, Int64],
    planned: Plan,
) -> WindowRows:
    """Add the minutes to windows of one size, which have ``bounds``."""
    slot, *slots_before = SLOTS[size]
    start, end = bounds
    drop_all = planned.drop_all
    dropped = minutes.start < planned.floor[minutes.series]
    at = changes(minutes.series, start).nonzero()[0]
    groups = joined(minutes.groups, at)
    series, start, end = minutes.series[at], start[at], end[at]
    low = np.minimum.reduceat(np.where(dropped, minutes.groups.min, np.inf), at)
    high = np.maximum.reduceat(np.where(dropped, minutes.groups.max, -np.inf), at)
    begins = changes(series)
    first = begins.nonzero()[0]
    last = np.append(first[1:], len(series)) - 1
    current = rows["windows"][:, slot].copy()
    # What is kept of a window that all kept samples leave is what it was in full.
    current["low"] = np.where(drop_all, current["min"], current["low"])
    current["high"] = np.where(drop_all, current["max"], current["high"])
    is_same = current["start"] == start[first]
    same = is_same.nonzero()[0]
    place = first[same]
    carry(groups, place, current.take(same))
    low[place] = np.minimum(low[place], current["low"][same])
    high[place] = np.maximum(high[place], current["high"][same])
    care = np.zeros(len(series), np.int64)
    care[place] = current["in_care"][same]
    windows = np.full(len(series), EMPTY_WINDOW)
    windows["start"], windows["end"] = start, end
    windows["low"], windows["high"], windows["in_care"] = low, high, care
    write(groups, np.arange(len(series)), windows)
    for slot_before in slots_before:
        before = np.where(is_same, rows["windows"][:, slot_before], current)
        several = (last > first).nonzero()[0]
        put(before, several, windows.take(last[several] - 1))
        rows["windows"][:, slot_before] = before
    rows["windows"][:, slot] = windows.take(last)
    return WindowRows(size, series, start, end, groups, care > 0)
