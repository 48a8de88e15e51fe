"""Random series that cross every limit: for properties that hold whatever comes."""

import numpy as np
from hypothesis import strategies as st

from tests.detection.feeding import HOUR, MIDNIGHT, MINUTE, SECOND, Series

CENTRES = {
    "heart_rate": 70.0,
    "blood_glucose": 100.0,
    "spo2": 96.0,
    "body_temperature": 36.8,
    "respiratory_rate": 15.0,
    "systolic_bp": 120.0,
    "device_battery": 60.0,
}


@st.composite
def rough_series(draw: st.DrawFn) -> Series:
    """Series with steps, gaps, several days and many crossings."""
    metric = draw(st.sampled_from(sorted(CENTRES)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps, levels = [], []
    for _ in range(draw(st.integers(2, 9))):
        count = int(rng.integers(3, 60))
        steps.append(np.full(count, rng.choice([SECOND, 10 * SECOND, MINUTE, 5 * MINUTE])))
        steps[-1][0] = rng.choice([SECOND, 25 * MINUTE, 7 * HOUR, 8 * 24 * HOUR])
        level = CENTRES[metric] * rng.choice([1.0, 1.0, 1.0, 0.5, 0.93, 1.1, 2.2])
        levels.append(level + rng.normal(0, 0.02 * CENTRES[metric], count))
    times = MIDNIGHT + np.cumsum(np.concatenate(steps)).astype(np.int64)
    return Series(metric, times, np.concatenate(levels))
