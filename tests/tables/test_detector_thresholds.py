"""Rules ``threshold-low`` and ``threshold-high`` on series with known answers."""

import numpy as np
import pytest

from tables.alerts import SEVERITIES
from tables.limits import limits
from tests.tables.detection import MIDNIGHT, MINUTE, SECOND, feed, series, story

LOW, HIGH = "threshold-low", "threshold-high"


def test_low_glucose_opens_after_fifteen_minutes_and_ends_after_fifteen() -> None:
    times, values = series([(90, 5), (65, 4), (75, 4)], step=5 * MINUTE)
    _, alerts = feed("blood_glucose", times, values)
    assert story(alerts, LOW) == [("opened", "warning"), ("resolved", "warning")]
    opened, resolved = alerts
    assert opened.changed_ms == times[8]
    assert opened.window_start_ms == times[5]
    assert opened.expected_low == 70
    assert opened.expected_high is None
    assert opened.explanation == (
        "Blood glucose 65 mg/dL has been below 70 mg/dL for 15 minutes or more."
    )
    assert resolved.changed_ms == times[12]
    assert resolved.explanation == "Blood glucose 75 mg/dL is no longer below 70 mg/dL."


def test_a_dip_that_is_too_short_is_no_alert() -> None:
    _, alerts = feed("blood_glucose", *series([(90, 5), (65, 3), (75, 4)], step=5 * MINUTE))
    assert alerts == []


def test_a_gap_interrupts_a_dip() -> None:
    times = MIDNIGHT + np.array([0, 5, 30, 35, 60, 65], dtype=np.int64) * MINUTE
    _, alerts = feed("blood_glucose", times, np.full(6, 60.0))
    assert alerts == []


def test_severity_rises_and_falls_within_one_alert() -> None:
    times, values = series([(90, 3), (65, 5), (50, 5), (60, 5), (90, 5)], step=5 * MINUTE)
    _, alerts = feed("blood_glucose", times, values)
    found = [alert for alert in alerts if alert.rule == LOW]
    assert story(found) == [
        ("opened", "warning"),
        ("updated", "critical"),
        ("updated", "warning"),
        ("resolved", "warning"),
    ]
    assert len({alert.alert_id for alert in found}) == 1
    assert [alert.revision for alert in found] == [1, 2, 3, 4]
    assert found[2].explanation == (
        "Blood glucose 60 mg/dL is no longer below 54 mg/dL; the limit of 70 mg/dL still counts."
    )


def test_a_severe_level_that_is_reached_first_opens_at_once() -> None:
    times, values = series([(97, 5), (85, 4), (96, 5)])
    _, alerts = feed("spo2", times, values)
    assert story(alerts, LOW) == [("opened", "critical"), ("resolved", "critical")]


def test_hysteresis_keeps_a_wavering_value_from_flapping() -> None:
    times, values = series([(120, 1), (141, 20)], step=10 * MINUTE)
    values[2::2] = 138
    _, alerts = feed("systolic_bp", times, values)
    assert story(alerts) == [("opened", "warning")]
    times, values = series([(120, 1), (141, 3), (134, 1)], step=10 * MINUTE)
    _, alerts = feed("systolic_bp", times, values)
    assert story(alerts) == [("opened", "warning"), ("resolved", "warning")]


def test_a_spot_measurement_is_judged_alone() -> None:
    _, alerts = feed("systolic_bp", *series([(185, 1)]))
    assert story(alerts, HIGH) == [("opened", "critical")]
    assert alerts[0].explanation == "Systolic blood pressure 185 mmHg is above 180 mmHg."
    assert list(alerts[0].sample_values) == [185]


def test_both_sides_can_alarm_in_turn() -> None:
    _, alerts = feed("systolic_bp", *series([(150, 1), (85, 1), (120, 1)]))
    assert [(alert.rule, alert.status, alert.severity) for alert in alerts] == [
        (HIGH, "opened", "warning"),
        (LOW, "opened", "critical"),
        (HIGH, "resolved", "warning"),
        (LOW, "resolved", "critical"),
    ]


def test_high_heart_rate_needs_ten_minutes_and_names_what_is_not_known() -> None:
    calm = [(70, 30)]
    _, alerts = feed("heart_rate", *series([*calm, (140, 600), (70, 60)], step=SECOND))
    assert story(alerts, HIGH) == []
    _, alerts = feed("heart_rate", *series([*calm, (140, 601), (70, 121)], step=SECOND))
    assert story(alerts, HIGH) == [("opened", "warning"), ("resolved", "warning")]
    opened = next(alert for alert in alerts if alert.rule == HIGH)
    assert opened.explanation.endswith(
        "at or above 131 /min for 10 minutes or more. "
        "Activity is not known: exercise changes it too."
    )
    assert len(opened.sample_times) == 12


@pytest.mark.parametrize(("value", "expected"), [(37.94, []), (37.95001, [("opened", "info")])])
def test_values_are_compared_as_they_are_shown(
    value: float, expected: list[tuple[str, str]]
) -> None:
    _, alerts = feed("body_temperature", *series([(value, 1)]))
    assert story(alerts) == expected


def test_the_file_of_limits_reads_as_intended() -> None:
    low, high = limits()["blood_glucose"]
    assert low is not None
    assert high is not None
    assert [(level.limit, level.severity) for level in low.levels] == [
        (70, "warning"),
        (54, "critical"),
    ]
    assert [(level.limit, level.severity) for level in high.levels] == [
        (180, "info"),
        (250, "warning"),
    ]
    for sides in limits().values():
        for side in filter(None, sides):
            ranks = [SEVERITIES.index(level.severity) for level in side.levels]
            assert ranks == sorted(set(ranks))


def test_a_quiet_series_leaves_the_state_of_the_limits_alone() -> None:
    state, alerts = feed("body_temperature", *series([(36.8, 50)]))
    assert alerts == []
    assert state.low.idle
    assert state.high.idle
