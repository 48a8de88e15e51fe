"""Rules ``threshold-low`` and ``threshold-high``: values beyond fixed limits, with hysteresis.

The limits of one side of a metric are levels of one alert, from the mildest on. A level is reached
when the values have been beyond its limit for its hold time (a single value where that is 0), and
left when they have been back beyond its margin for its clear time. Reaching a level implies the
milder ones, leaving it the more severe. So the alert is opened at some level, its severity rises
and falls by updates, and it is resolved when the mildest level is left.

Values are rounded to the metric's precision before they are compared, as NEWS2 has it: what a
person reads is what was judged. With a hold time, single readings open nothing; that is the price
of not alarming at every artefact of a sensor that measures all the time.

:mod:`tables.limits` holds the limits.
"""

from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar, Final, NamedTuple, Self

from tables.alerts import Change, Status
from tables.detection.stretch import Stretch
from tables.detection.wording import explain_limit, explain_return
from tables.limits import MAX_LEVELS, Level, Side
from tables.runs import Run
from tables.watch import Watch

RULE_VERSION: Final = 1


@dataclass(slots=True)
class SideState:
    """Where one side of one series stands.

    Attributes
    ----------
    level
        How many levels are reached; 0 when no alert is open.
    runs
        For each level that is reached the samples in a row that are back beyond its margin, for
        each other level those beyond its limit.
    opened_ms, revision
        The open alert.
    """

    LAYOUT: ClassVar[Struct] = Struct("<BqI")
    SIZE: ClassVar[int] = LAYOUT.size + MAX_LEVELS * Run.LAYOUT.size

    level: int = 0
    runs: tuple[Run, Run, Run] = field(default_factory=lambda: (Run(), Run(), Run()))
    opened_ms: int = 0
    revision: int = 0

    @property
    def idle(self) -> bool:
        """Whether no alert is open and no row of samples beyond a limit has begun."""
        return self.level == 0 and not any(run.count for run in self.runs)

    def pack(self) -> bytes:
        """Return the state as bytes."""
        runs = b"".join(Run.LAYOUT.pack(run.start_ms, run.count) for run in self.runs)
        return self.LAYOUT.pack(self.level, self.opened_ms, self.revision) + runs

    @classmethod
    def unpack_from(cls, data: bytes, offset: int) -> Self:
        """Read a state of SIZE bytes at an offset of packed bytes."""
        level, opened_ms, revision = cls.LAYOUT.unpack_from(data, offset)
        runs = data[offset + cls.LAYOUT.size : offset + cls.SIZE]
        first, second, third = (Run(*fields) for fields in Run.LAYOUT.iter_unpack(runs))
        return cls(level, (first, second, third), opened_ms, revision)


class _Move(NamedTuple):
    """The sample at ``position`` changed the level from ``before``."""

    before: int
    position: int
    time: int
    value: float
    window_start_ms: int


def find_crossings(
    state: SideState, stretch: Stretch, *, side: Side, watch: Watch, unit: str
) -> list[Change]:
    """Apply the limits of one side to samples, and take them into the state.

    Parameters
    ----------
    state
        The state so far.
    stretch
        Samples, all later than those that the state has seen.
    side, watch, unit
        The limits, the metric's words and its UCUM unit.

    Returns
    -------
    list of Change
        What happened to alerts, in the order of the samples.
    """
    if _at_once(state, stretch, side):
        return []
    changes = []
    for position, (time, value) in enumerate(zip(stretch.times, stretch.rounded, strict=True)):
        before = state.level
        start = _step(state, side, time, value, joined=position > 0 or stretch.joined)
        if state.level != before:
            move = _Move(before, stretch.first + position, time, value, start)
            changes.append(_change(state, move, side=side, watch=watch, unit=unit))
    return changes


def _at_once(state: SideState, stretch: Stretch, side: Side) -> bool:
    """Take in a stretch as a whole, where that is surely the same as one sample after another.

    That is so where each level's condition holds for all samples, but not yet for long enough, or
    for none of them. Returns whether it was done; if not, the state is as before.
    """
    outcomes = []
    for number, (run, level) in enumerate(zip(state.runs, side.levels, strict=False)):
        extended = _extended(run, level, stretch, side, active=number < state.level)
        if extended is None:
            return False
        outcomes.append(extended)
    for run, (start_ms, count) in zip(state.runs, outcomes, strict=False):
        run.start_ms, run.count = start_ms, count
    return True


def _extended(
    run: Run, level: Level, stretch: Stretch, side: Side, *, active: bool
) -> tuple[int, int] | None:
    """Return start and count of a run after a stretch, or None where samples must be looked at."""
    holds = level.left if active else level.reached
    least, greatest = stretch.extremes
    # Of the two extremes, one is the first to meet the condition and one the last.
    first, last = (least, greatest) if side.low != active else (greatest, least)
    if not holds(first):
        return 0, 0
    duration = level.clear_ms if active else level.hold_ms
    if duration == 0 or not holds(last):
        return None
    whole = stretch.extend(run)
    return None if whole.lasts(stretch.times[-1], duration) else (whole.start_ms, whole.count)


def _step(state: SideState, side: Side, time: int, value: float, *, joined: bool) -> int:
    """Take one sample into the state; return where the row began that changed the level."""
    reached = left = None
    for number, level in enumerate(side.levels):
        run = state.runs[number]
        active = number < state.level
        if level.left(value) if active else level.reached(value):
            run.extend(time, joined=joined)
        else:
            run.clear()
        if run.lasts(time, level.clear_ms if active else level.hold_ms):
            if active and left is None:
                left = number
            elif not active:
                reached = number
    if reached is not None:
        target, start = reached + 1, state.runs[reached].start_ms
    elif left is not None:
        target, start = left, state.runs[left].start_ms
    else:
        return time
    for number in range(min(target, state.level), max(target, state.level)):
        state.runs[number].clear()
    state.level = target
    return start


def _change(state: SideState, move: _Move, *, side: Side, watch: Watch, unit: str) -> Change:
    """Describe a change of level, and move the alert's life on."""
    status: Status = "updated"
    if move.before == 0:
        status = "opened"
        state.opened_ms, state.revision = move.time, 0
    elif state.level == 0:
        status = "resolved"
    state.revision += 1
    current = side.levels[state.level - 1] if state.level else None
    if current is not None and state.level > move.before:
        level = current
        explanation = explain_limit(
            watch,
            unit,
            move.value,
            comparison=level.comparison,
            limit=level.limit,
            duration_ms=level.hold_ms,
        )
    else:
        level = side.levels[state.level]  # the mildest of those that were left
        explanation = explain_return(
            watch,
            unit,
            move.value,
            comparison=level.comparison,
            limit=level.limit,
            remaining=current.limit if current else None,
        )
    change = Change(
        index=move.position,
        rule=side.rule,
        rule_version=RULE_VERSION,
        # A resolved alert keeps the severity that it had.
        severity=(current or side.levels[move.before - 1]).severity,
        status=status,
        revision=state.revision,
        opened_ms=state.opened_ms,
        window_start_ms=move.window_start_ms,
        expected_low=level.limit if side.low else None,
        expected_high=None if side.low else level.limit,
        baseline_count=0,
        explanation=explanation,
    )
    if status == "resolved":
        state.opened_ms = state.revision = 0
    return change
