"""Rule ``unusual-value`` on series with known answers."""

import numpy as np
import pytest

from tables.alerts import Alert
from tables.detection import expected
from tables.detection.baseline import BAND_SPREADS, MAX_AGE_MS
from tables.detection.unusual import COOL_DOWN_MS, MAX_UPDATES, RULE
from tests.detection.feeding import (
    DAY,
    HOUR,
    MIDNIGHT,
    MINUTE,
    SECOND,
    Keeper,
    Series,
    alerts_of,
    story,
    stretches,
)

OPENED, UPDATED, RESOLVED = ("opened", "info"), ("updated", "info"), ("resolved", "info")


def band(keeper: Keeper) -> tuple[float, float]:
    low, high = expected(np.array([keeper.rows["ada"]]))
    return float(low[0]), float(high[0])


def fed(series: Series) -> Keeper:
    keeper = Keeper()
    keeper.feed({"ada": series})
    return keeper


def unusual(*parts: tuple[float, int], metric: str = "heart_rate") -> list[Alert]:
    return alerts_of(stretches(metric, parts), rule=RULE)


def test_of_normal_minutes_the_spread_is_the_standard_deviation() -> None:
    rng = np.random.default_rng(3)
    minutes = rng.normal(70, 10, 1000)
    times = MIDNIGHT + np.arange(1000 * 4, dtype=np.int64) * 15 * SECOND
    keeper = fed(Series("heart_rate", times, minutes.repeat(4) + np.tile([-1, 1], 2000)))
    row = keeper.rows["ada"]
    assert row["learned"] == 999
    assert row["level"] == pytest.approx(70, abs=3)
    assert row["spread"] == pytest.approx(10, rel=0.1)
    assert row["part_spread"][:8] == pytest.approx(np.full(8, 10), rel=0.25)
    assert row["part_learned"].tolist() == [120] * 8 + [39] + [0] * 3


def test_twenty_minutes_are_enough_for_a_band() -> None:
    floor = 4
    keeper = fed(stretches("heart_rate", [(70, 21)]))
    assert band(keeper) == (70 - BAND_SPREADS * floor, 70 + BAND_SPREADS * floor)


def test_no_band_before_the_warm_up() -> None:
    keeper = fed(stretches("heart_rate", [(70, 15), (120, 5)]))
    assert keeper.alerts == {}
    assert np.isnan(band(keeper)).all()


def test_a_sustained_step_opens_and_its_end_resolves() -> None:
    opened, resolved = unusual((70, 60), (110, 10), (72, 10))
    assert [opened.status, resolved.status] == ["opened", "resolved"]
    assert opened.opened_ms == MIDNIGHT + 62 * MINUTE
    assert opened.window_start_ms == MIDNIGHT + 60 * MINUTE
    assert list(opened.sample_values) == [110, 110, 110]
    assert opened.baseline_count == 62
    assert opened.explanation == (
        "Heart rate 110 /min is above the expected 54\N{EN DASH}86 /min "
        "(recent level 70, spread learned from 62 minutes). "
        "Activity is not known: exercise changes it too."
    )
    assert resolved.changed_ms == MIDNIGHT + 72 * MINUTE
    assert resolved.alert_id == opened.alert_id
    assert "is no longer above the expected" in resolved.explanation
    assert "Activity" not in resolved.explanation


def test_a_low_step_is_found_too() -> None:
    (opened,) = unusual((70, 60), (45, 5))
    assert "is below the expected" in opened.explanation


@pytest.mark.parametrize(("count", "step"), [(2, MINUTE), (60, SECOND)])
def test_short_excursions_are_no_alert(count: int, step: int) -> None:
    keeper = fed(stretches("heart_rate", [(70, 60)]))
    later = stretches("heart_rate", [(150, count)], step=step, start=MIDNIGHT + HOUR)
    assert alerts_of(later, keeper) == []


def test_unusual_samples_across_a_gap_are_not_consecutive() -> None:
    keeper = fed(stretches("heart_rate", [(70, 60)]))
    later = stretches("heart_rate", [(150, 3)], step=25 * MINUTE, start=MIDNIGHT + HOUR)
    assert alerts_of(later, keeper) == []


def test_values_between_the_bands_neither_open_nor_resolve() -> None:
    """Spread 4 around 70: unusual beyond 86, back below 82; both move with the level."""
    alerts = unusual((70, 400), (85, 2), (100, 5), (85, 3), (100, 5))
    assert story(alerts) == [OPENED]


def test_updates_are_bounded() -> None:
    climb = [(90 + 8 * step, 1) for step in range(20)]
    alerts = unusual((70, 400), *climb)
    assert story(alerts) == [OPENED] + [UPDATED] * MAX_UPDATES
    assert "is further above" in alerts[1].explanation


def test_a_repeat_is_suppressed_for_a_while_unless_it_is_worse() -> None:
    first = [(70, 1000), (100, 5), (70, 5)]
    silent = COOL_DOWN_MS // MINUTE
    assert story(unusual(*first, (100, 5), (70, 5))) == [OPENED, RESOLVED]
    assert story(unusual(*first, (120, 5))) == [OPENED, RESOLVED, OPENED]
    assert story(unusual(*first, (40, 5))) == [OPENED, RESOLVED, OPENED]
    alerts = unusual(*first, (70, silent), (100, 5))
    assert story(alerts) == [OPENED, RESOLVED, OPENED]
    assert len({alert.alert_id for alert in alerts}) == 2


def test_a_change_of_level_is_absorbed_within_hours() -> None:
    alerts = unusual((60, 2 * 1440), (90, 6 * 60))
    assert story(alerts) == [OPENED, RESOLVED]
    assert alerts[1].changed_ms - alerts[0].changed_ms < 3 * HOUR


def test_a_part_of_the_day_has_its_own_spread() -> None:
    """Calm until noon, restless after it: the same step is unusual only before."""
    day = [(70, 720), *[(50, 5), (90, 5)] * 72]
    step = [(95, 5)]
    morning = unusual(*day, *day, *day, (70, 600), *step)
    evening = unusual(*day, *day, *day, *day[:60], *step)
    assert story(morning)[-1] == OPENED
    assert morning[-1].changed_ms == MIDNIGHT + 3 * DAY + 602 * MINUTE
    assert evening == [] or evening[-1].changed_ms < MIDNIGHT + 3 * DAY


def test_a_short_episode_does_not_become_the_measure() -> None:
    calm = [(70, 1440)]
    before = fed(stretches("heart_rate", [*calm, (70, 1)]))
    after = fed(stretches("heart_rate", [*calm, (200, 10), (70, 1)]))
    assert band(after)[1] - band(before)[1] < 6


def test_one_wild_minute_at_the_start_does_not_blind() -> None:
    keeper = fed(stretches("heart_rate", [(200, 1), (70, 240)]))
    assert band(keeper)[1] < 120


def test_a_flat_stretch_does_not_make_the_next_step_of_the_sensor_unusual() -> None:
    assert unusual((97, 600), (96, 60), (95, 60), metric="spo2") == []


def test_one_sided_metrics_have_one_edge() -> None:
    keeper = fed(stretches("spo2", [(95, 60), (100, 10), (90, 4)]))
    assert np.isnan(band(keeper)[1])
    (found,) = [alert for alert in keeper.alerts["ada"] if alert.rule == RULE]
    assert found.expected_high is None
    assert found.explanation.startswith("SpO2 90% is below the expected ")
    assert "% or more (recent level 9" in found.explanation


def test_spot_metrics_have_no_baseline() -> None:
    keeper = fed(stretches("systolic_bp", [(120, 60), (135, 30)]))
    assert keeper.alerts == {}
    assert np.isnan(band(keeper)).all()
    assert keeper.rows["ada"]["learned"] == 0


class TestAfterAPause:
    day = stretches("heart_rate", [(60, 1), (80, 1)] * 300)

    def test_of_days_what_was_learned_serves(self) -> None:
        later = stretches("heart_rate", [(170, 4)], start=MIDNIGHT + 2 * DAY)
        (opened,) = alerts_of(later, fed(self.day))
        assert opened.baseline_count == 602

    def test_that_is_too_long_all_is_learned_anew(self) -> None:
        start = MIDNIGHT + DAY + MAX_AGE_MS
        keeper = fed(self.day)
        assert alerts_of(stretches("heart_rate", [(130, 10)], start=start), keeper) == []
        assert keeper.rows["ada"]["learned"] == 9
        assert np.isnan(band(keeper)).all()

    def test_that_is_too_long_an_open_alert_ends(self) -> None:
        keeper = fed(stretches("heart_rate", [(70, 60), (110, 5)]))
        later = stretches("heart_rate", [(110, 5)], start=MIDNIGHT + DAY + MAX_AGE_MS)
        (resolved,) = alerts_of(later, keeper)
        assert story([resolved]) == [RESOLVED]
        assert (resolved.expected_low, resolved.baseline_count) == (None, 0)
        assert "no expected range" in resolved.explanation


def test_huge_values_are_bounded_where_they_are_added() -> None:
    keeper = fed(stretches("heart_rate", [(1e300, 30), (-1e300, 30)], step=SECOND))
    assert np.isfinite(keeper.rows["ada"]["sum"])
