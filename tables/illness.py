"""Illness pattern: days with far fewer steps than is usual for the person.

People who fall ill move less, and that shows in their steps more reliably than in their resting
heart rate: a score from both gained on the people at hand and lost on people not seen. So steps
alone make the score, and the heart rate stands beside it in the explanation.

A day counts by log(steps + 200), in which a fall to a half weighs the same for people who walk much
and little, and none is endless. It is compared with the median of the 28 days that end 3 days
earlier, so that the beginning of an illness is not part of what it is compared with, in units of
their median absolute deviation; no spread is taken below a quarter, since days differ that much
without any reason. These deficits are smoothed with a half-life of 2 days.

The score says how rare such a smoothed deficit is among healthy days: 2 means 1 day in 100, 3 means
1 in 1,000, by the quantiles of 35 people (a normal tail would claim 10 times too little). It points
at an unusual pattern; it is no diagnosis, and a holiday or bad weather can look the same.

A state is at most 640 bytes: 31 days of three numbers, and two more numbers.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import log, log10
from statistics import median
from typing import Final

BASELINE_DAYS: Final = 28
LAG_DAYS: Final = 3
MIN_DAYS: Final = 7
"""Days with a value in the baseline, before which nothing is compared."""

STEPS_SHIFT: Final = 200.0
LEAST_SPREAD: Final = 0.25
MOST: Final = 4.0
"""A single day counts by at most so many spreads."""

HALF_LIFE_DAYS: Final = 2
_KEEP: Final = 0.5 ** (1 / HALF_LIFE_DAYS)
_MAD_TO_DEVIATION: Final = 1.4826

QUANTILES: Final = (
    (0.04, 0.5), (0.48, 0.25), (0.99, 0.1), (1.41, 0.05), (2.05, 0.02), (2.45, 0.01), (3.2, 0.005)
)  # fmt: skip
"""Smoothed deficits, and the share of healthy days with such a one or a greater: 2,602 days of 35
people, more than two weeks before or six weeks after the onset of an illness. Between them, and
beyond the last, the share falls exponentially."""


@dataclass(frozen=True, slots=True)
class Day:
    """A day as it is remembered: its ordinal, its steps and its resting heart rate, if known."""

    ordinal: int
    steps: float | None
    heart_rate: float | None


@dataclass(frozen=True, slots=True)
class Illness:
    """What is kept of a person.

    Attributes
    ----------
    days
        The latest days, ascending: those within BASELINE_DAYS + LAG_DAYS of the last.
    deficit
        Smoothed deficit of steps after the last, in spreads.
    """

    days: tuple[Day, ...] = ()
    deficit: float = 0.0


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a day shows.

    Attributes
    ----------
    score
        Minus the decimal logarithm of the share of healthy days with such a deficit; 0 as long as
        there is nothing to compare with.
    deficit
        Smoothed deficit of steps, in spreads; negative for more steps than usual.
    usual_steps, usual_heart_rate
        Medians of the baseline, steps a day and beats per minute; None where there is none.
    """

    score: float
    deficit: float
    usual_steps: float | None
    usual_heart_rate: float | None


def update(
    state: Illness, ordinal: int, steps: float | None, heart_rate: float | None
) -> tuple[Illness, Pattern]:
    """Take in a day.

    Parameters
    ----------
    state
        The state so far.
    ordinal
        Ordinal of the day, later than all days before.
    steps
        Steps of the whole day; None when they are not known. Negative ones count as 0.
    heart_rate
        Resting heart rate of the day, beats per minute; None when it is not known.

    Returns
    -------
    Illness
        The state that holds from now on.
    Pattern
        What the day shows.
    """
    first = ordinal - LAG_DAYS - BASELINE_DAYS + 1
    past = tuple(day for day in state.days if day.ordinal >= first)
    baseline = [day for day in past if day.ordinal <= ordinal - LAG_DAYS]
    known = [_scale(day.steps) for day in baseline if day.steps is not None]
    pause = ordinal - state.days[-1].ordinal if state.days else 0
    deficit = state.deficit * _KEEP**pause
    ready = len(known) >= MIN_DAYS
    if ready and steps is not None:
        deficit += (1 - _KEEP) * _deficit(known, _scale(steps))
    rates = [day.heart_rate for day in baseline if day.heart_rate is not None]
    pattern = Pattern(
        score=_rarity(deficit) if ready else 0.0,
        deficit=deficit,
        usual_steps=median(max(day.steps, 0.0) for day in baseline if day.steps is not None)
        if ready
        else None,
        usual_heart_rate=median(rates) if len(rates) >= MIN_DAYS else None,
    )
    return Illness((*past, Day(ordinal, steps, heart_rate)), deficit), pattern


def _scale(steps: float) -> float:
    return log(max(steps, 0.0) + STEPS_SHIFT)


def _deficit(known: list[float], value: float) -> float:
    """Return how far a day lies below the known ones, in their spreads."""
    centre = median(known)
    spread = _MAD_TO_DEVIATION * median(abs(other - centre) for other in known)
    return min(max((centre - value) / max(spread, LEAST_SPREAD), -MOST), MOST)


def _rarity(deficit: float) -> float:
    """Return minus the decimal logarithm of the share of healthy days with such a deficit."""
    score = 0.0
    for (low, common), (high, rare) in pairwise(QUANTILES):
        score = -log10(common) + (deficit - low) / (high - low) * log10(common / rare)
        if deficit < high:
            break
    return max(score, 0.0)
