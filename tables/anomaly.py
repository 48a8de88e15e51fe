"""Rule ``unusual-for-today``: values far from what is usual for the person on this day.

A sample is unusual when it lies more than ``BAND_SCALES`` scales from the median of the day so far
(see :mod:`tables.baseline`). Three unusual samples in a row on one side that span a minute open an
alert; three in a row back inside a narrower band, spanning a minute, resolve it. In between it is
updated when the deviation grows by a whole scale, a bounded number of times. For half an hour after
it was resolved, the same side stays silent unless it gets worse than it was. The minutes of an
alert count towards the day like any others: what goes on for half of the day is usual for the day.

3.5 scales is the usual cut for robust z-scores (Iglewicz & Hoaglin 1993); the narrower band is one
scale less. The severity is ``info``: nothing here knows rest from exercise, and a value that is
rare for a person is not thereby bad for them.
"""

from dataclasses import dataclass, field
from math import isnan
from struct import Struct
from typing import ClassVar, Final, Self

import numpy as np

from tables.alerts import Change, Status
from tables.baseline import Comparison, Usual
from tables.runs import Run, Samples
from tables.watch import AnomalyParameters, Watch
from tables.wording import Band, explain_unusual

RULE: Final = "unusual-for-today"
RULE_VERSION: Final = 1
BAND_SCALES: Final = 3.5
INNER_SCALES: Final = 2.5
CONFIRM_MS: Final = 60_000
MAX_UPDATES: Final = 5
COOL_DOWN_MS: Final = 30 * 60_000


@dataclass(slots=True)
class AnomalyState:
    """Where the rule stands for one person's metric. Sides are +1 (high), -1 (low), 0 (none).

    Attributes
    ----------
    side, run
        Side of the unusual samples in a row, or of the open alert; and that row.
    back
        Samples in a row back inside the narrower band, while an alert is open.
    opened_ms, revision, updates
        The open alert; revision 0 when there is none.
    reported, peak
        Deviation in scales last reported, and the greatest seen, of the open or the last alert.
    quiet_side, quiet_until_ms
        The side that stays silent, and until when.
    """

    LAYOUT: ClassVar[Struct] = Struct("<bqBqBqHBddbq")

    side: int = 0
    run: Run = field(default_factory=Run)
    back: Run = field(default_factory=Run)
    opened_ms: int = 0
    revision: int = 0
    updates: int = 0
    reported: float = 0.0
    peak: float = 0.0
    quiet_side: int = 0
    quiet_until_ms: int = 0

    @property
    def idle(self) -> bool:
        """Whether no alert is open and no row of unusual samples has begun."""
        return self.revision == 0 and self.run.count == 0

    def copy(self) -> Self:
        """Return an independent state with the same content."""
        return type(self)(
            self.side,
            self.run.copy(),
            self.back.copy(),
            self.opened_ms,
            self.revision,
            self.updates,
            self.reported,
            self.peak,
            self.quiet_side,
            self.quiet_until_ms,
        )

    def pack(self) -> bytes:
        """Return the state as bytes."""
        return self.LAYOUT.pack(
            self.side,
            self.run.start_ms,
            self.run.count,
            self.back.start_ms,
            self.back.count,
            self.opened_ms,
            self.revision,
            self.updates,
            self.reported,
            self.peak,
            self.quiet_side,
            self.quiet_until_ms,
        )

    @classmethod
    def unpack_from(cls, data: bytes, offset: int) -> tuple[Self, int]:
        """Read a state at an offset of packed bytes; return it and the offset after it."""
        side, run_start, run_count, back_start, back_count, *rest = cls.LAYOUT.unpack_from(
            data, offset
        )
        state = cls(side, Run(run_start, run_count), Run(back_start, back_count), *rest)
        return state, offset + cls.LAYOUT.size


def find_unusual(
    state: AnomalyState,
    samples: Samples,
    compared: Comparison,
    *,
    watch: Watch,
    parameters: AnomalyParameters,
    unit: str,
) -> tuple[AnomalyState, list[Change]]:
    """Apply the rule to samples.

    Parameters
    ----------
    state
        The state so far; it is left as it is.
    samples
        Samples, all later than those that the state has seen.
    compared
        What each sample is compared with.
    watch, parameters, unit
        The metric: its words, its parameters of this rule, its UCUM unit.

    Returns
    -------
    AnomalyState
        The state after the samples.
    list of Change
        What happened to alerts, in the order of the samples.
    """
    times, values, _ = samples
    scaled = compared.deviations(values)
    high = scaled > BAND_SCALES if parameters.sides != "low" else np.zeros(len(scaled), np.bool_)
    low = scaled < -BAND_SCALES if parameters.sides != "high" else np.zeros(len(scaled), np.bool_)
    unusual = (high | low).nonzero()[0]
    if state.idle and not len(unusual):
        return state, []
    following = state.copy()
    changes = []
    position = 0
    while position < len(times):
        if following.idle:
            ahead = unusual.searchsorted(position)
            if ahead == len(unusual):
                break
            position = int(unusual[ahead])
        status = _step(
            following,
            int(times[position]),
            float(scaled[position]),
            int(high[position]) - int(low[position]),
            joined=samples.joined(position),
        )
        if status is not None:
            following.revision += 1
            change = _change(
                following,
                status,
                position,
                value=float(values[position]),
                usual=compared.at(position),
                watch=watch,
                parameters=parameters,
                unit=unit,
            )
            changes.append(change)
            if status == "resolved":
                _rest(following, int(times[position]))
        position += 1
    return following, changes


def expected_band(usual: Usual, parameters: AnomalyParameters) -> Band:
    """Return the edges beyond which values are unusual; None on a side that is not watched.

    No watched metric has negative values, so the lower edge is not below 0.
    """
    reach = BAND_SCALES * usual.scale
    low = None if parameters.sides == "high" else max(usual.median - reach, 0.0)
    high = None if parameters.sides == "low" else usual.median + reach
    return low, high


def _step(
    state: AnomalyState, time: int, scaled: float, sign: int, *, joined: bool
) -> Status | None:
    """Take one sample into the state; return what became of the alert."""
    if state.revision:
        return _step_open(state, time, scaled, joined=joined)
    if sign == 0:
        state.run.clear()
        return None
    if sign != state.side:
        state.side = sign
        state.run.clear()
    state.run.extend(time, joined=joined)
    silent = sign == state.quiet_side and time < state.quiet_until_ms
    if silent and abs(scaled) < state.peak + 1:
        return None
    if not state.run.lasts(time, CONFIRM_MS):
        return None
    state.opened_ms = time
    state.reported = state.peak = abs(scaled)
    return "opened"


def _step_open(state: AnomalyState, time: int, scaled: float, *, joined: bool) -> Status | None:
    if isnan(scaled):  # a new day, and no earlier one to go by
        state.back.extend(time, joined=False)
        return "resolved"
    deviation = scaled * state.side
    if deviation <= INNER_SCALES:
        state.back.extend(time, joined=joined)
        return "resolved" if state.back.lasts(time, CONFIRM_MS) else None
    state.back.clear()
    state.peak = max(state.peak, deviation)
    if deviation >= state.reported + 1 and state.updates < MAX_UPDATES:
        state.reported = deviation
        state.updates += 1
        return "updated"
    return None


def _rest(state: AnomalyState, time: int) -> None:
    """Forget the alert that was resolved, and keep its side silent for a while."""
    state.quiet_side, state.quiet_until_ms = state.side, time + COOL_DOWN_MS
    state.side = state.opened_ms = state.revision = state.updates = 0
    state.reported = 0.0
    state.run.clear()
    state.back.clear()


def _change(
    state: AnomalyState,
    status: Status,
    index: int,
    *,
    value: float,
    usual: Usual | None,
    watch: Watch,
    parameters: AnomalyParameters,
    unit: str,
) -> Change:
    band = (None, None) if usual is None else expected_band(usual, parameters)
    run = state.back if status == "resolved" else state.run
    return Change(
        index=index,
        rule=RULE,
        rule_version=RULE_VERSION,
        severity="info",
        status=status,
        revision=state.revision,
        opened_ms=state.opened_ms,
        window_start_ms=run.start_ms,
        expected_low=band[0],
        expected_high=band[1],
        baseline_count=0 if usual is None else usual.minutes,
        explanation=explain_unusual(
            watch, unit, status, value=value, usual=usual, band=band, above=state.side > 0
        ),
    )
