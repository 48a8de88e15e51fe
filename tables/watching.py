"""Between the state and the detectors: which samples they are shown, and what they keep."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Float64, Int64
from tables.alerts import Alert
from tables.append import Minutes
from tables.detection import Active, Fresh, expected, observe, watched
from tables.groups import Bools
from tables.layout import put
from tables.ranges import starts_of
from tables.rows import concatenated
from tables.state import State


@dataclass(slots=True)
class Shown:
    """Samples of U series that are newer than all that these have seen.

    ``slots`` (U,): the series. ``minutes``: their minutes, G in all. ``day_start`` (G,): start of
    the local day of each. ``lengths`` (U,), ``times``, ``values`` (T,): the samples.
    ``segment_first`` (k,), ``segment_device`` (k,): from which sample on which device measured.
    """

    slots: Int64
    minutes: Minutes
    day_start: Int64
    lengths: Int64
    times: Int64
    values: Float64
    segment_first: Int64
    segment_device: Int64

    def only(self, which: Bools) -> "Shown":
        """Keep some of the series."""
        if which.all():
            return self
        of_minute = which[self.minutes.series]
        of_sample = np.repeat(which, self.lengths)
        renumbered = np.cumsum(which) - 1
        sizes = np.diff(np.append(self.minutes.first, len(self.times)))[of_minute]
        minutes = Minutes(
            renumbered[self.minutes.series[of_minute]],
            self.minutes.start[of_minute],
            np.cumsum(sizes) - sizes,
            starts_of(np.diff(self.minutes.of_series)[which]),
            self.minutes.groups.take(of_minute),
        )
        kept = of_sample[self.segment_first]
        return Shown(
            self.slots[which],
            minutes,
            self.day_start[of_minute],
            self.lengths[which],
            self.times[of_sample],
            self.values[of_sample],
            (np.cumsum(of_sample) - of_sample)[self.segment_first[kept]],
            self.segment_device[kept],
        )


class Watching:
    """The detectors' part of a step; nothing is written before :meth:`write`.

    Parameters
    ----------
    state : State
        The state before.
    shown : sequence of Shown
        Samples of distinct series.
    """

    def __init__(self, state: State, shown: Sequence[Shown]) -> None:
        self._state = state
        is_watched = watched()
        parts = [one.only(is_watched[state.series_metric[one.slots]]) for one in shown]
        parts = [one for one in parts if len(one.slots)]
        slots = [one.slots for one in parts]
        self._slots = np.concatenate(slots) if slots else np.empty(0, np.int64)
        self._rows = state.detection.take(self._slots)
        self._active: dict[int, Active] = {}
        self.alerts: list[tuple[int, Alert]] = []
        if parts:
            self._active = {
                i: Active.unpack(state.active[int(self._slots[i])].pack())
                for i in self._rows["busy"].nonzero()[0].tolist()
            }
            found = observe(self._rows, self._active, self._fresh(parts))
            self.alerts = [(int(self._slots[i]), alert) for i, alert in found]
        order = np.argsort(self._slots)
        self._known = self._slots[order]
        self._low, self._high = expected(self._rows.take(order))

    def _fresh(self, parts: list[Shown]) -> Fresh:
        # Usually there is one part, and nothing has to be copied.
        one = parts[0] if len(parts) == 1 else _joined(parts)
        state, slots = self._state, self._slots
        minute_series = one.minutes.series
        firsts = np.append(one.minutes.first, len(one.times))

        def user_of(series: int) -> str:
            return state.user_ids[int(state.series_user[slots[series]])]

        def device_of(sample: int) -> str:
            series = minute_series[np.searchsorted(firsts, sample, "right") - 1]
            segment = np.searchsorted(one.segment_first, sample, "right") - 1
            code = one.segment_device[segment]
            return state.devices[int(state.series_user[slots[series]])][int(code)]

        return Fresh(
            state.series_metric[slots],
            minute_series,
            one.minutes.start,
            firsts,
            one.minutes.groups.min,
            one.minutes.groups.max,
            one.day_start,
            one.times,
            one.values,
            device_of,
            user_of,
        )

    def expected(self, slots: Int64) -> tuple[Float64, Float64]:
        """Return the bands that samples of series are compared with now; NaN where unknown."""
        if not len(self._known):
            return expected(self._state.detection[slots])
        at = np.minimum(np.searchsorted(self._known, slots), len(self._known) - 1)
        low, high = self._low[at], self._high[at]
        other = self._known[at] != slots
        if other.any():
            low[other], high[other] = expected(self._state.detection[slots[other]])
        return low, high

    def write(self) -> None:
        """Write what the detectors keep to the state."""
        state, slots = self._state, self._slots
        was_busy: NDArray[Any] = state.detection["busy"][slots] > 0
        put(state.detection, slots, self._rows)
        for i in was_busy.nonzero()[0].tolist():
            if i not in self._active:
                state.active.pop(int(slots[i]), None)
        for i, one in self._active.items():
            state.active[int(slots[i])] = one


def _joined(parts: list[Shown]) -> Shown:
    """Put parts one behind the other."""
    series_at = np.cumsum([0, *(len(one.slots) for one in parts)])
    minutes_at = np.cumsum([0, *(len(one.minutes.start) for one in parts)])
    samples_at = np.cumsum([0, *(len(one.times) for one in parts)])

    def lifted(columns: Iterable[Int64], by: Int64) -> Int64:
        return np.concatenate([column + at for column, at in zip(columns, by, strict=False)])

    minutes = [one.minutes for one in parts]
    return Shown(
        np.concatenate([one.slots for one in parts]),
        Minutes(
            lifted((m.series for m in minutes), series_at),
            np.concatenate([m.start for m in minutes]),
            lifted((m.first for m in minutes), samples_at),
            np.append(lifted((m.of_series[:-1] for m in minutes), minutes_at), minutes_at[-1]),
            concatenated([m.groups for m in minutes]),
        ),
        np.concatenate([one.day_start for one in parts]),
        np.concatenate([one.lengths for one in parts]),
        np.concatenate([one.times for one in parts]),
        np.concatenate([one.values for one in parts]),
        lifted((one.segment_first for one in parts), samples_at),
        np.concatenate([one.segment_device for one in parts]),
    )
