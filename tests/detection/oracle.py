"""The threshold rules as their definition reads, sample by sample; slow and without any state."""

import numpy as np

from tables.limits import Level, Side
from tables.runs import MAX_GAP_MS, MIN_SAMPLES
from tables.watch import watches
from tests.detection.feeding import Series

Crossing = tuple[int, str, str, int, int, int]
"""Instant, status, severity, revision, instant of the opening, start of the window."""


def crossings(series: Series, side: Side) -> list[Crossing]:
    """Return what happens to the alerts of one side."""
    times = series.times.tolist()
    shown = np.round(series.values, watches()[series.metric].decimals).tolist()
    switched = [0] * len(side.levels)  # where the samples begin that count for each level
    reached = 0
    opened_ms = revision = 0
    found: list[Crossing] = []
    for now in range(len(times)):
        starts = [
            _since(times, shown, switched[number], now, level, active=number < reached)
            for number, level in enumerate(side.levels)
        ]
        up = [number for number, start in enumerate(starts) if start >= 0 and number >= reached]
        down = [number for number, start in enumerate(starts) if start >= 0 and number < reached]
        if not up and not down:
            continue
        before, decisive = reached, max(up) if up else min(down)
        reached = decisive + 1 if up else decisive
        for number in range(min(before, reached), max(before, reached)):
            switched[number] = now + 1
        status = "resolved" if reached == 0 else "updated" if before else "opened"
        if status == "opened":
            opened_ms, revision = times[now], 0
        revision += 1
        severity = side.levels[(reached or before) - 1].severity
        window = times[starts[decisive]]
        found.append((times[now], status, severity, revision, opened_ms, window))
    return found


def _since(
    times: list[int], shown: list[float], first: int, now: int, level: Level, *, active: bool
) -> int:
    """Return where the samples began that keep to a condition until now; -1 if too few."""
    holds = level.left if active else level.reached
    duration = level.clear_ms if active else level.hold_ms
    start = now + 1
    while start > first and holds(shown[start - 1]):
        start -= 1
        if start < now and times[start + 1] - times[start] > MAX_GAP_MS:
            start += 1
            break
    count = now + 1 - start
    if count == 0:
        return -1
    if duration and (count < MIN_SAMPLES or times[now] - times[start] < duration):
        return -1
    return start
