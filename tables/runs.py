"""Samples as the rules take them; runs of those that agree, and how long they have lasted."""

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Final, NamedTuple, Self

from schemas.columns import Float64, Int64

MAX_GAP_MS: Final = 20 * 60_000
"""Samples farther apart than this are not consecutive: what lay between is not known."""

MIN_SAMPLES: Final = 3
"""How many samples a run needs before its duration means anything."""


class Samples(NamedTuple):
    """Samples of one series, as arrays of shape (n,).

    Attributes
    ----------
    times
        Instants, epoch milliseconds, strictly ascending.
    values
        Finite values in the metric's canonical unit.
    gaps
        Milliseconds from the sample before each.
    """

    times: Int64
    values: Float64
    gaps: Int64

    @classmethod
    def after(cls, last_ms: int, times: Int64, values: Float64) -> Self:
        """Return samples that follow one at ``last_ms``."""
        gaps = times.copy()
        gaps[1:] -= times[:-1]
        gaps[:1] -= last_ms
        return cls(times, values, gaps)

    def joined(self, index: int) -> bool:
        """Whether a sample is consecutive to the one before it."""
        return bool(self.gaps[index] <= MAX_GAP_MS)


@dataclass(slots=True)
class Run:
    """A run of consecutive samples: its first instant and its length (counted to MIN_SAMPLES).

    A run of ``count`` 0 is empty; its ``start_ms`` is then 0.
    """

    LAYOUT: ClassVar[Struct] = Struct("<qB")

    start_ms: int = 0
    count: int = 0

    def copy(self) -> Self:
        """Return an independent run with the same content."""
        return type(self)(self.start_ms, self.count)

    def extend(self, time_ms: int, *, joined: bool) -> None:
        """Add a sample; it starts the run anew unless it is ``joined`` to the one before it."""
        if self.count and joined:
            self.count = min(self.count + 1, MIN_SAMPLES)
        else:
            self.start_ms, self.count = time_ms, 1

    def clear(self) -> None:
        """Empty the run: a sample disagreed."""
        self.start_ms = self.count = 0

    def lasts(self, time_ms: int, duration_ms: int) -> bool:
        """Say whether the run, up to its latest sample at ``time_ms``, is long enough.

        A duration of zero asks for one sample; any longer one for MIN_SAMPLES as well, so that
        two stray values at either end of a gap are never called sustained.
        """
        if duration_ms == 0:
            return self.count > 0
        return self.count >= MIN_SAMPLES and time_ms - self.start_ms >= duration_ms
