"""Scores of several series, made comparable."""

import random

import pytest

from tables.detection.joint import OCTAVES, Calibrated
from tables.detection.novelty import WARM_UP, Novelty


def test_the_first_event_of_a_series_counts_in_full() -> None:
    plain, calibrated = Novelty(), Calibrated()
    for value in [0.0, 1.0] * WARM_UP:
        assert calibrated.score(value) == plain.score(value) == 0
    assert calibrated.score(5.0) == pytest.approx(plain.score(5.0))


def test_the_commoner_such_scores_the_less_each_counts() -> None:
    rng = random.Random(3)
    plain, calibrated = Novelty(), Calibrated()
    values = [rng.random() for _ in range(WARM_UP)]
    for power in range(1, 8):
        values += [2.0**power, *(rng.random() for _ in range(400))]
    shares = []
    for value in values:
        score, discounted = plain.score(value), calibrated.score(value)
        assert 0 <= discounted <= score
        if score > 0.3:
            shares.append(discounted / score)
    assert len(shares) == 7
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.95
    assert shares[-1] < 0.8


def test_what_is_kept_does_not_grow() -> None:
    state = Calibrated()
    for value in range(3_000):
        state.score(float(value % 97) ** 2)
    assert len(state.octaves) == OCTAVES
