"""How long to wait before a crashed process is started again."""

import random


class Backoff:
    """Exponential delays with jitter, which start over after a stable run.

    Parameters
    ----------
    first, most
        The first and the longest delay in seconds, before jitter.
    stable
        A run of at least this many seconds counts as healthy and resets the delays.
    chance
        Source of jitter: each delay is multiplied by a value from [0.5, 1).
    """

    def __init__(
        self,
        *,
        first: float = 0.5,
        most: float = 30.0,
        stable: float = 60.0,
        chance: random.Random | None = None,
    ) -> None:
        self._first, self._most, self._stable = first, most, stable
        self._chance = chance or random.Random()  # noqa: S311  (spreads load, guards nothing)
        self._next = first

    def after(self, ran: float) -> float:
        """Return the seconds to wait after a run of ``ran`` seconds that ended badly."""
        if ran >= self._stable:
            self._next = self._first
        delay = self._next
        self._next = min(self._most, delay * 2)
        return delay * self._chance.uniform(0.5, 1.0)
