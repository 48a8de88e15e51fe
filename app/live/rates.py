"""How much arrives and how long it takes: rates and delays over the last seconds."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from app.live.records import Record, Samples

RATE_SECONDS: Final = 10
DELAY_SECONDS: Final = 30
_DELAYS_MAX: Final = 20_000


class Rates:
    """Counts uploads and samples by the second in which their record was written.

    Parameters
    ----------
    clock : callable, optional
        Returns epoch seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._counts: dict[int, list[int]] = {}
        self._delays: deque[tuple[float, float]] = deque(maxlen=_DELAYS_MAX)
        self._since_ms = 0.0

    def begin(self) -> None:
        """Measure delays of what is written from now on: what is older waited for the reader."""
        self._since_ms = self._clock() * 1000

    def add(self, record: Record) -> None:
        """Count a record of topic ``samples``; others are ignored."""
        if not isinstance(record.body, Samples):
            return
        now = self._clock()
        second = record.time_ms // 1000
        if now - second <= RATE_SECONDS + 1:
            counts = self._counts.setdefault(second, [0, 0])
            counts[0] += record.body.uploads
            counts[1] += record.body.count
        if record.time_ms >= self._since_ms and record.body.uploads:
            # An upload sent again keeps its first instant: the least delay of a record is its own.
            delay = now * 1000 - float(record.body.received_ms.max())
            self._delays.append((now, max(delay, 0.0)))

    def view(self) -> dict[str, Any]:
        """Return uploads and samples a second, and the delay's median and 99th percentile (ms).

        The delay runs from a gateway's receipt of an upload to its arrival here; None when
        nothing arrived of late.
        """
        now = self._clock()
        for second in [s for s in self._counts if s < now - RATE_SECONDS - 1]:
            del self._counts[second]
        while self._delays and self._delays[0][0] < now - DELAY_SECONDS:
            self._delays.popleft()
        current = int(now)
        full = [c for s, c in self._counts.items() if current - RATE_SECONDS <= s < current]
        median, tail = (
            np.percentile([delay for _, delay in self._delays], [50, 99]).tolist()
            if self._delays
            else (None, None)
        )
        return {
            "uploads_per_s": round(sum(c[0] for c in full) / RATE_SECONDS, 1),
            "samples_per_s": round(sum(c[1] for c in full) / RATE_SECONDS, 1),
            "delay_ms_p50": median,
            "delay_ms_p99": tail,
        }
