"""The detector as a whole: independence of batching, late data, packing, what alerts say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import DecodeError, InvariantError, ValidationError
from schemas.catalogue import catalogue
from schemas.codec import Codec
from schemas.columns import Float64, Int64
from tables.alerts import MAX_EVIDENCE, alert_id
from tables.detector import DetectorState, expected, observe, watched
from tables.limits import limits
from tables.watch import watches
from tests.tables.detection import DAY, HOUR, MIDNIGHT, MINUTE, SECOND, days_over, feed, series

Case = tuple[str, Int64, Float64, list[int]]

METRICS = ["heart_rate", "blood_glucose", "spo2", "body_temperature", "systolic_bp"]
CENTRES = {
    "heart_rate": 70.0,
    "blood_glucose": 100.0,
    "spo2": 96.0,
    "body_temperature": 36.8,
    "systolic_bp": 120.0,
}


@st.composite
def rough_series(draw: st.DrawFn) -> Case:
    """Series with steps, gaps, several days and many crossings; and where to cut them."""
    metric = draw(st.sampled_from(METRICS))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    blocks = draw(st.integers(2, 9))
    steps, levels = [], []
    for _ in range(blocks):
        count = int(rng.integers(3, 60))
        steps.append(np.full(count, rng.choice([SECOND, 10 * SECOND, MINUTE, 5 * MINUTE])))
        steps[-1][0] = rng.choice([SECOND, 25 * MINUTE, 7 * HOUR])
        level = CENTRES[metric] * rng.choice([1.0, 1.0, 1.0, 0.5, 0.93, 1.1, 2.2])
        levels.append(level + rng.normal(0, 0.02 * CENTRES[metric], count))
    times = MIDNIGHT + np.cumsum(np.concatenate(steps)).astype(np.int64)
    cuts = draw(st.lists(st.integers(1, len(times) - 1), max_size=12))
    return metric, times, np.concatenate(levels), cuts


@settings(max_examples=120, deadline=None)
@given(rough_series())
def test_any_cutting_gives_the_same_alerts_and_state(
    case: Case,
) -> None:
    metric, times, values, cuts = case
    whole_state, whole = feed(metric, times, values)
    cut_state, cut = feed(metric, times, values, cuts=cuts, repack=True)
    single_state, single = feed(metric, times, values, cuts=range(1, len(times)))
    assert whole == cut == single
    assert whole_state == cut_state == single_state


@settings(max_examples=60, deadline=None)
@given(rough_series())
def test_alerts_live_orderly_lives(
    case: Case,
) -> None:
    metric, times, values, _ = case
    state, alerts = feed(metric, times, values)
    assert DetectorState.unpack(state.pack()) == state
    lives: dict[str, list[str]] = {}
    for alert in alerts:
        life = lives.setdefault(alert.alert_id, [])
        life.append(alert.status)
        assert alert.revision == len(life)
        assert alert.alert_id == alert_id("ada", metric, alert.rule, alert.opened_ms)
        assert alert.opened_ms <= alert.changed_ms
        assert alert.window_start_ms <= alert.window_end_ms == alert.changed_ms
        assert (alert.resolved_ms is not None) == (alert.status == "resolved")
        assert 1 <= len(alert.sample_times) <= MAX_EVIDENCE
        assert alert.sample_times[-1] == alert.changed_ms
        assert alert.sample_values[-1] == alert.value
        assert alert.window_start_ms <= alert.sample_times[0]
    for life in lives.values():
        assert life[0] == "opened"
        assert "opened" not in life[1:]
        assert "resolved" not in life[:-1]


def test_late_samples_change_nothing() -> None:
    times, values = series([(70, 120)])
    state, _ = feed("heart_rate", times, values)
    late = times[:60] + 30 * SECOND
    after, alerts = feed("heart_rate", late, np.full(60, 180.0), state=state)
    assert after == state
    assert alerts == []


def test_overlapping_samples_count_once() -> None:
    times, values = series([(70, 90), (150, 30), (70, 60)])
    state, alerts = feed("heart_rate", times, values)
    first, opened = feed("heart_rate", times[:100], values[:100])
    second, rest = feed("heart_rate", times[50:], values[50:], state=first)
    assert opened + rest == alerts
    assert second == state


def test_state_stays_small_over_a_full_day_of_diverse_values() -> None:
    rng = np.random.default_rng(5)
    times = MIDNIGHT + np.arange(0, DAY, 20 * SECOND, dtype=np.int64)
    state, _ = feed("heart_rate", times, rng.uniform(50, 250, len(times)))
    assert state.baseline.usual.minutes == 1439
    assert len(state.pack()) <= 2048


@pytest.mark.parametrize("damage", [b"", b"\x07" + bytes(60), b"\x01" + bytes(20)])
def test_damaged_states_are_refused(damage: bytes) -> None:
    with pytest.raises(DecodeError):
        DetectorState.unpack(damage)


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(DecodeError, match="too many"):
        DetectorState.unpack(DetectorState().pack() + b"\x00")


def test_times_must_ascend() -> None:
    times, values = series([(70, 3)])
    with pytest.raises(ValidationError):
        feed("heart_rate", times[::-1].copy(), values)


def test_days_must_cover_the_samples() -> None:
    times, values = series([(70, 3)])
    with pytest.raises(InvariantError):
        observe(
            DetectorState(),
            user_id="ada",
            metric=catalogue()["heart_rate"],
            device_id="watch",
            times=times + DAY,
            values=values,
            days=days_over(times),
        )


def test_unwatched_metrics_keep_no_state() -> None:
    times, values = series([(900, 30)])
    assert not watched(catalogue()["steps"])
    state, alerts = feed("steps", times, values)
    assert alerts == []
    assert state == DetectorState()
    assert expected(state, catalogue()["steps"]) == (None, None)


def test_the_parameters_fit_the_catalogue() -> None:
    assert set(limits()) <= set(watches()) <= set(catalogue())
    assert {catalogue()[metric].kind for metric in watches()} == {"gauge"}


def test_an_alert_survives_the_codec() -> None:
    times, values = series([(70, 90), (150, 30)])
    _, alerts = feed("heart_rate", times, values)
    record = alerts[0].to_record()
    assert Codec().decode("alert", Codec().encode("alert", record)) == record
