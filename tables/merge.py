"""Samples that may be known already, out of order or older than the floor: the exact case.

The kept samples of the series are read, joined with those that come, and every identity keeps the
value of the highest rank. Windows above the floor follow from that; windows that the floor cuts
change by the difference. What is older than the floor is late: its windows are computed again
from stored samples, and an hour or a day that is still open stays in that care until it closes.

Indices: ``q`` counts the series of the call, ``e`` distinct samples ordered by series, instant
and device, ``g`` windows of one size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Float64, Int64
from schemas.windows import DAY, HOUR_MS, MINUTE, MINUTE_MS
from tables.days import Calendar, days_of
from tables.floors import fold, followed
from tables.groups import Bools, Groups, of_samples, write
from tables.identities import Distinct, Identified
from tables.layout import EMPTY_WINDOW, NEVER, SLOTS
from tables.ranges import changes, counted
from tables.rows import WindowRows


@dataclass(slots=True)
class Late:
    """Windows to be computed again from stored samples; columns of one length."""

    series: Int64
    size: Int64
    start: Int64
    end: Int64


class Merge:
    """One arrival at series whose samples may be known.

    First what is late is set aside, then the windows are extended to what is above the floor.

    Parameters
    ----------
    rows : (Q,) SERIES
        The series; changed in place.
    calendars : sequence of Calendar
        The days of each series' person.
    horizon_ms, samples_max : int
        The bounds on what is kept.

    Attributes
    ----------
    changed : list of WindowRows
        Windows that changed, by size.
    late : list of Late
        Windows of late samples.
    """

    def __init__(
        self, rows: NDArray[Any], calendars: Sequence[Calendar], horizon_ms: int, samples_max: int
    ) -> None:
        self.rows = rows
        self._calendars = calendars
        self._horizon_ms = horizon_ms
        self._samples_max = samples_max
        self.changed: list[WindowRows] = []
        self.late: list[Late] = []

    def _bounds(self, size: int, series: Int64, times: Int64) -> tuple[Int64, Int64]:
        if size == DAY:
            minute = times // MINUTE_MS * MINUTE_MS  # days begin at whole minutes
            begins = changes(series, minute)
            start, end = days_of(self._calendars, series[begins], minute[begins])
            which = begins.cumsum() - 1
            return start[which], end[which]
        width = MINUTE_MS if size == MINUTE else HOUR_MS
        start = times // width * width
        return start, start + width

    def set_late_aside(self, coming: Identified) -> Bools:
        """Ask for the windows of samples below the floor; return which samples these are."""
        late = np.zeros(len(coming), np.bool_)
        while True:  # noting an open window may raise a floor, and so make more samples late
            more = ~late & (coming.time < self.rows["floor"][coming.series])
            if not more.any():
                return late
            self._take_late(coming.series[more], coming.time[more])
            late |= more

    def _take_late(self, series: Int64, times: Int64) -> None:
        """Ask for the windows of late samples, and note which open windows they lie in."""
        order = np.lexsort((times, series))
        series, times = series[order], times[order]
        for size, slots in SLOTS.items():
            start, end = self._bounds(size, series, times)
            one = changes(series, start).nonzero()[0]
            q, start, end = series[one], start[one], end[one]
            self.late.append(Late(q, np.full(len(q), size), start, end))
            still_open = end > self.rows["floor"][q]
            for i, s, e in zip(
                q[still_open].tolist(), start[still_open].tolist(), end[still_open].tolist(),
                strict=True,
            ):  # fmt: skip
                self._note_care(i, slots, s, e)

    def _note_care(self, i: int, slots: tuple[int, ...], start: int, end: int) -> None:
        windows = self.rows["windows"][i]
        for slot in slots:
            if windows[slot]["start"] == start:
                windows[slot]["in_care"] = 1
                return
        before = slots[-1]
        if len(slots) == 2 and windows[before]["start"] < start:
            # An hour or day in which nothing was before: it takes the place of an older one.
            windows[before] = EMPTY_WINDOW
            windows[before]["start"], windows[before]["end"] = start, end
            windows[before]["in_care"] = 1
        else:
            self.rows["floor"][i] = max(int(self.rows["floor"][i]), end)

    def extend(self, live: Distinct) -> None:
        """Bring the rows up to the distinct samples above the floor: kept ones and new ones."""
        if not len(live.time):
            return
        by_value = live
        if len(live.time) > 1 and not changes(live.series, live.time).all():
            by_value = live.take(np.lexsort((live.value, live.time, live.series)))
        chosen = [self._windows(size, slots, by_value) for size, slots in SLOTS.items()]
        newest = np.full(len(self.rows), NEVER)
        np.maximum.at(newest, live.series, live.time)
        newest = np.maximum(newest, self.rows["newest"])
        floor = self._floors(live, newest)
        for _, evicted_end in chosen[1:]:
            floor = np.maximum(floor, evicted_end)
        for slots, (windows, _) in zip(SLOTS.values(), chosen, strict=True):
            fold(windows, by_value.series, by_value.time, by_value.value, floor)
            for place, slot in enumerate(slots):
                self.rows["windows"][:, slot] = windows[:, place]
        self.rows["newest"] = newest
        self.rows["floor"] = floor

    def _windows(
        self, size: int, slots: tuple[int, ...], live: Distinct
    ) -> tuple[NDArray[Any], Int64]:
        """Compute the windows of one size.

        Returns
        -------
        (Q, number of slots) WINDOW
            The latest windows, the newest first.
        (Q,) int64
            Where the latest of those ends that had to give way; NEVER for none.
        """
        start, end = self._bounds(size, live.series, live.time)
        at = changes(live.series, start).nonzero()[0]
        q, start, end = live.series[at], start[at], end[at]
        groups = of_samples(at, live.time, live.value, live.rank)
        touched = np.logical_or.reduceat(live.touched, at)
        windows = np.full(len(q), EMPTY_WINDOW)
        windows["start"], windows["end"] = start, end
        matched = np.zeros((len(self.rows), len(slots)), np.bool_)
        differ = self._differences(live, at)
        for place, slot in enumerate(slots):
            known = self.rows["windows"][q, slot]
            same = (known["start"] == start).nonzero()[0]
            matched[q[same], place] = True
            for name in ("low", "high", "in_care"):
                windows[name][same] = known[name][same]
            cut = same[start[same] < self.rows["floor"][q[same]]]
            self._change(groups, cut, known[cut], differ)
        write(groups, np.arange(len(q)), windows)
        in_care = windows["in_care"] > 0
        # Minutes that are neither the latest nor cut are kept in full.
        changed = WindowRows(size, q, start, end, groups, in_care).take(touched)
        self.changed.append(changed)
        left_q, left_place = (~matched).nonzero()
        left = self.rows["windows"][left_q, np.array(slots)[left_place]]
        real = left["start"] > NEVER
        q = np.concatenate((q, left_q[real]))
        windows = np.concatenate((windows, left[real]))
        order = np.lexsort((-windows["start"], q))
        q, windows = q[order], windows[order]
        rank = counted(np.bincount(q, minlength=len(self.rows)))
        latest = np.full((len(self.rows), len(slots)), EMPTY_WINDOW)
        stay = rank < len(slots)
        latest[q[stay], rank[stay]] = windows[stay]
        evicted = np.full(len(self.rows), NEVER)
        np.maximum.at(evicted, q[~stay], windows["end"][~stay])
        return latest, evicted

    def _differences(self, live: Distinct, at: Int64) -> tuple[Int64, Int64, Float64, Float64]:
        """Return by window how count, version, sum and sum of squares change."""
        touched = live.touched
        count = np.add.reduceat((touched & ~live.known).astype(np.int64), at)
        version = np.add.reduceat(np.where(touched, live.rank - live.old_rank, 0), at)
        value, old = live.value, live.old_value
        total = np.add.reduceat(np.where(touched, value - old, 0.0), at)
        squares = np.add.reduceat(np.where(touched, value * value - old * old, 0.0), at)
        return count, version, total, squares

    def _change(
        self, groups: Groups, g: Int64, known: NDArray[Any],
        differ: tuple[Int64, Int64, Float64, Float64],
    ) -> None:  # fmt: skip
        """Make groups of kept samples those of whole windows that the floor cuts."""
        count, version, total, squares = differ
        groups.count[g] = known["count"] + count[g]
        groups.version[g] = known["version"] + version[g]
        groups.sum[g] = known["sum"] + total[g]
        groups.sum_sq[g] = known["sum_sq"] + squares[g]
        groups.min[g] = np.minimum(known["low"], groups.min[g])
        groups.max[g] = np.maximum(known["high"], groups.max[g])
        # The first sample is below the floor, unless all of what is below is in late care.
        below = known["low"] < np.inf
        groups.first_ms[g] = np.where(below, known["first_ms"], groups.first_ms[g])
        groups.first[g] = np.where(below, known["first"], groups.first[g])

    def _floors(self, live: Distinct, newest: Int64) -> Int64:
        """Choose the floors; one inside a minute only where a minute alone has too many."""
        floor, _ = followed(self.rows["floor"], newest, self._horizon_ms)
        counts = np.bincount(live.series, minlength=len(self.rows))
        ends = np.cumsum(counts)
        many = (counts > self._samples_max).nonzero()[0]
        if len(many):
            at = ends[many] - self._samples_max
            oldest = live.time[at]
            oldest = oldest + (live.time[at - 1] == oldest)
            minute = -(-oldest // MINUTE_MS) * MINUTE_MS
            inside = minute > newest[many] // MINUTE_MS * MINUTE_MS
            floor[many] = np.maximum(floor[many], np.where(inside, oldest, minute))
        # A floor that cut a minute moves on to whole ones as soon as there is a later minute.
        cut = (floor % MINUTE_MS != 0) & (floor > NEVER)
        following = -(-floor // MINUTE_MS) * MINUTE_MS
        return np.where(cut & (following <= newest), following, floor)
