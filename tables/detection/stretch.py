"""Samples of one series within one minute, as the rules look at them one by one."""

from dataclasses import dataclass
from typing import Self

from schemas.columns import Float64, Int64
from tables.runs import MAX_GAP_MS, MIN_SAMPLES, Run


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive samples.

    Attributes
    ----------
    first
        Position of the first of them in the columns of the call.
    times, values
        Instants (epoch milliseconds, ascending, less than a minute apart) and values.
    rounded
        The values in the precision in which they are shown.
    extremes
        Least and greatest of the rounded values.
    joined
        Whether the first is consecutive to the sample before it.
    """

    first: int
    times: list[int]
    values: list[float]
    rounded: list[float]
    extremes: tuple[float, float]
    joined: bool

    @classmethod
    def cut(
        cls, times: Int64, values: Float64, part: slice, *, last_ms: int, decimals: int
    ) -> Self:
        """Return part of the columns of a call.

        Parameters
        ----------
        times, values
            The columns.
        part
            Which samples; at least one.
        last_ms
            Instant of the sample before them.
        decimals
            The precision in which values are shown.
        """
        instants, exact = times[part].tolist(), values[part]
        rounded = exact.round(decimals).tolist()
        return cls(
            first=part.start,
            times=instants,
            values=exact.tolist(),
            rounded=rounded,
            extremes=(min(rounded), max(rounded)),
            joined=instants[0] - last_ms <= MAX_GAP_MS,
        )

    def extend(self, run: Run) -> Run:
        """Return a run to which all samples were added."""
        start_ms = run.start_ms if run.count and self.joined else self.times[0]
        before = run.count if run.count and self.joined else 0
        return Run(start_ms, min(before + len(self.times), MIN_SAMPLES))
