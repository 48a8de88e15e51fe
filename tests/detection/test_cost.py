"""What detection costs while nothing happens, next to a plain pass over the same columns."""

from time import perf_counter

import numpy as np

from tables.detection import ROW, Fresh, observe
from tests.detection.feeding import MIDNIGHT, MINUTE, SECOND, Series, fresh

PEOPLE = 400
MAX_RATIO = 20
"""Some 5 on a machine that does nothing else."""


def plain_pass(columns: Fresh) -> None:
    """Compute what any aggregation by minute computes: count, sum, sum of squares, extremes."""
    first, values = columns.minute_first[:-1], columns.values
    np.diff(columns.minute_first)
    np.add.reduceat(values, first)
    np.add.reduceat(values * values, first)
    np.minimum.reduceat(values, first)
    np.maximum.reduceat(values, first)


def test_quiet_series_cost_a_few_plain_passes() -> None:
    rng = np.random.default_rng(1)
    rows, names = np.zeros(PEOPLE, ROW), [""] * PEOPLE
    phases = rng.integers(0, 60, PEOPLE) * SECOND
    ours, plain = [], []
    for upload in range(40):
        start = MIDNIGHT + upload * MINUTE
        many = [
            Series(
                "heart_rate",
                start + int(phase) + SECOND * np.arange(60, dtype=np.int64),
                rng.normal(70, 3, 60).round(),
            )
            for phase in phases
        ]
        columns = fresh(many, names)
        began = perf_counter()
        assert observe(rows, {}, columns) == []
        ended = perf_counter()
        plain_pass(columns)
        ours.append(ended - began)
        plain.append(perf_counter() - ended)
    assert not rows["busy"].any()
    assert min(ours[25:]) < MAX_RATIO * min(plain[25:])
