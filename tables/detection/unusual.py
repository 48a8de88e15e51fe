"""Rule ``unusual-value``: values far from what is usual for the person at this time.

What is usual is learned from the series (see :mod:`tables.detection.baseline`). A sample is unusual
when it lies more than BAND_SPREADS spreads from the level. Three unusual samples in a row on one
side that span a minute open an alert; three in a row back inside a narrower band, spanning a
minute, resolve it. In between it is updated when the deviation grows by a whole spread, a bounded
number of times. For half an hour after it was resolved, the same side stays silent unless it gets
worse than it was. The minutes of an alert are learned from like any others: what goes on for hours
is usual.

The narrower band is one spread less. The severity is ``info``: nothing here knows rest from
exercise, and a value that is rare for a person is not thereby bad for them.
"""

import math
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar, Final, NamedTuple, Self

import numpy as np

from tables.alerts import Change, Status
from tables.detection.baseline import BAND_SPREADS
from tables.detection.parameters import Watched
from tables.detection.stretch import Stretch
from tables.detection.wording import Band, explain_unusual
from tables.runs import Run

RULE: Final = "unusual-value"
RULE_VERSION: Final = 2
INNER_SPREADS: Final = BAND_SPREADS - 1.0
CONFIRM_MS: Final = 60_000
MAX_UPDATES: Final = 5
COOL_DOWN_MS: Final = 30 * 60_000


class Usual(NamedTuple):
    """What the samples of a minute are compared with.

    Attributes
    ----------
    low, high
        The band; infinite where there is no edge.
    level, spread
        What was learned; the spread is that of the time of day.
    minutes
        From how many minutes; 0 while nothing is known.
    """

    low: float
    high: float
    level: float
    spread: float
    minutes: int

    @classmethod
    def of(cls, row: np.void, watched: Watched) -> Self | None:
        """Read it from a row of dtype ROW; None for a metric without this rule."""
        if watched.watch.anomaly is None:
            return None
        low, high, level = float(row["low"]), float(row["high"]), float(row["level"])
        return cls(
            low=low,
            high=high,
            level=level,
            spread=min(high - level, level - low) / BAND_SPREADS,
            minutes=int(row["learned"]) if low > -math.inf or high < math.inf else 0,
        )

    def deviation(self, value: float, side: int) -> float:
        """Return how many spreads a value lies from the level on a side."""
        return side * (value - self.level) / self.spread

    @property
    def band(self) -> Band:
        """The band as alerts show it; no watched metric has negative values."""
        low = max(self.low, 0.0) if self.low > -math.inf else None
        return low, self.high if self.high < math.inf else None


@dataclass(slots=True)
class UnusualState:
    """Where the rule stands for one series with unusual values. Sides are +1, -1, 0 (none).

    Attributes
    ----------
    side, run
        Side of the unusual samples in a row, or of the open alert; and that row.
    back
        Samples in a row back inside the narrower band, while an alert is open.
    opened_ms, revision, updates
        The open alert; revision 0 when there is none.
    reported, peak
        Deviation last reported, and the greatest seen, of the open alert.
    """

    LAYOUT: ClassVar[Struct] = Struct("<bqBqBqIBdd")

    side: int = 0
    run: Run = field(default_factory=Run)
    back: Run = field(default_factory=Run)
    opened_ms: int = 0
    revision: int = 0
    updates: int = 0
    reported: float = 0.0
    peak: float = 0.0

    @property
    def idle(self) -> bool:
        """Whether no alert is open and no row of unusual samples has begun."""
        return self.revision == 0 and self.run.count == 0

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
        )

    @classmethod
    def unpack_from(cls, data: bytes, offset: int) -> Self:
        """Read a state at an offset of packed bytes."""
        side, *runs_and_rest = cls.LAYOUT.unpack_from(data, offset)
        run_start, run_count, back_start, back_count, *rest = runs_and_rest
        return cls(side, Run(run_start, run_count), Run(back_start, back_count), *rest)

    def clear(self) -> None:
        """Forget everything."""
        self.side = self.opened_ms = self.revision = self.updates = 0
        self.reported = self.peak = 0.0
        self.run.clear()
        self.back.clear()


class Quiet(NamedTuple):
    """The silence after the latest episode: its side, its end, and the episode's peak."""

    side: int
    until_ms: int
    peak: float

    def covers(self, side: int, time_ms: int, deviation: float) -> bool:
        """Whether an unusual value is to be passed over."""
        return side == self.side and time_ms < self.until_ms and deviation < self.peak + 1


def find_unusual(
    state: UnusualState, quiet: Quiet, stretch: Stretch, *, usual: Usual, watched: Watched
) -> tuple[Quiet, list[Change]]:
    """Apply the rule to samples, and take them into the state.

    Parameters
    ----------
    state
        The state so far.
    quiet
        The silence so far.
    stretch
        Samples, all later than those that the state has seen.
    usual
        What they are compared with.
    watched
        The metric.

    Returns
    -------
    Quiet
        The silence that holds from now on.
    list of Change
        What happened to alerts, in the order of the samples.
    """
    if _at_once(state, stretch, usual):
        return quiet, []
    changes = []
    for position, (time, value) in enumerate(zip(stretch.times, stretch.values, strict=True)):
        joined = position > 0 or stretch.joined
        if state.revision:
            status = _step_open(state, usual, time, value, joined=joined)
        else:
            status = _step_calm(state, quiet, usual, time, value, joined=joined)
        if status is None:
            continue
        state.revision += 1
        index = stretch.first + position
        changes.append(_change(state, status, index, value=value, usual=usual, watched=watched))
        if status == "resolved":
            quiet = Quiet(state.side, time + COOL_DOWN_MS, state.peak)
            state.clear()
    return quiet, changes


def _at_once(state: UnusualState, stretch: Stretch, usual: Usual) -> bool:
    """Take in a stretch as a whole, where all its samples agree and change no alert.

    Returns whether it was done; if not, the state is as before.
    """
    least, greatest = min(stretch.values), max(stretch.values)
    if not state.revision:
        if usual.low <= least and greatest <= usual.high:
            state.clear()
            return True
        return False
    if not usual.minutes:
        return False
    farthest, nearest = (greatest, least) if state.side > 0 else (least, greatest)
    deviation = usual.deviation(farthest, state.side)
    grown = deviation >= state.reported + 1 and state.updates < MAX_UPDATES
    if grown or usual.deviation(nearest, state.side) <= INNER_SPREADS:
        return False
    state.back.clear()
    state.peak = max(state.peak, deviation)
    return True


def _step_calm(
    state: UnusualState, quiet: Quiet, usual: Usual, time: int, value: float, *, joined: bool
) -> Status | None:
    """Take one sample into the state while no alert is open; return whether it opened one."""
    side = int(value > usual.high) - int(value < usual.low)
    if side == 0:
        state.clear()
        return None
    if side != state.side:
        state.side = side
        state.run.clear()
    state.run.extend(time, joined=joined)
    deviation = usual.deviation(value, side)
    if not state.run.lasts(time, CONFIRM_MS) or quiet.covers(side, time, deviation):
        return None
    state.opened_ms = time
    state.reported = state.peak = deviation
    return "opened"


def _step_open(
    state: UnusualState, usual: Usual, time: int, value: float, *, joined: bool
) -> Status | None:
    """Take one sample into the state of an open alert; return what became of it."""
    if not usual.minutes:
        state.back.extend(time, joined=False)
        return "resolved"
    deviation = usual.deviation(value, state.side)
    if deviation <= INNER_SPREADS:
        state.back.extend(time, joined=joined)
        return "resolved" if state.back.lasts(time, CONFIRM_MS) else None
    state.back.clear()
    state.peak = max(state.peak, deviation)
    if deviation >= state.reported + 1 and state.updates < MAX_UPDATES:
        state.reported = deviation
        state.updates += 1
        return "updated"
    return None


def _change(
    state: UnusualState,
    status: Status,
    index: int,
    *,
    value: float,
    usual: Usual,
    watched: Watched,
) -> Change:
    run = state.back if status == "resolved" else state.run
    band = usual.band if usual.minutes else (None, None)
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
        baseline_count=usual.minutes,
        explanation=explain_unusual(
            watched.watch,
            watched.metric.unit,
            status,
            value=value,
            level=usual.level,
            minutes=usual.minutes,
            band=band,
            above=state.side > 0,
        ),
    )
