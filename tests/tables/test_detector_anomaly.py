"""Rule ``unusual-for-today`` on series with known answers."""

import numpy as np
import pytest

from schemas.catalogue import catalogue
from tables.anomaly import BAND_SCALES, COOL_DOWN_MS, MAX_UPDATES, RULE
from tables.baseline import MAD_TO_SIGMA
from tables.detector import expected
from tests.tables.detection import DAY, HOUR, MIDNIGHT, MINUTE, SECOND, feed, series, story

HEART_RATE = catalogue()["heart_rate"]
OPENED, UPDATED, RESOLVED = ("opened", "info"), ("updated", "info"), ("resolved", "info")


def test_the_band_is_that_of_median_and_mad_of_the_minute_means() -> None:
    rng = np.random.default_rng(3)
    times = MIDNIGHT + np.arange(0, 4 * HOUR, 7 * SECOND, dtype=np.int64)
    values = np.round(rng.normal(70, 12, len(times)))
    state, _ = feed("heart_rate", times, values)
    minute = (times - MIDNIGHT) // MINUTE
    means = np.array([values[minute == m].mean() for m in range(minute[-1])])
    median = np.median(means)
    scale = MAD_TO_SIGMA * np.median(np.abs(means - median))
    low, high = expected(state, HEART_RATE)
    assert low == pytest.approx(median - BAND_SCALES * max(scale, 4), abs=1.5)
    assert high == pytest.approx(median + BAND_SCALES * max(scale, 4), abs=1.5)
    assert state.baseline.usual.minutes == len(means)


def test_twenty_minutes_are_enough_for_a_band() -> None:
    state, _ = feed("heart_rate", *series([(70, 20), (200, 1)]))
    assert expected(state, HEART_RATE) == (56, 84)


def test_no_band_before_the_warm_up() -> None:
    state, alerts = feed("heart_rate", *series([(70, 15), (120, 5)]))
    assert alerts == []
    assert expected(state, HEART_RATE) == (None, None)


def test_a_sustained_step_opens_and_its_end_resolves() -> None:
    _, alerts = feed("heart_rate", *series([(70, 60), (110, 10), (72, 10)]))
    assert story(alerts) == [OPENED, RESOLVED]
    opened, resolved = alerts
    assert opened.opened_ms == MIDNIGHT + 62 * MINUTE
    assert opened.window_start_ms == MIDNIGHT + 60 * MINUTE
    assert list(opened.sample_values) == [110, 110, 110]
    assert (opened.expected_low, opened.expected_high) == (56, 84)
    assert opened.baseline_count == 62
    assert opened.explanation == (
        "Heart rate 110 /min is above the expected 56\N{EN DASH}84 /min "
        "(median 70 over 62 minutes today). Activity is not known: exercise changes it too."
    )
    assert resolved.changed_ms == MIDNIGHT + 72 * MINUTE
    assert resolved.alert_id == opened.alert_id
    assert resolved.explanation == (
        "Heart rate 72 /min is no longer above the expected 56\N{EN DASH}84 /min "
        "(median 70 over 72 minutes today)."
    )


def test_a_low_step_is_found_too() -> None:
    _, alerts = feed("heart_rate", *series([(70, 60), (45, 5)]))
    assert story(alerts, RULE) == [OPENED]
    assert "is below the expected" in alerts[0].explanation


@pytest.mark.parametrize(("count", "step"), [(2, MINUTE), (60, SECOND)])
def test_short_excursions_are_no_alert(count: int, step: int) -> None:
    calm, _ = feed("heart_rate", *series([(70, 60)]))
    start = MIDNIGHT + HOUR
    _, alerts = feed("heart_rate", *series([(150, count)], step=step, start=start), state=calm)
    assert alerts == []


def test_unusual_samples_across_a_gap_are_not_consecutive() -> None:
    calm, _ = feed("heart_rate", *series([(70, 60)]))
    times = MIDNIGHT + HOUR + np.arange(6, dtype=np.int64) * 25 * MINUTE
    _, alerts = feed("heart_rate", times, np.full(6, 150.0), state=calm)
    assert alerts == []


def test_values_between_the_bands_neither_open_nor_resolve() -> None:
    """Scale 4 around 70: unusual beyond 84, back below 80."""
    _, alerts = feed("heart_rate", *series([(70, 90), (82, 10), (88, 5), (82, 10), (88, 5)]))
    assert story(alerts) == [OPENED]


def test_an_alternating_value_does_not_flap() -> None:
    times, values = series([(70, 120), (90, 100)])
    values[120::2] = 78
    _, alerts = feed("heart_rate", times, values)
    assert alerts == []


def test_updates_are_bounded() -> None:
    times, values = series([(70, 200)])
    times, values = (
        np.append(times, times[-1] + np.arange(1, 41) * MINUTE),
        np.append(values, 90 + 4.0 * np.arange(40)),
    )
    _, alerts = feed("heart_rate", times, values)
    assert story(alerts, RULE) == [OPENED] + [UPDATED] * MAX_UPDATES
    assert "is further above" in alerts[1].explanation


def test_a_repeat_is_suppressed_for_a_while_unless_it_is_worse() -> None:
    first = [(70, 200), (100, 5), (70, 5)]
    _, alerts = feed("heart_rate", *series([*first, (100, 5), (70, 5)]))
    assert story(alerts) == [OPENED, RESOLVED]
    _, alerts = feed("heart_rate", *series([*first, (120, 5)]))
    assert story(alerts) == [OPENED, RESOLVED, OPENED]
    _, alerts = feed("heart_rate", *series([*first, (40, 5)]))
    assert story(alerts, RULE) == [OPENED, RESOLVED, OPENED]
    silent = COOL_DOWN_MS // MINUTE
    _, alerts = feed("heart_rate", *series([*first, (70, silent), (100, 5)]))
    assert story(alerts) == [OPENED, RESOLVED, OPENED]
    assert len({alert.alert_id for alert in alerts}) == 2


def test_what_lasts_becomes_usual() -> None:
    _, alerts = feed("heart_rate", *series([(60, 60), (90, 180)]))
    assert story(alerts) == [OPENED, RESOLVED]


def test_one_sided_metrics_have_one_edge() -> None:
    state, alerts = feed("spo2", *series([(95, 60), (100, 10), (90, 4)]))
    assert expected(state, catalogue()["spo2"])[1] is None
    found = [alert for alert in alerts if alert.rule == RULE]
    assert story(found) == [OPENED]
    assert found[0].explanation.startswith("SpO2 90% is below the expected 92% or more (median 95")


def test_spot_metrics_are_not_compared_with_the_day() -> None:
    _, alerts = feed("systolic_bp", *series([(120, 60), (135, 30)]))
    assert alerts == []


class TestPreviousDay:
    day = series([(60, 1), (80, 1)] * 300)

    def test_serves_until_today_has_warmed_up(self) -> None:
        state, _ = feed("heart_rate", *self.day)
        start = MIDNIGHT + DAY
        state, alerts = feed("heart_rate", *series([(130, 4)], start=start), state=state)
        assert story(alerts) == [OPENED]
        assert alerts[0].baseline_count == 600
        assert "over 600 minutes of the last day with enough data" in alerts[0].explanation

    def test_its_scale_keeps_waking_up_usual(self) -> None:
        times, values = series([(55, 400), (75, 100)], start=MIDNIGHT + DAY)
        _, alerts = feed("heart_rate", times, values)
        assert story(alerts) == [OPENED]
        state, _ = feed("heart_rate", *self.day)
        _, alerts = feed("heart_rate", times, values, state=state)
        assert alerts == []

    def test_does_not_serve_when_it_is_old(self) -> None:
        state, _ = feed("heart_rate", *self.day)
        times, values = series([(130, 10)], start=MIDNIGHT + 10 * DAY)
        state, alerts = feed("heart_rate", times, values, state=state)
        assert alerts == []
        assert expected(state, HEART_RATE) == (None, None)

    def test_an_open_alert_ends_with_what_it_was_compared_with(self) -> None:
        state, alerts = feed("heart_rate", *series([(70, 60), (110, 5)]))
        assert story(alerts) == [OPENED]
        times, values = series([(110, 5)], start=MIDNIGHT + 10 * DAY)
        _, alerts = feed("heart_rate", times, values, state=state)
        assert story(alerts) == [RESOLVED]
        assert (alerts[0].expected_low, alerts[0].baseline_count) == (None, 0)


def test_calm_days_are_quiet() -> None:
    """Less than one alert in ten person-days of a daily rhythm with slow and fast noise."""
    days, people = 3, 10
    opened = 0
    for person in range(people):
        rng = np.random.default_rng(person)
        times = MIDNIGHT + np.arange(0, days * DAY, MINUTE, dtype=np.int64)
        rhythm = 66 - 8 * np.cos(2 * np.pi * (times % DAY) / DAY)
        drift = np.convolve(rng.normal(0, 1, len(times) + 29), np.ones(30) / np.sqrt(30), "valid")
        values = np.round(rhythm + 3 * drift + rng.normal(0, 2, len(times)))
        _, alerts = feed("heart_rate", times, values, cuts=range(200, len(times), 200))
        opened += sum(alert.status == "opened" for alert in alerts)
    assert opened < days * people / 10
