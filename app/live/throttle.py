"""A token bucket."""


class Throttle:
    """Allows ``rate`` events a second on average, ``burst`` at once.

    Parameters
    ----------
    rate : float
        Events a second.
    burst : float
        Most events at once.
    """

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._at = burst, float("-inf")

    def allows(self, now: float) -> bool:
        """Count one event at ``now`` (seconds, not descending); False when it is one too many."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
