"""What is usual for a series: a level, and a spread by time of day, learned minute by minute.

A minute counts by the mean of its samples, and only once it has closed, that is, once a sample of
a later minute arrived; so a value is never compared with itself, and nothing depends on how
samples were cut into calls.

The level is a recursive estimate of location over the last hour with Huber's clipped influence
(Huber 1964): a minute moves it at most as if it lay CLIP spreads away. So a short episode, however
violent, does not become the measure of what follows, while a change of level that lasts is absorbed
within hours. The spread is the clipped mean distance of the minutes from that level, times the
factor that makes it the standard deviation of normal data, over a day; and separately for each
two hours of the local day, over some days, as people rest and move by the clock. The spread of a
part of the day counts the more the longer it was learned. None is taken below a floor from the
resolution of the sensor: on a flat stretch it would be 0, and the next step of the sensor unusual.
"""

from math import pi, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Float64, Int64
from schemas.windows import MINUTE_MS
from tables.detection.parameters import Parameters
from tables.detection.rows import PARTS, VERSION, Rows
from tables.layout import put

BAND_SPREADS: Final = 4.0
"""Robust z-scores are usually cut at 3.5 (Iglewicz & Hoaglin 1993); minutes of one hour are not
independent of each other, so that more of them in a row lie far out."""

CLIP: Final = 2.0
LEVEL_MINUTES: Final = 60.0
SPREAD_MINUTES: Final = 1440.0
PART_MINUTES: Final = 180.0
"""Of one part of the day: one and a half days of complete data."""

PRIOR_MINUTES: Final = 20.0
"""From so many minutes on, the spread of a part of the day counts more than that of all day."""

PART_MS: Final = 86_400_000 // PARTS
MAX_GAP: Final = 20
"""A minute stands for the time since the one before, for at most so many minutes."""

MAX_AGE_MS: Final = 7 * 86_400_000
"""After a longer pause everything is learned anew."""

SUM_UNIT: Final = 2.0**-16
"""Fine enough for every sensor. Values are rounded to it, so that sums are of integers, which no
order of addition can round differently, and it is a power of two, so that scaling is exact."""

LARGEST: Final = 2.0**20
"""Values count as at most so much: with it 65,536 samples of a minute add up exactly."""

NEVER: Final = -(2**62)
"""Latest instant and open minute of a series without any."""

MAX_COUNT: Final = 65_535

_MEAN_TO_DEVIATION: Final = sqrt(pi / 2)


def sums(values: Float64, first: Int64, greatest: float) -> Float64:
    """Return the sums of groups of values, in SUM_UNIT.

    Parameters
    ----------
    values : (T,) float64
        The values.
    first : (G,) int64
        Where each group begins.
    greatest
        The greatest absolute value.
    """
    if greatest > LARGEST:
        values = values.clip(-LARGEST, LARGEST)
    units = values * (1.0 / SUM_UNIT)
    np.rint(units, out=units)
    return np.add.reduceat(units, first)


def begin(rows: Rows, unseen: Int64, known: Parameters) -> None:
    """Prepare rows that have seen nothing.

    Parameters
    ----------
    rows
        Rows of shape (n,); changed in place.
    unseen : (k,) int64
        Which of them to prepare.
    known
        Parameters of those k.
    """
    prepared = rows.take(unseen)
    prepared["version"] = VERSION
    prepared["last_ms"] = prepared["minute"] = NEVER
    prepared["low"], prepared["high"] = -np.inf, np.inf
    prepared["calm_low"], prepared["calm_high"] = known.cut_low, known.cut_high
    put(rows, unseen, prepared)


def turn(rows: Rows, start: Int64, day: Int64, known: Parameters) -> None:
    """Close the open minute of each row, if it has one, and open another.

    Parameters
    ----------
    rows
        Rows of shape (n,) that have begun; changed in place.
    start : (n,) int64
        Start of the minute to open, epoch milliseconds, later than that of the open one.
    day : (n,) int64
        Start of its local day.
    known
        Parameters of all n.
    """
    _learn(rows, known)
    pause = start - rows["minute"]
    _forget(rows, pause > MAX_AGE_MS)
    rows["gap"] = np.minimum(pause // MINUTE_MS, MAX_GAP)
    rows["part"] = np.minimum((start - day) // PART_MS, PARTS - 1)  # a day can have 25 hours
    rows["minute"] = start
    rows["sum"] = rows["count"] = 0
    reach = BAND_SPREADS * spreads(rows, known.floor)
    serves = rows["learned"] >= known.warm_up
    low = np.where(serves, rows["level"] - reach + known.side_low, -np.inf)
    high = np.where(serves, rows["level"] + reach + known.side_high, np.inf)
    rows["low"], rows["high"] = low, high
    rows["calm_low"] = np.maximum(low, known.cut_low)
    rows["calm_high"] = np.minimum(high, known.cut_high)


def spreads(rows: Rows, floor: Float64) -> Float64:
    """Return the spread that serves in the part of the day of each row's open minute.

    Parameters
    ----------
    rows
        Rows of shape (n,).
    floor : (n,) float64
        Least spread.
    """
    each = np.arange(len(rows))
    learned = rows["part_learned"][each, rows["part"]]
    part = rows["part_spread"][each, rows["part"]].astype(np.float64)
    weight = learned / (learned + PRIOR_MINUTES)
    blend: Float64 = np.maximum(rows["spread"] + weight * (part - rows["spread"]), floor)
    return blend


def _forget(rows: Rows, which: NDArray[np.bool_]) -> None:
    """Let rows learn anew."""
    if which.any():
        rows["learned"][which] = 0
        rows["part_learned"][which] = 0


def _learn(rows: Rows, known: Parameters) -> None:
    """Take in the means of the open minutes of rows; those without one stay as they are."""
    open_ = (rows["count"] > 0) & ~np.isnan(known.floor)  # NaN: the metric has no baseline
    if open_.all():
        _take_in(rows, known.floor, known.warm_up)
    elif open_.any():
        which = open_.nonzero()[0]
        part = rows.take(which)
        _take_in(part, known.floor[which], known.warm_up[which])
        put(rows, which, part)


def _take_in(rows: Rows, floor: Float64, warm_up: Float64) -> None:
    mean = rows["sum"] * SUM_UNIT / rows["count"]
    minutes = rows["gap"].astype(np.float64)
    learned = rows["learned"]
    first = learned == 0
    level = np.where(first, mean, rows["level"])
    spread = np.where(first, floor, rows["spread"])
    rows["spread"] = spread
    # Nothing is clipped at first, so that a wild beginning is forgotten like any other value.
    most = np.where(learned < warm_up, np.inf, CLIP * spreads(rows, floor))
    distance = np.minimum(np.maximum(mean - level, -most), most)
    deviation = np.abs(distance) * _MEAN_TO_DEVIATION
    # At first the estimates are plain means, in which each value counts like those before.
    share = 1.0 / (learned + 1.0)
    rows["level"] = level + np.maximum(share, minutes / LEVEL_MINUTES) * distance
    rows["spread"] = spread + np.maximum(share, minutes / SPREAD_MINUTES) * (deviation - spread)
    rows["learned"] = learned + 1
    _take_in_part(rows, deviation, minutes)


def _take_in_part(rows: Rows, deviation: Float64, minutes: Float64) -> None:
    each, part = np.arange(len(rows)), rows["part"]
    learned = rows["part_learned"][each, part]
    share = np.maximum(1.0 / (learned + 1.0), minutes / PART_MINUTES)
    before = rows["part_spread"][each, part].astype(np.float64)
    rows["part_spread"][each, part] = before + share * (deviation - before)
    rows["part_learned"][each, part] = np.minimum(learned, MAX_COUNT - 1) + 1
