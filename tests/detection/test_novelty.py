"""The score of a series of which nothing is known beforehand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.detection.novelty import HALF_LIFE, MAX_INTERVALS, MAX_WIDTH, WARM_UP, Novelty, novelty

SERIES = st.lists(st.integers(-500, 500).map(float), min_size=2, max_size=400)


@given(SERIES, st.integers(0, 400))
def test_a_score_rests_on_earlier_values_only(values: list[float], cut: int) -> None:
    assert novelty(values)[:cut].tolist() == novelty(values[:cut]).tolist()


@given(SERIES)
def test_what_is_kept_is_bounded_and_in_order(values: list[float]) -> None:
    state, seen = Novelty(), set()
    for value in values:
        score = state.score(value)
        assert 0 <= score <= 1
        assert score == 0 or value not in seen or len(state.lows) == MAX_INTERVALS
        seen.add(value)
        assert len(state.lows) == len(state.highs) == len(state.met) <= MAX_INTERVALS
        ends = [end for pair in zip(state.lows, state.highs, strict=True) for end in pair]
        assert ends == sorted(ends)
        widest = max(high - low for low, high in zip(state.lows, state.highs, strict=True))
        assert widest <= MAX_WIDTH * (max(seen) - min(seen))


@given(SERIES, st.sampled_from([0.25, 2.0, 1024.0]), st.integers(-1000, 1000))
def test_unit_and_zero_of_the_scale_do_not_matter(
    values: list[float], factor: float, shift: int
) -> None:
    moved = [factor * value + shift for value in values]
    assert novelty(moved) == pytest.approx(novelty(values))


def test_a_value_far_from_all_before_is_new_and_its_repeat_is_not() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(10, 1, 1000)
    values[500] = values[600] = 50
    scores = novelty(values)
    assert scores.argmax() == 500
    assert scores[500] > 0.8
    assert scores[600] == 0


def test_a_gap_between_two_levels_is_new_too() -> None:
    values = np.tile([0.0, 100.0], 200)
    values[300] = 50
    scores = novelty(values)
    assert scores[300] == pytest.approx(0.5)
    assert scores[WARM_UP:300].max() == 0


def test_an_event_is_told_once_unless_it_grows() -> None:
    rng = np.random.default_rng(2)
    values = rng.uniform(0, 1, 500)
    values[400:410] = 10 + np.arange(10) % 2 / 4
    values[420] = 100
    scores = novelty(values)
    assert scores[400] > 0.8
    assert scores[401:420].max() < 0.01
    assert scores[420] > 0


def test_after_an_event_the_next_of_its_size_is_told_when_the_echo_is_gone() -> None:
    calm = [0.0, 1.0] * 50
    scores = novelty([*calm, 3.0, *calm, 9.0, *calm])
    assert scores[100] == pytest.approx(2 / 3)
    assert scores[201] == pytest.approx(2 / 3 * (1 - 0.5 ** (101 / HALF_LIFE)))


def test_nothing_is_scored_while_warming_up() -> None:
    assert novelty([0.0] * (WARM_UP - 1) + [9.0]).tolist() == [0.0] * WARM_UP


def test_what_is_not_finite_is_passed_over() -> None:
    values = [0.0, 1.0] * 20
    assert novelty([*values, float("nan"), float("inf"), 3.0])[-3:-1].tolist() == [0, 0]
    assert novelty([*values, float("nan"), 3.0])[-1] == novelty([*values, 3.0])[-1]


def test_an_outermost_value_that_is_not_met_again_is_forgotten_with_its_part_of_the_range() -> None:
    state = Novelty()
    for value in [0.0, 1000.0]:
        state.score(value)
    for value in range(2, 2 + 4 * MAX_INTERVALS):
        state.score(float(value**3))
    assert state.lows[0] > 0
