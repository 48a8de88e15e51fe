"""Runs of samples that agree, and how long they have lasted."""

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Final, Self

MAX_GAP_MS: Final = 20 * 60_000
"""Samples farther apart than this are not consecutive: what lay between is not known."""

MIN_SAMPLES: Final = 3
"""How many samples a run needs before its duration means anything."""


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
