"""Uploads of many people applied at once: what the state becomes, and what follows from it.

:func:`apply` reads the state and computes; it changes nothing but the directory of who has which
slot. :meth:`Applied.commit` writes. So whatever fails in between leaves the state as it was.

Series whose samples are all newer than what they have seen go through :mod:`tables.append`, all
others through :mod:`tables.merge`. Cost is by column operations over a step: nothing is done for
a sample, or an upload, in Python, but for alerts and new days.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from schemas.columns import Float64, Int64
from tables.alerts import Alert
from tables.append import Minutes, Plan, extend, local_days, minutes_of, plan
from tables.arrivals import Arrivals, Part, Samples, by_series, samples_of
from tables.days import Calendar, days_of
from tables.floors import fold
from tables.groups import Bools
from tables.identities import Identified, resolve
from tables.layout import DAY_SLOT, devices_of, put, ranks_of, stamps
from tables.merge import Late, Merge
from tables.ranges import spans, starts_of
from tables.rows import WindowRows
from tables.state import State
from tables.watching import Shown, Watching

_TIME_BITS: Final = 43
"""Instants until the year 2248 fit."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds on what a series keeps.

    Attributes
    ----------
    horizon_ms : int
        How far behind the newest sample the floor stays, at least; it may lag by a quarter more.
    samples : int
        Most samples that are kept, whatever the horizon.
    """

    horizon_ms: int
    samples: int


@dataclass(slots=True)
class Applied:
    """What arrivals did; series are named by their slots.

    Attributes
    ----------
    windows : list of WindowRows
        Windows that changed and are exact.
    expected : list of (low, high)
        For each of them the bands that were expected, (W,) float64 each, NaN where unknown.
    late : list of Late
        Windows to be computed again from stored samples.
    alerts : list of (int, Alert)
        Revisions of alerts with the slot of their series, in order.
    duplicate, late_samples : (N,) int64
        By upload: samples that told nothing new, and those older than the floor.
    rank : (N,) int64
        The rank that each upload counts with.
    """

    windows: list[WindowRows]
    expected: list[tuple[Float64, Float64]]
    late: list[Late]
    alerts: list[tuple[int, Alert]]
    duplicate: Int64
    late_samples: Int64
    rank: Int64
    writes: list[Callable[[], None]] = field(default_factory=list)

    def commit(self) -> None:
        """Write to the state; to be called once, and before anything else is applied."""
        for write in self.writes:
            write()


def apply(state: State, arrivals: Arrivals, bounds: Bounds) -> Applied:
    """Apply uploads to the state; nothing is changed until :meth:`Applied.commit`.

    Parameters
    ----------
    state : State
        The state before.
    arrivals : Arrivals
        The uploads. Of one person they come in the order in which they are to be applied.
    bounds : Bounds
        Bounds on what a series keeps.
    """
    return _Application(state, arrivals, bounds).run()


class _Application:
    def __init__(self, state: State, arrivals: Arrivals, bounds: Bounds) -> None:
        self._state = state
        self._a = arrivals
        self._bounds = bounds
        n = len(arrivals.user)
        self._rank = state.first_ranks(arrivals.user, arrivals.upload_id, arrivals.rank)
        self._done = Applied(
            [], [], [], [], np.zeros(n, np.int64), np.zeros(n, np.int64), self._rank
        )
        self._shown: list[Shown] = []
        self._rows: list[tuple[Int64, list[WindowRows]]] = []

    def run(self) -> Applied:
        a, state = self._a, self._state
        if len(a.series_upload):
            slots = state.series_slots(a.user[a.series_upload], a.series_metric)
            part, ordered = by_series(a, slots, state.series)
            others = part.only(~ordered)
            if ordered.any():
                others = self._append(part.only(ordered), others)
            if len(others.slots):
                self._merge(others)
        watching = Watching(state, self._shown)
        self._done.alerts = watching.alerts
        self._conclude(watching)
        self._done.writes += [
            watching.write,
            lambda: state.note_uploads(a.user, a.upload_id, self._rank),
            lambda: state.dirty.__setitem__(a.user, True),
        ]
        return self._done

    def _calendars(self, part: Part) -> list[Calendar]:
        users = self._state.series_user[part.slots]
        return [self._state.calendars[user] for user in users.tolist()]

    # Series whose samples are all new

    def _append(self, part: Part, others: Part) -> Part:
        """Apply a part whose samples are all new; return the others with what did not fit."""
        samples = samples_of(self._a, part)
        minutes = minutes_of(
            part.of_series, samples.length, self._rank[samples.upload], samples.times,
            samples.values,
        )  # fmt: skip
        lengths = np.add.reduceat(samples.length, part.of_series[:-1])
        planned = plan(
            part.rows, self._state.pool.kept(part.slots), lengths, minutes,
            horizon_ms=self._bounds.horizon_ms, samples_max=self._bounds.samples,
        )  # fmt: skip
        days = local_days(part.rows, self._calendars(part), minutes)
        fits = planned.fits & ~self._hard(part, planned, minutes, days[0])
        if not fits.all():
            others = others.with_others(part.only(~fits))
            return self._append(part.only(fits), others) if fits.any() else others
        self._fold(part, planned)
        self._rows.append((part.slots, extend(part.rows, minutes, days, planned)))
        self._keep(part, planned, minutes, samples, lengths)
        self._shown.append(
            Shown(
                part.slots, minutes, days[0], lengths, samples.times, samples.values,
                starts_of(samples.length)[:-1], self._a.device[samples.upload],
            )
        )  # fmt: skip
        return others

    def _hard(self, part: Part, planned: Plan, minutes: Minutes, day_start: Int64) -> Bools:
        """Return which series are not for this: they need what :mod:`tables.merge` can do.

        That is a new day of a person who changes zones, as days may then be of any length, and a
        sample too far from the oldest that is kept.
        """
        last = minutes.of_series[1:] - 1
        hard = self._state.pool.spans_too_long(part.slots, minutes.groups.last_ms[last])
        hard &= ~planned.drop_all
        new_day = day_start[last] != part.rows["windows"]["start"][:, DAY_SLOT]
        for i in new_day.nonzero()[0].tolist():
            calendar = self._state.calendars[int(self._state.series_user[part.slots[i]])]
            hard[i] |= len(calendar.zones) > 1
        return hard

    def _fold(self, part: Part, planned: Plan) -> None:
        """Note what must be known of samples that fall below the floor while others stay."""
        pool = self._state.pool
        partly = planned.partly & (pool.kept(part.slots) > 0)
        if not partly.any():
            return
        which = partly.nonzero()[0]
        slots = part.slots[which]
        times, values, _ = pool.read(slots)
        lengths = pool.kept(slots)
        owner = np.repeat(np.arange(len(slots)), lengths)
        rows, floor = part.rows.take(which), planned.floor[which]
        fold(rows["windows"], owner, times, values, floor)
        put(part.rows, which, rows)
        counts = np.bincount(owner[times < floor[owner]], minlength=len(slots))
        self._done.writes.append(lambda: pool.drop(slots, counts))

    def _keep(
        self, part: Part, planned: Plan, minutes: Minutes, samples: Samples, lengths: Int64
    ) -> None:
        """Keep of the samples those above the floor, which is where a minute begins."""
        state = self._state
        stamp = stamps(self._rank, self._a.device)[samples.upload]
        stamp = np.repeat(stamp, samples.length)
        times, values = samples.times, samples.values
        above = minutes.start >= planned.floor[minutes.series]
        if not above.all():
            sizes = np.diff(np.append(minutes.first, len(times)))
            kept = np.add.reduceat(np.where(above, sizes, 0), minutes.of_series[:-1])
            at = spans(np.cumsum(lengths) - kept, kept)
            times, values, stamp, lengths = times.take(at), values.take(at), stamp.take(at), kept
        cleared = part.slots[planned.drop_all]

        def write() -> None:
            state.pool.clear(cleared)
            state.pool.append(part.slots, lengths, times, values, stamp)
            put(state.series, part.slots, part.rows)

        self._done.writes.append(write)

    # Series whose samples may be known

    def _merge(self, part: Part) -> None:
        """Apply a part whose samples may be known, out of order or late."""
        a, state, bounds, done = self._a, self._state, self._bounds, self._done
        samples = samples_of(a, part)
        of_segment = np.repeat(np.arange(len(part.slots)), np.diff(part.of_series))
        upload = np.repeat(samples.upload, samples.length)
        coming = Identified(
            np.repeat(of_segment, samples.length), samples.times, a.device[upload],
            self._rank[upload], samples.values, np.repeat(part.segments, samples.length),
        )  # fmt: skip
        newest = part.rows["newest"].copy()
        merge = Merge(part.rows, self._calendars(part), bounds.horizon_ms, bounds.samples)
        late = merge.set_late_aside(coming)
        np.add.at(done.late_samples, upload[late], 1)
        kept_lengths = state.pool.kept(part.slots)
        times, values, stamp = state.pool.read(part.slots)
        kept = Identified(
            np.repeat(np.arange(len(part.slots)), kept_lengths), times, devices_of(stamp),
            ranks_of(stamp), values, np.full(len(times), -1),
        )  # fmt: skip
        both = kept.followed_by(coming.take(~late))
        distinct, nothing_new = resolve(both)
        np.add.at(done.duplicate, upload[~late][nothing_new[len(kept) :]], 1)
        merge.extend(distinct)
        distinct = distinct.take(distinct.time >= part.rows["floor"][distinct.series])
        self._rows.append((part.slots, merge.changed))
        done.late += [Late(part.slots[x.series], x.size, x.start, x.end) for x in merge.late]

        def write() -> None:
            state.pool.clear(part.slots)
            lengths = np.bincount(distinct.series, minlength=len(part.slots))
            stamp = stamps(distinct.rank, distinct.device)
            state.pool.append(part.slots, lengths, distinct.time, distinct.value, stamp)
            put(state.series, part.slots, part.rows)

        done.writes.append(write)
        self._show_merged(part, coming, samples.length, newest)

    def _show_merged(
        self, part: Part, coming: Identified, segment_length: Int64, newest: Int64
    ) -> None:
        """Show the detectors the samples that were newer than all before them when applied."""
        last = coming.time[np.cumsum(segment_length) - 1]
        of_segment = np.repeat(np.arange(len(part.slots)), np.diff(part.of_series))
        before = np.empty_like(last)
        before[1:] = last[:-1]
        before[part.of_series[:-1]] = newest
        # The running maximum of each series: series lie farther apart than times can.
        lift = of_segment << _TIME_BITS
        seen = np.maximum.accumulate(np.maximum(before, -1) + lift) - lift
        fresh = coming.time > np.repeat(seen, segment_length)
        if not fresh.any():
            return
        chosen = coming.take(fresh)
        lengths = np.bincount(chosen.series, minlength=len(part.slots))
        some = lengths > 0
        segments = np.add.reduceat(
            fresh.astype(np.int64), np.cumsum(segment_length) - segment_length
        )
        device = coming.device[np.cumsum(segment_length) - 1]
        lengths = lengths[some]
        minutes = minutes_of(
            np.arange(len(lengths) + 1), lengths, np.zeros_like(lengths), chosen.time, chosen.value
        )
        calendars = self._calendars(part)
        whose = some.nonzero()[0][minutes.series]
        day_start, _ = days_of(calendars, whose, minutes.start)
        self._shown.append(
            Shown(
                part.slots[some], minutes, day_start, lengths, chosen.time, chosen.value,
                (np.cumsum(segments) - segments)[segments > 0], device[segments > 0],
            )
        )  # fmt: skip

    def _conclude(self, watching: Watching) -> None:
        """Tell windows from late requests, name their series by slot, and add the bands."""
        for slots, found in self._rows:
            for one in found:
                one.series = slots[one.series]
                exact = one
                if one.in_care.any():
                    exact, late = one.take(~one.in_care), one.take(one.in_care)
                    size = np.full(len(late), one.size)
                    self._done.late.append(Late(late.series, size, late.start, late.end))
                if len(exact):
                    self._done.windows.append(exact)
                    self._done.expected.append(watching.expected(exact.series))
