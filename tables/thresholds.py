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
from tables.limits import MAX_LEVELS, Side
from tables.runs import Run, Samples
from tables.watch import Watch
from tables.wording import explain_limit, explain_return

RULE_VERSION: Final = 1


@dataclass(slots=True)
class SideState:
    """Where one side of one person's metric stands.

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

    level: int = 0
    runs: tuple[Run, Run, Run] = field(default_factory=lambda: (Run(), Run(), Run()))
    opened_ms: int = 0
    revision: int = 0

    @property
    def idle(self) -> bool:
        """Whether no alert is open and no row of samples beyond a limit has begun."""
        return self.level == 0 and not any(run.count for run in self.runs)

    def copy(self) -> Self:
        """Return an independent state with the same content."""
        first, second, third = self.runs
        runs = first.copy(), second.copy(), third.copy()
        return type(self)(self.level, runs, self.opened_ms, self.revision)

    def pack(self) -> bytes:
        """Return the state as bytes."""
        runs = b"".join(Run.LAYOUT.pack(run.start_ms, run.count) for run in self.runs)
        return self.LAYOUT.pack(self.level, self.opened_ms, self.revision) + runs

    @classmethod
    def unpack_from(cls, data: bytes, offset: int) -> tuple[Self, int]:
        """Read a state at an offset of packed bytes; return it and the offset after it."""
        level, opened_ms, revision = cls.LAYOUT.unpack_from(data, offset)
        offset += cls.LAYOUT.size
        end = offset + MAX_LEVELS * Run.LAYOUT.size
        first, second, third = (Run(*f) for f in Run.LAYOUT.iter_unpack(data[offset:end]))
        return cls(level, (first, second, third), opened_ms, revision), end


class _Move(NamedTuple):
    """The sample at ``position`` changed the level from ``before``."""

    before: int
    position: int
    time: int
    value: float
    window_start_ms: int


def find_crossings(
    state: SideState, samples: Samples, *, side: Side, watch: Watch, unit: str
) -> tuple[SideState, list[Change]]:
    """Apply the limits of one side to samples.

    Parameters
    ----------
    state
        The state so far; it is left as it is.
    samples
        Samples, all later than those that the state has seen, rounded to the metric's precision.
    side, watch, unit
        The limits, the metric's words and its UCUM unit.

    Returns
    -------
    SideState
        The state after the samples.
    list of Change
        What happened to alerts, in the order of the samples.
    """
    times, values, _ = samples
    crossings = side.crossings(values)
    if state.idle and not len(crossings):
        return state, []
    following = state.copy()
    changes = []
    position = 0
    while position < len(times):
        if following.idle:
            ahead = crossings.searchsorted(position)
            if ahead == len(crossings):
                break
            position = int(crossings[ahead])
        time, value = int(times[position]), float(values[position])
        before = following.level
        start = _step(following, side, time, value, joined=samples.joined(position))
        if following.level != before:
            move = _Move(before, position, time, value, start)
            changes.append(_change(following, move, side=side, watch=watch, unit=unit))
        position += 1
    return following, changes


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
