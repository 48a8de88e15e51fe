"""Rules ``threshold-low`` and ``threshold-high``: by their definition, and by known answers."""

import numpy as np
import pytest
from hypothesis import given, settings

from tables.limits import limits
from tests.detection.feeding import MIDNIGHT, MINUTE, SECOND, Series, alerts_of, story, stretches
from tests.detection.oracle import crossings
from tests.detection.rough import rough_series

LOW, HIGH = "threshold-low", "threshold-high"


@settings(max_examples=100, deadline=None)
@given(rough_series())
def test_crossings_are_those_of_the_definition(series: Series) -> None:
    alerts = alerts_of(series)
    for side in filter(None, limits().get(series.metric, ())):
        found = [
            (a.changed_ms, a.status, a.severity, a.revision, a.opened_ms, a.window_start_ms)
            for a in alerts
            if a.rule == side.rule
        ]
        assert found == crossings(series, side)


def test_low_glucose_opens_after_fifteen_minutes_and_ends_after_fifteen() -> None:
    series = stretches("blood_glucose", [(90, 5), (65, 4), (75, 4)], step=5 * MINUTE)
    opened, resolved = alerts_of(series, rule=LOW)
    assert [opened.status, resolved.status] == ["opened", "resolved"]
    assert opened.changed_ms == series.times[8]
    assert opened.window_start_ms == series.times[5]
    assert list(opened.sample_values) == [65, 65, 65, 65]
    assert opened.expected_low == 70
    assert opened.expected_high is None
    assert opened.explanation == (
        "Blood glucose 65 mg/dL has been below 70 mg/dL for 15 minutes or more."
    )
    assert resolved.changed_ms == series.times[12]
    assert resolved.explanation == "Blood glucose 75 mg/dL is no longer below 70 mg/dL."


def test_a_dip_that_is_too_short_is_no_alert() -> None:
    series = stretches("blood_glucose", [(90, 5), (65, 3), (75, 4)], step=5 * MINUTE)
    assert alerts_of(series) == []


def test_a_gap_interrupts_a_dip() -> None:
    times = MIDNIGHT + np.array([0, 5, 30, 35, 60, 65], dtype=np.int64) * MINUTE
    assert alerts_of(Series("blood_glucose", times, np.full(6, 60.0))) == []


def test_severity_rises_and_falls_within_one_alert() -> None:
    parts = [(90, 3), (65, 5), (50, 5), (60, 5), (90, 5)]
    found = alerts_of(stretches("blood_glucose", parts, step=5 * MINUTE), rule=LOW)
    assert story(found) == [
        ("opened", "warning"),
        ("updated", "critical"),
        ("updated", "warning"),
        ("resolved", "warning"),
    ]
    assert len({alert.alert_id for alert in found}) == 1
    assert found[2].explanation == (
        "Blood glucose 60 mg/dL is no longer below 54 mg/dL; the limit of 70 mg/dL still counts."
    )


def test_a_severe_level_that_is_reached_first_opens_at_once() -> None:
    found = alerts_of(stretches("spo2", [(97, 5), (85, 4), (96, 5)]), rule=LOW)
    assert story(found) == [("opened", "critical"), ("resolved", "critical")]


def test_hysteresis_keeps_a_wavering_value_from_flapping() -> None:
    wavering = stretches("systolic_bp", [(120, 1), (141, 20)], step=10 * MINUTE)
    wavering.values[2::2] = 138
    assert story(alerts_of(wavering)) == [("opened", "warning")]
    back = stretches("systolic_bp", [(120, 1), (141, 3), (134, 1)], step=10 * MINUTE)
    assert story(alerts_of(back)) == [("opened", "warning"), ("resolved", "warning")]


def test_high_heart_rate_needs_ten_minutes_and_names_what_is_not_known() -> None:
    calm = [(70, 30)]
    short = stretches("heart_rate", [*calm, (140, 600), (70, 60)], step=SECOND)
    assert alerts_of(short, rule=HIGH) == []
    long = stretches("heart_rate", [*calm, (140, 601), (70, 121)], step=SECOND)
    opened, resolved = alerts_of(long, rule=HIGH)
    assert [opened.status, resolved.status] == ["opened", "resolved"]
    assert opened.explanation.endswith(
        "at or above 131 /min for 10 minutes or more. "
        "Activity is not known: exercise changes it too."
    )
    assert len(opened.sample_times) == 12


@pytest.mark.parametrize(("value", "expected"), [(37.94, []), (37.95001, [("opened", "info")])])
def test_values_are_compared_as_they_are_shown(
    value: float, expected: list[tuple[str, str]]
) -> None:
    assert story(alerts_of(stretches("body_temperature", [(value, 1)]))) == expected
