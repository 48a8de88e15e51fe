"""What is usual for a person today: median and spread of the day's minutes so far.

A minute counts by the mean of its samples and only once it has closed, that is, once a later sample
arrived; so a value is never compared with itself, and the figures do not depend on how samples were
batched. The means are kept as a bounded histogram over steps of the metric's resolution, from which
median and median absolute deviation (MAD) come out exact to that step. Sums are integers of steps,
which no order of addition can round differently.

The scale is 1.4826 · MAD, which estimates the standard deviation of normal data (Rousseeuw & Croux
1993), and never below a floor from the metric's resolution. Before a day has warmed up, median and
scale of the previous day with data serve. While they are known, today's scale is not taken below
the previous day's: the hours after midnight are calm, and would make waking up look unusual.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import ClassVar, Final, NamedTuple, Self

import numpy as np

from app.errors import InvariantError
from schemas.columns import Float64, Int64
from schemas.windows import MINUTE_MS
from tables.histogram import Histogram
from tables.runs import Samples
from tables.watch import AnomalyParameters

MAD_TO_SIGMA: Final = 1.4826
MAX_AGE_MS: Final = 7 * 86_400_000
"""How long after its end a day may still serve as the previous one."""


class Usual(NamedTuple):
    """What is usual: ``median`` and ``scale`` in the metric's unit, over ``minutes`` of data.

    ``today`` says whether these are minutes of the day in question or of an earlier one.
    """

    median: float
    scale: float
    minutes: int
    today: bool = True


NOTHING: Final = Usual(0.0, 0.0, 0)
UNKNOWN: Final = Usual(float("nan"), float("nan"), 0, today=False)


class Comparison(NamedTuple):
    """What each of n samples is compared with: ``usual[which[i]]`` for sample i.

    Samples of one minute share an entry of ``usual``; ``which`` is of shape (n,).
    """

    usual: list[Usual]
    which: Int64

    def at(self, index: int) -> Usual | None:
        """Return what one sample is compared with, or None while nothing is known."""
        usual = self.usual[self.which[index]]
        return usual if usual.minutes else None

    def deviations(self, values: Float64) -> Float64:
        """Return (value - median) / scale of each sample; NaN while nothing is known."""
        median = np.array([usual.median for usual in self.usual])
        scale = np.array([usual.scale for usual in self.usual])
        deviations: Float64 = (values - median[self.which]) / scale[self.which]
        return deviations


@dataclass(slots=True, eq=False)
class Baseline:
    """The baseline of one person's metric.

    Attributes
    ----------
    day_start_ms, day_end_ms
        The local day it is about; both 0 before the first sample.
    closed
        Means of the closed minutes of the day, in quanta.
    minute, minute_sum, minute_count
        The open minute (its number since the epoch), sum of its values in quanta, their number.
    usual
        Figures over the closed minutes, as of the last one closed; the scale without floor.
    previous, previous_end_ms
        The same of the previous day that had warmed up, and when that day ended.
    """

    HEADER: ClassVar[Struct] = Struct("<qqqqiddHddHq")

    day_start_ms: int = 0
    day_end_ms: int = 0
    closed: Histogram = field(default_factory=Histogram)
    minute: int = 0
    minute_sum: int = 0
    minute_count: int = 0
    usual: Usual = NOTHING
    previous: Usual = NOTHING
    previous_end_ms: int = 0

    def copy(self) -> Self:
        """Return an independent baseline with the same content."""
        return type(self)(
            self.day_start_ms,
            self.day_end_ms,
            self.closed,
            self.minute,
            self.minute_sum,
            self.minute_count,
            self.usual,
            self.previous,
            self.previous_end_ms,
        )

    def reference(self, rule: AnomalyParameters) -> Usual | None:
        """Return what a sample of now is compared with, or None while nothing is known."""
        previous = self.previous
        known = previous.minutes > 0 and self.day_start_ms - self.previous_end_ms <= MAX_AGE_MS
        if self.usual.minutes >= rule.warm_up_minutes:
            scale = max(self.usual.scale, previous.scale if known else 0.0, rule.scale_floor)
            return self.usual._replace(scale=scale)
        if known:
            scale = max(previous.scale, rule.scale_floor)
            return previous._replace(scale=scale, today=False)
        return None

    def pack(self) -> bytes:
        """Return the baseline as bytes: a fixed header, then the histogram."""
        header = self.HEADER.pack(
            self.day_start_ms,
            self.day_end_ms,
            self.minute,
            self.minute_sum,
            self.minute_count,
            *self.usual[:3],
            *self.previous[:3],
            self.previous_end_ms,
        )
        return header + self.closed.pack()

    @classmethod
    def unpack_from(cls, data: bytes, offset: int) -> tuple[Self, int]:
        """Read a baseline at an offset of packed bytes; return it and the offset after it."""
        start, end, minute, total, count, *rest = cls.HEADER.unpack_from(data, offset)
        closed, offset = Histogram.unpack_from(data, offset + cls.HEADER.size)
        usual, previous = Usual(*rest[:3]), Usual(*rest[3:6])
        return cls(start, end, closed, minute, total, count, usual, previous, rest[6]), offset


def advance(
    baseline: Baseline,
    rule: AnomalyParameters,
    samples: Samples,
    days: Sequence[tuple[int, int]],
) -> tuple[Baseline, Comparison]:
    """Take samples into the baseline, and say what each of them is to be compared with.

    Parameters
    ----------
    baseline
        The baseline so far; it is left as it is.
    rule
        Parameters of the metric.
    samples
        At least one sample, all later than those that the baseline has seen.
    days
        Local days as (start, end) in epoch milliseconds, ascending, that cover all times.

    Returns
    -------
    Baseline
        The baseline with the samples.
    Comparison
        For each sample the figures over the minutes that closed before its own.

    Raises
    ------
    InvariantError
        If a sample lies in none of the days.
    """
    minutes = samples.times // MINUTE_MS
    day_of = _day_of(samples.times, days)
    begins = np.ones(len(minutes), np.bool_)  # where the samples of another minute or day begin
    np.not_equal(minutes[1:], minutes[:-1], out=begins[1:])
    begins[1:] |= day_of[1:] != day_of[:-1]
    firsts = begins.nonzero()[0]
    quanta = np.rint(samples.values / rule.quantum).astype(np.int64)
    following = baseline.copy()
    usual = [
        _enter(following, rule, minute, days[day], (total, following_first - first))
        for minute, day, total, first, following_first in zip(
            minutes[firsts].tolist(),
            day_of[firsts].tolist(),
            np.add.reduceat(quanta, firsts).tolist(),
            firsts.tolist(),
            [*firsts[1:].tolist(), len(minutes)],
            strict=True,
        )
    ]
    return following, Comparison(usual, begins.cumsum() - 1)


def _day_of(times: Int64, days: Sequence[tuple[int, int]]) -> Int64:
    spans = np.array(days, np.int64).reshape(-1, 2)
    day_of = spans[:, 0].searchsorted(times, "right") - 1
    if day_of[0] < 0 or (times >= spans[day_of, 1]).any():
        raise InvariantError("a sample lies in none of the local days that came with it")
    return day_of


def _enter(
    baseline: Baseline,
    rule: AnomalyParameters,
    minute: int,
    day: tuple[int, int],
    added: tuple[int, int],
) -> Usual:
    """Take in the samples of a minute (``added``: sum, number); return what they compare with."""
    if day[0] != baseline.day_start_ms:
        _close_minute(baseline, rule)
        _start_day(baseline, rule, day)
    elif minute != baseline.minute:
        _close_minute(baseline, rule)
    baseline.minute = minute
    baseline.minute_sum += added[0]
    baseline.minute_count += added[1]
    return baseline.reference(rule) or UNKNOWN


def _start_day(baseline: Baseline, rule: AnomalyParameters, day: tuple[int, int]) -> None:
    if baseline.usual.minutes >= rule.warm_up_minutes:
        baseline.previous = baseline.usual
        baseline.previous_end_ms = baseline.day_end_ms
    baseline.day_start_ms, baseline.day_end_ms = day
    baseline.closed = Histogram()
    baseline.usual = NOTHING


def _close_minute(baseline: Baseline, rule: AnomalyParameters) -> None:
    """Move the open minute's mean into the histogram and refresh the figures."""
    if baseline.minute_count == 0:
        return
    # The mean in quanta, rounded to the nearest (halves up), in integers throughout.
    mean = (2 * baseline.minute_sum + baseline.minute_count) // (2 * baseline.minute_count)
    baseline.minute_sum = baseline.minute_count = 0
    baseline.closed = baseline.closed.plus(mean)
    median, mad = baseline.closed.median_and_mad()
    baseline.usual = Usual(
        median * rule.quantum, MAD_TO_SIGMA * mad * rule.quantum, baseline.usual.minutes + 1
    )
