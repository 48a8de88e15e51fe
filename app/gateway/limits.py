"""Bounds: a token bucket for each sender, and a budget of memory for request bodies."""

from collections import OrderedDict
from typing import Final, Self

from app.errors import OverloadedError

_SUBJECTS: Final = 10_000
BURST_SECONDS: Final = 10
"""How many seconds of its rate a sender may use at once."""


class TokenBuckets:
    """One token bucket for each subject, of the subjects seen last.

    Parameters
    ----------
    rate : float
        Tokens a second; 0: no limit.
    size : int, optional
        Subjects that are remembered. One that was forgotten starts with a full bucket.
    """

    def __init__(self, rate: float, *, size: int = _SUBJECTS) -> None:
        self._rate = rate
        self._burst = max(1.0, rate * BURST_SECONDS)
        self._size = size
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of subjects that are remembered."""
        return len(self._buckets)

    def take(self, subject: str, now: float) -> float:
        """Take a token.

        Parameters
        ----------
        subject : str
            Who asks.
        now : float
            Seconds of a monotonic clock.

        Returns
        -------
        float
            0 when a token was taken; else the seconds until there is one.
        """
        if self._rate <= 0:
            return 0.0
        level, at = self._buckets.pop(subject, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        wait = 0.0 if level >= 1 else (1 - level) / self._rate
        self._buckets[subject] = (level - (wait == 0), now)
        if len(self._buckets) > self._size:
            self._buckets.popitem(last=False)
        return wait


class Budget:
    """A number of bytes that may be held at once.

    Parameters
    ----------
    limit : int
        The number.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Take ``size`` bytes of the budget.

        Raises
        ------
        OverloadedError
            If so many are not left; nothing was taken.
        """
        if self.held + size > self._limit:
            raise OverloadedError("too many large requests at once; try again")
        self.held += size

    def release(self, size: int) -> None:
        """Give ``size`` bytes back."""
        self.held -= size


class Share:
    """What one request holds of a budget; a context manager that gives all of it back.

    Parameters
    ----------
    budget : Budget
        Of the process.
    """

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0

    def take(self, size: int) -> None:
        """Take ``size`` bytes more; see :meth:`Budget.take`."""
        self._budget.take(size)
        self._held += size

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give back what was taken."""
        self._budget.release(self._held)
