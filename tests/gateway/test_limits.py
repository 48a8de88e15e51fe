"""Token buckets, the budget of bytes, and the clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import OverloadedError
from app.gateway.clock import Clock
from app.gateway.limits import BURST_SECONDS, Budget, TokenBuckets


@given(st.floats(0.1, 100), st.lists(st.floats(0, 5), max_size=60))
def test_a_bucket_never_gives_more_than_its_rate_and_burst(
    rate: float, pauses: list[float]
) -> None:
    buckets, now, taken = TokenBuckets(rate), 0.0, 0
    for pause in pauses:
        now += pause
        wait = buckets.take("a", now)
        taken += wait == 0
        if wait > 0:
            assert buckets.take("a", now + wait + 1e-6) == 0
            now += wait + 1e-6
            taken += 1
    assert taken <= max(1, rate * BURST_SECONDS) + rate * now + 1


def test_subjects_do_not_share_and_are_bounded() -> None:
    buckets = TokenBuckets(0.1, size=2)
    assert buckets.take("a", 0) == 0
    assert buckets.take("a", 0) == pytest.approx(10)
    assert buckets.take("b", 0) == 0
    assert buckets.take("c", 0) == 0
    assert len(buckets) == 2


def test_no_rate_is_no_limit() -> None:
    buckets = TokenBuckets(0)
    assert not any(buckets.take("a", 0) for _ in range(1000))


def test_a_budget_refuses_what_is_too_much_and_takes_nothing() -> None:
    budget = Budget(10)
    budget.take(7)
    with pytest.raises(OverloadedError):
        budget.take(4)
    assert budget.held == 7
    budget.release(7)
    budget.take(10)


def test_the_clock_never_goes_back() -> None:
    readings = iter([5_000_000, 3_000_000, 6_999_999, 7_000_000])
    clock = Clock(lambda: next(readings))
    assert [clock.now_ms() for _ in range(4)] == [5, 5, 6, 7]
