"""The illness pattern: what a fall of the steps does to the score."""

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables.illness import BASELINE_DAYS, LAG_DAYS, MIN_DAYS, QUANTILES, Illness, update

Rows = list[tuple[float | None, float | None]]
STEPS = st.none() | st.floats(0, 30_000)


def scores(rows: Sequence[tuple[float | None, float | None]]) -> list[float]:
    state, found = Illness(), []
    for day, (steps, rate) in enumerate(rows):
        state, pattern = update(state, day, steps, rate)
        found.append(pattern.score)
    return found


def usual_days(count: int) -> Rows:
    rng = random.Random(4)
    return [(math.exp(rng.gauss(9, 0.3)), rng.gauss(60, 2)) for _ in range(count)]


def test_days_in_bed_raise_the_score_from_day_to_day() -> None:
    found = scores(usual_days(60) + [(600.0, 66.0)] * 4)
    assert max(found[20:60]) < 1
    assert all(earlier < later for earlier, later in pairwise(found[60:]))
    assert found[-1] > 2


def test_more_steps_than_usual_do_not() -> None:
    assert max(scores(usual_days(60) + [(40_000.0, 66.0)] * 5)[60:]) < 0.3


def test_a_new_habit_becomes_usual() -> None:
    days = BASELINE_DAYS + LAG_DAYS + 10
    found = scores(usual_days(40) + [(2_000 + day % 5 * 100.0, 60.0) for day in range(days)])
    assert found[44] > 2
    assert found[-1] < 0.5


def test_the_heart_rate_changes_no_score() -> None:
    rows = usual_days(50)
    assert scores(rows) == scores([(steps, None) for steps, _ in rows])


def test_usual_values_are_medians_of_days_that_ended_before_the_latest() -> None:
    state = Illness()
    for day in range(40):
        fresh = day > 39 - LAG_DAYS
        state, pattern = update(state, day, 100.0 if fresh else 9_000.0, 90.0 if fresh else 55.0)
    assert pattern.usual_steps == 9_000
    assert pattern.usual_heart_rate == 55


def test_nothing_is_said_before_there_is_a_baseline() -> None:
    found = scores([(8_000.0, None)] * (MIN_DAYS + LAG_DAYS - 2) + [(0.0, None)] * 2)
    assert found[:-1] == [0.0] * (MIN_DAYS + LAG_DAYS - 1)
    assert found[-1] > 1


def test_a_missing_day_lets_the_deficit_fade() -> None:
    rows = usual_days(60) + [(600.0, None)] * 3
    told, untold = scores([*rows, (600.0, None)]), scores([*rows, (None, None)])
    assert untold[-1] < told[-2] < told[-1]
    state, after = Illness(), {}
    for day, (steps, _) in enumerate(rows):
        state, _ = update(state, day, steps, None)
    for pause in (1, 2, 9):
        after[pause] = update(state, len(rows) - 1 + pause, None, None)[1].deficit
    assert after[2] == pytest.approx(after[1] / math.sqrt(2))
    assert after[9] == pytest.approx(state.deficit * 0.5**4.5)


@given(st.lists(STEPS, max_size=80), st.integers(0, 80))
def test_a_score_rests_on_its_day_and_those_before(steps: list[float | None], cut: int) -> None:
    rows: Rows = [(value, None) for value in steps]
    found = scores(rows)
    assert found[:cut] == scores(rows[:cut])
    assert all(0 <= score < 3 for score in found)


@given(st.lists(st.tuples(st.integers(1, 40), STEPS), max_size=60))
def test_what_is_kept_is_bounded(days: list[tuple[int, float | None]]) -> None:
    state, ordinal = Illness(), 0
    for pause, steps in days:
        ordinal += pause
        state, _ = update(state, ordinal, steps, 60.0)
        assert len(state.days) <= BASELINE_DAYS + LAG_DAYS


def test_quantiles_fall() -> None:
    for (low, common), (high, rare) in pairwise(QUANTILES):
        assert low < high
        assert common > rare
