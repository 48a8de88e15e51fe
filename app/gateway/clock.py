"""The gateway's clock: the rank of what it receives, so it never goes back."""

import time
from collections.abc import Callable


class Clock:
    """Milliseconds since the epoch that never decrease within a process.

    Parameters
    ----------
    now_ns : callable, optional
        Nanoseconds since the epoch; the system's clock by default.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._last = 0

    def now_ms(self) -> int:
        """Return the time, or the latest one returned before if the system's clock went back."""
        self._last = max(self._last, self._now_ns() // 1_000_000)
        return self._last
