"""How samples are cut into calls, and which series share one, makes no difference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import DecodeError, InvariantError
from schemas.catalogue import catalogue
from schemas.codec import Codec
from tables.alerts import MAX_EVIDENCE, alert_id
from tables.detection import ROW, Active, expected, observe, watched
from tables.detection.fresh import Fresh
from tests.detection.feeding import CODES, DAY, Keeper, Series, alerts_of, fresh, stretches
from tests.detection.rough import rough_series

MAX_ROW = 448
MAX_ACTIVE = 512


@st.composite
def calls(draw: st.DrawFn) -> tuple[dict[str, Series], list[dict[str, Series]]]:
    """Several series, and their samples cut into calls at random."""
    many = {f"person {number}": draw(rough_series()) for number in range(draw(st.integers(1, 4)))}
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = draw(st.lists(st.sampled_from([1, 2, 7, 40, 150]), min_size=1, max_size=4))
    done = dict.fromkeys(many, 0)
    cut = []
    while any(done[name] < len(series) for name, series in many.items()):
        call = {}
        for name in rng.permutation(list(many)).tolist():
            size = int(rng.choice([0, *sizes]))
            call[name] = many[name][done[name] : done[name] + size]
            done[name] += len(call[name])
        cut.append(call)
    return many, cut


@settings(max_examples=30, deadline=None)
@given(calls())
def test_any_calls_give_the_same_alerts_and_states(
    case: tuple[dict[str, Series], list[dict[str, Series]]],
) -> None:
    many, cut = case
    together, apart, single = Keeper(), Keeper(), Keeper()
    together.feed(many)
    for call in cut:
        apart.feed(call)
    for name, series in many.items():
        for at in range(len(series)):
            single.feed({name: series[at : at + 1]})
    assert together.alerts == apart.alerts == single.alerts
    assert together.state() == apart.state() == single.state()


@settings(max_examples=30, deadline=None)
@given(rough_series())
def test_alerts_live_orderly_lives(series: Series) -> None:
    lives: dict[str, list[str]] = {}
    for alert in alerts_of(series):
        life = lives.setdefault(alert.alert_id, [])
        life.append(alert.status)
        assert alert.revision == len(life)
        assert alert.alert_id == alert_id("ada", series.metric, alert.rule, alert.opened_ms)
        assert alert.opened_ms <= alert.changed_ms
        assert alert.window_start_ms <= alert.window_end_ms == alert.changed_ms
        assert (alert.resolved_ms is not None) == (alert.status == "resolved")
        assert 1 <= len(alert.sample_times) <= MAX_EVIDENCE
        assert alert.sample_times[-1] == alert.changed_ms
        assert alert.sample_values[-1] == alert.value
        at = series.times.searchsorted(alert.sample_times)
        assert tuple(series.values[at].tolist()) == alert.sample_values
        assert at.tolist() == list(range(at[0], at[0] + len(at)))
        window = int(series.times.searchsorted(alert.window_start_ms))
        assert at[0] == max(window, at[-1] + 1 - MAX_EVIDENCE)
    for life in lives.values():
        assert life[0] == "opened"
        assert "opened" not in life[1:]
        assert "resolved" not in life[:-1]


def test_alerts_come_by_series_then_by_time() -> None:
    falling = stretches("systolic_bp", [(150, 1), (85, 1), (120, 1)])
    many = [falling, stretches("systolic_bp", [(190, 1)]), falling]
    rows = np.zeros(3, ROW)
    found = observe(rows, {}, fresh(many, ["a", "b", "c"]))
    order = [(series, alert.changed_ms) for series, alert in found]
    assert order == sorted(order)
    assert [series for series, _ in found] == [0] * 4 + [1] + [2] * 4
    assert [alert.rule for _, alert in found[:4]] == [
        "threshold-high",
        "threshold-low",
        "threshold-high",
        "threshold-low",
    ]


def test_alerts_name_user_and_device_of_their_sample() -> None:
    series = stretches("body_temperature", [(36.8, 70), (38.5, 1)])
    (alert,) = alerts_of(series, rule="threshold-high")
    assert (alert.user_id, alert.device_id) == ("ada", "watch-1")


def test_states_are_small() -> None:
    assert ROW.itemsize <= MAX_ROW
    busiest = Active()
    busiest.times, busiest.values = [1] * MAX_EVIDENCE, [1.0] * MAX_EVIDENCE
    assert len(busiest.pack()) <= MAX_ACTIVE


@settings(max_examples=40, deadline=None)
@given(rough_series())
def test_packing_keeps_everything(series: Series) -> None:
    keeper = Keeper()
    for at in range(0, len(series), 7):
        keeper.feed({"ada": series[at : at + 7]})
        if "ada" in keeper.active:
            state = Active.unpack(keeper.active["ada"])
            assert state.pack() == keeper.active["ada"]
            assert not state.idle
        assert bool(keeper.rows["ada"]["busy"]) == ("ada" in keeper.active)


@pytest.mark.parametrize("damage", [b"", b"\x07" + bytes(160), b"\x01" + bytes(20)])
def test_damaged_states_are_refused(damage: bytes) -> None:
    with pytest.raises(DecodeError):
        Active.unpack(damage)


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(DecodeError):
        Active.unpack(Active().pack() + b"\x00")


def test_a_busy_row_without_its_state_is_refused() -> None:
    rows = np.zeros(1, ROW)
    observe(rows, {}, fresh([stretches("body_temperature", [(39.5, 1)])], ["ada"]))
    later = stretches("body_temperature", [(39.5, 1)], start=20_001 * DAY)
    with pytest.raises(InvariantError):
        observe(rows, {}, fresh([later], ["ada"]))


def test_a_call_without_samples_does_nothing() -> None:
    none = np.empty(0, np.int64)
    nothing = np.empty(0)
    empty = Fresh(
        np.array([CODES["heart_rate"]], np.int16),
        none, none, np.zeros(1, np.int64), nothing, nothing, none, none, nothing,
        str, str,
    )  # fmt: skip
    rows = np.zeros(1, ROW)
    assert observe(rows, {}, empty) == []
    assert rows.tobytes() == bytes(ROW.itemsize)


def test_gauges_with_rules_are_watched() -> None:
    names = {name for name, code in CODES.items() if watched()[code]}
    assert {"heart_rate", "systolic_bp", "device_battery"} <= names
    assert "steps" not in names
    assert {catalogue()[name].kind for name in names} == {"gauge"}


def test_nothing_is_expected_of_a_series_that_has_seen_nothing() -> None:
    low, high = expected(np.zeros(2, ROW))
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_an_alert_survives_the_codec() -> None:
    alerts = alerts_of(stretches("heart_rate", [(70, 90), (150, 30)]))
    record = alerts[0].to_record()
    assert Codec().decode("alert", Codec().encode("alert", record)) == record
