"""Delays double up to a limit, jitter, and start over after a stable run."""

import random

from hypothesis import given
from hypothesis import strategies as st

from app.supervisor.backoff import Backoff


@given(st.integers(0, 2**32), st.integers(1, 12))
def test_delays_double_up_to_the_limit_with_jitter(seed: int, crashes: int) -> None:
    backoff = Backoff(first=0.5, most=30, chance=random.Random(seed))
    for crash in range(crashes):
        whole = min(30.0, 0.5 * 2**crash)
        assert whole / 2 <= backoff.after(1.0) <= whole


def test_a_stable_run_starts_over() -> None:
    backoff = Backoff(first=1, most=100, stable=60)
    for _ in range(5):
        backoff.after(59.9)
    assert backoff.after(0) > 10
    assert backoff.after(60) <= 1
