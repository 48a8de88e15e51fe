"""NightSignal: an alert from two nights in a row with a raised resting heart rate.

The rule of Alavi et al., "Real-time alerting system for COVID-19 and other stress events using
wearable data", Nature Medicine 28 (2022). Of the samples from 00:00 to 06:59 of a day, cut to whole
beats, the mean is taken, again cut to a whole beat. It is compared with the median of such means of
all days up to and with this one, cut to a whole beat as well: 3 beats or more above it are yellow,
4 or more red. A day alerts when its night and that of the day before are both raised: red when both
are red, else yellow. A single day without a night between two with one counts as if it had the mean
of its neighbours.

The published program fills such a gap only when one more night follows directly. A stream cannot
wait for it: here the gap is filled at once, and taken out of later medians if no night follows.
The alerts differ only on a day after a gap that is itself followed by a day without a night.

A state is at most 2.5 KB (one 4-byte counter for each half beat from 0 to 300, and a few numbers).
"""

from dataclasses import dataclass, field, replace
from typing import Final

NIGHT_HOURS: Final = 7
"""The night is what lies before this hour of the local day."""

RED_BEATS: Final = 4
YELLOW_BEATS: Final = 3
MAX_BEATS: Final = 300
"""A rate above is a defect of the sensor."""

GREEN: Final = 0
YELLOW: Final = 1
RED: Final = 2

NEVER: Final = -(10**6)
"""Ordinal of the day before the first."""


@dataclass(frozen=True, slots=True)
class Nights:
    """Nights that are over.

    Attributes
    ----------
    counts
        How many had each mean, by half beats: filled gaps can lie between two whole beats.
    day
        Ordinal of the day of the latest.
    mean
        Its mean, beats per minute.
    level
        How far it was raised: GREEN, YELLOW or RED.
    filled
        Half beats of the gap that was filled before it; None where there was none.
    """

    counts: tuple[int, ...] = (0,) * (2 * MAX_BEATS + 1)
    day: int = NEVER
    mean: int = 0
    level: int = GREEN
    filled: int | None = None


@dataclass(frozen=True, slots=True)
class NightSignal:
    """What is kept of a person.

    Attributes
    ----------
    before
        The nights before the latest.
    now
        The nights with the latest, as if it were over.
    total, count
        Sum and number of the latest night's samples.
    alert
        Its alert so far: GREEN, YELLOW or RED.
    """

    before: Nights = field(default_factory=Nights)
    now: Nights = field(default_factory=Nights)
    total: int = 0
    count: int = 0
    alert: int = GREEN

    @property
    def median(self) -> int:
        """Median of the nights, beats per minute."""
        return _median(self.now.counts)


def update(state: NightSignal, day: int, hour: int, bpm: float | None) -> tuple[NightSignal, int]:
    """Take in a sample of the resting heart rate.

    Parameters
    ----------
    state
        The state so far.
    day
        Ordinal of the sample's local day, not before that of an earlier sample.
    hour
        Its local hour.
    bpm
        Beats per minute; None, or a rate outside 0 to MAX_BEATS, is passed over.

    Returns
    -------
    NightSignal
        The state that holds from now on.
    int
        The alert of the day: GREEN, YELLOW or RED. It is final once the night is over, before that
        it is the one that the night's samples so far would give.
    """
    if hour < NIGHT_HOURS and bpm is not None and 0 <= bpm <= MAX_BEATS:
        state = _take_in(state, day, int(bpm))
    return state, state.alert if state.now.day == day else GREEN


def _take_in(state: NightSignal, day: int, bpm: int) -> NightSignal:
    if day != state.now.day:
        state = NightSignal(before=_confirmed(state.now, day))
    total, count = state.total + bpm, state.count + 1
    mean = total // count
    if day == state.now.day and mean == state.now.mean:
        return replace(state, total=total, count=count)
    now, alert = _judge(state.before, day, mean)
    return NightSignal(state.before, now, total, count, alert)


def _confirmed(nights: Nights, day: int) -> Nights:
    """Take the latest gap out again unless ``day`` is the day after the latest night."""
    if nights.filled is None or day - nights.day == 1:
        return nights
    return replace(nights, counts=_changed(nights.counts, nights.filled, -1))


def _judge(before: Nights, day: int, mean: int) -> tuple[Nights, int]:
    """Add a night with the mean ``mean``; return also its alert."""
    filled = None
    if day - before.day == 2:
        filled = before.mean + mean
        before = _added(before, day - 1, filled)
    now = replace(_added(before, day, 2 * mean), mean=mean, filled=filled)
    return now, min(before.level, now.level) if before.day == day - 1 else GREEN


def _added(nights: Nights, day: int, halves: int) -> Nights:
    counts = _changed(nights.counts, halves, 1)
    above = halves - 2 * _median(counts)
    level = RED if above >= 2 * RED_BEATS else YELLOW if above >= 2 * YELLOW_BEATS else GREEN
    return replace(nights, counts=counts, day=day, level=level)


def _changed(counts: tuple[int, ...], halves: int, by: int) -> tuple[int, ...]:
    return (*counts[:halves], counts[halves] + by, *counts[halves + 1 :])


def _median(counts: tuple[int, ...]) -> int:
    """Return the median of counted half beats, cut to a whole beat."""
    total = sum(counts)
    return (_at(counts, (total - 1) // 2) + _at(counts, total // 2)) // 4


def _at(counts: tuple[int, ...], rank: int) -> int:
    """Return the half beats that stand at a rank, from 0."""
    below = 0
    for halves, count in enumerate(counts):
        below += count
        if below > rank:
            return halves
    return 0
