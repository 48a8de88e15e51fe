"""One person's series of one metric: exact windows from a bounded memory of samples.

A series keeps its samples back to its *floor*, a whole minute that follows the newest sample at
the distance of the live horizon. At or above the floor every sample is known, so duplicates and
corrections are exact there. Below it only sums are kept, for the hour and the day that the floor
cuts. A sample below the floor is *late*: its windows are computed again from stored samples, and
an hour or a day that is still open when that happens stays in that care until it is closed.

What a series emits, and what a computation over all stored samples gives, are the same rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from schemas.columns import Float64, Int32, Int64
from schemas.windows import DAY, HOUR, HOUR_MS, MINUTE, MINUTE_MS
from tables.aggregates import Aggregate, aggregate, aggregate_by, by_time_and_value
from tables.days import Calendar

NO_FLOOR: Final = -(1 << 62)
Window = tuple[int, int, int]
"""Size, start and end of a window."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a series keeps.

    Attributes
    ----------
    horizon_ms : int
        How far behind the newest sample the floor stays.
    samples : int
        Most samples that are kept, whatever the horizon.
    """

    horizon_ms: int
    samples: int


@dataclass(frozen=True, slots=True)
class Series:
    """State of one series. The sample columns have shape (n,), ordered by instant and device.

    Attributes
    ----------
    floor_ms : int
        Samples before it are not kept.
    times, values, ranks, devices
        The kept samples: epoch milliseconds, values, ``received_ms``, device codes.
    closed : mapping of window to Aggregate
        For each hour and day that the floor cuts: the samples of it that are below the floor.
    mixed : frozenset of windows
        Hours and days cut by the floor for which a late sample came.
    """

    floor_ms: int = NO_FLOOR
    times: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    values: Float64 = field(default_factory=lambda: np.empty(0, np.float64))
    ranks: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    devices: Int32 = field(default_factory=lambda: np.empty(0, np.int32))
    closed: Mapping[Window, Aggregate] = field(default_factory=dict)
    mixed: frozenset[Window] = frozenset()


@dataclass(frozen=True, slots=True)
class Row:
    """A window that changed: its bounds and its aggregate."""

    size: int
    start: int
    end: int
    count: int
    sum: float
    sum_sq: float
    min: float
    max: float
    first: float
    last: float
    version: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What an arrival did to a series.

    Attributes
    ----------
    rows : list of Row
        Windows that changed and are exact.
    late : list of windows
        Windows that have to be computed again from stored samples.
    added, corrected, duplicate, late_samples : int
        Counts of the samples that arrived: new, of a known identity with another value, known
        already (or overtaken), and older than the floor.
    """

    rows: list[Row]
    late: list[Window]
    added: int
    corrected: int
    duplicate: int
    late_samples: int


def arrive(
    state: Series,
    times: Int64,
    values: Float64,
    *,
    device: int,
    rank: int,
    calendar: Calendar,
    limits: Limits,
) -> tuple[Series, Changes]:
    """Take in samples of one device that were received together.

    Parameters
    ----------
    state : Series
        The series before; it is not changed.
    times : (n,) int64
        Epoch milliseconds, strictly ascending.
    values : (n,) float64
        Values in the canonical unit.
    device : int
        Code of the device.
    rank : int
        ``received_ms`` of the upload.
    calendar : Calendar
        The person's days.
    limits : Limits
        Bounds on what is kept.

    Returns
    -------
    Series
        The series after.
    Changes
        What changed.
    """
    cut = int(np.searchsorted(times, state.floor_ms))
    late = _windows_of(times[:cut], calendar)
    mixed = state.mixed | {w for w in late if w[0] != MINUTE and w[2] > state.floor_ms}
    cared = state if mixed == state.mixed else replace(state, mixed=mixed)
    merged, touched, added, corrected = _merge(cared, times[cut:], values[cut:], device, rank)
    rows, also_late = _changed_rows(merged, touched, calendar)
    changes = Changes(
        rows,
        sorted({*late, *also_late}),
        added,
        corrected,
        len(times) - cut - added - corrected,
        cut,
    )
    return _advance(merged, calendar, limits), changes


def recalendar(state: Series, calendar: Calendar) -> Series:
    """Return a series whose person has changed time zone.

    Days that the floor cuts and whose bounds are other than before lose their closed part, so
    they go into the care of late data until they end.
    """
    if state.floor_ms == NO_FLOOR:
        return state
    cut = (DAY, *calendar.day(state.floor_ms - 1))
    closed = {w: whole for w, whole in state.closed.items() if w[0] == HOUR or w == cut}
    mixed = {w for w in state.mixed if w[0] == HOUR}
    if cut[2] > state.floor_ms and cut not in closed:
        mixed.add(cut)
    return replace(state, closed=closed, mixed=frozenset(mixed))


def _merge(
    state: Series, times: Int64, values: Float64, device: int, rank: int
) -> tuple[Series, Int64, int, int]:
    """Join samples with the kept ones; also return the instants whose windows changed."""
    if not len(state.times) or (len(times) and times[0] > state.times[-1]):
        return _appended(state, times, values, device, rank), times, len(times), 0
    mine = np.flatnonzero(state.devices == device)
    place = np.searchsorted(state.times[mine], times)
    known = np.zeros(len(times), bool)
    inside = place < len(mine)
    known[inside] = state.times[mine[place[inside]]] == times[inside]
    at = mine[place[known]]
    again = values[known]
    newer = (rank > state.ranks[at]) | ((rank == state.ranks[at]) & (again > state.values[at]))
    corrected = int((newer & (again != state.values[at])).sum())
    touched = np.concatenate((times[~known], times[known][newer]))
    if not len(touched):
        return state, touched, 0, 0
    kept_values, kept_ranks = state.values.copy(), state.ranks.copy()
    kept_values[at[newer]] = again[newer]
    kept_ranks[at[newer]] = rank
    added = int((~known).sum())
    all_times = np.concatenate((state.times, times[~known]))
    all_devices = np.concatenate((state.devices, np.full(added, device, np.int32)))
    order = np.lexsort((all_devices, all_times))
    merged = replace(
        state,
        times=all_times[order],
        values=np.concatenate((kept_values, values[~known]))[order],
        ranks=np.concatenate((kept_ranks, np.full(added, rank, np.int64)))[order],
        devices=all_devices[order],
    )
    return merged, np.sort(touched), added, corrected


def _appended(state: Series, times: Int64, values: Float64, device: int, rank: int) -> Series:
    """Join samples that are newer than all kept ones: the usual case."""
    n = len(times)
    return replace(
        state,
        times=np.concatenate((state.times, times)),
        values=np.concatenate((state.values, values)),
        ranks=np.concatenate((state.ranks, np.full(n, rank, np.int64))),
        devices=np.concatenate((state.devices, np.full(n, device, np.int32))),
    )


def _changed_rows(
    state: Series, touched: Int64, calendar: Calendar
) -> tuple[list[Row], list[Window]]:
    """Return the rows of the windows of changed instants, and those that are in late care."""
    if not len(touched):
        return [], []
    times, values, ranks = by_time_and_value(state.times, state.values, state.ranks)
    rows = _minute_rows(times, values, ranks, touched)
    late = []
    for window in _long_windows_of(touched, calendar):
        if window in state.mixed:
            late.append(window)
            continue
        size, start, end = window
        part = slice(*np.searchsorted(times, (start, end)))
        whole = aggregate(times[part], values[part], ranks[part])
        if window in state.closed:
            whole = state.closed[window].merge(whole)
        rows.append(_row(size, start, end, whole))
    return rows, late


def _minute_rows(times: Int64, values: Float64, ranks: Int64, touched: Int64) -> list[Row]:
    changed = touched - touched % MINUTE_MS
    around = slice(*np.searchsorted(times, (changed[0], changed[-1] + MINUTE_MS)))
    minutes = times[around] - times[around] % MINUTE_MS
    part = np.isin(minutes, changed)
    found = aggregate_by(minutes[part], values[around][part], ranks[around][part])
    return [
        Row(MINUTE, start, start + MINUTE_MS, *rest)
        for start, *rest in zip(
            *(getattr(found, name).tolist() for name in type(found).__slots__), strict=True
        )
    ]


def _row(size: int, start: int, end: int, whole: Aggregate) -> Row:
    return Row(
        size,
        start,
        end,
        whole.count,
        whole.sum,
        whole.sum_sq,
        whole.min,
        whole.max,
        whole.first,
        whole.last,
        whole.version,
    )


def _advance(state: Series, calendar: Calendar, limits: Limits) -> Series:
    """Move the floor up behind the newest sample and fold what falls below it."""
    if not len(state.times):
        return state
    newest = int(state.times[-1])
    floor = max(state.floor_ms, (newest - limits.horizon_ms) // MINUTE_MS * MINUTE_MS)
    if len(state.times) > limits.samples:
        # The oldest sample that may stay, and with it all others of its minute or none.
        oldest = int(state.times[-limits.samples])
        floor = max(floor, oldest if oldest % MINUTE_MS == 0 else _next_minute(oldest))
        if int((state.times >= floor).sum()) > limits.samples:
            floor = _next_minute(oldest)
    if floor == state.floor_ms:
        return state
    cut = int(np.searchsorted(state.times, floor))
    times, values, ranks = by_time_and_value(
        state.times[:cut], state.values[:cut], state.ranks[:cut]
    )
    closed = {window: whole for window, whole in state.closed.items() if window[2] > floor}
    for window in _long_windows_of(times, calendar):
        _, start, end = window
        if end <= floor or window in state.mixed:
            continue
        part = slice(*np.searchsorted(times, (start, end)))
        whole = aggregate(times[part], values[part], ranks[part])
        closed[window] = closed[window].merge(whole) if window in closed else whole
    return Series(
        floor,
        state.times[cut:],
        state.values[cut:],
        state.ranks[cut:],
        state.devices[cut:],
        closed,
        frozenset(window for window in state.mixed if window[2] > floor),
    )


def _next_minute(time_ms: int) -> int:
    return time_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS


def _windows_of(times: Int64, calendar: Calendar) -> list[Window]:
    """Return all windows of ascending instants: minutes, hours and days."""
    minutes = np.unique(times - times % MINUTE_MS).tolist()
    return [
        *((MINUTE, start, start + MINUTE_MS) for start in minutes),
        *_long_windows_of(times, calendar),
    ]


def _long_windows_of(times: Int64, calendar: Calendar) -> Iterable[Window]:
    """Return the hours and days of ascending instants."""
    hours = np.unique(times - times % HOUR_MS).tolist()
    yield from ((HOUR, start, start + HOUR_MS) for start in hours)
    yield from ((DAY, start, end) for start, end in calendar.days(times))
