"""Detection on the recordings that come with the project.

``python -m tests.detection.recordings`` writes the file of known alerts anew.
"""

import numpy as np

from tables.detection.unusual import RULE
from tests.detection.feeding import DAY, HOUR, MINUTE, Keeper, Series
from tests.detection.recordings import GOLDEN, as_csv, everyone, everyones_alerts


def opened_a_day(metric: str) -> float:
    """Return alerts of unusual values for each day on which a person was measured."""
    days = sum(
        len(np.unique(series.times // DAY))
        for series in everyone().values()
        if series.metric == metric
    )
    opened = [
        alert
        for alert in everyones_alerts()
        if (alert.metric, alert.rule, alert.status) == (metric, RULE, "opened")
    ]
    return len(opened) / days


def found_of_added(metric: str, amount: float, *, minutes: int) -> float:
    """Return the share of added episodes, ten hours apart, in which an alert is opened."""
    many, added = {}, []
    for name, series in everyone().items():
        if series.metric != metric:
            continue
        values, start = series.values.copy(), int(series.times[0]) + DAY
        while start < series.times[-1]:
            first, end = series.times.searchsorted((start, start + minutes * MINUTE))
            within = series.times[first:end]
            # Else the person was hardly measured at that time.
            enough = len(within) >= 5 and int(np.ptp(within)) > minutes * MINUTE // 2
            if enough:
                values[first:end] += amount
                added.append((name, start))
            start += 10 * HOUR if enough else HOUR
        many[name] = Series(metric, series.times, values)
    keeper = Keeper()
    keeper.feed(many)
    found = [
        any(
            alert.rule == RULE
            and alert.status == "opened"
            and start <= alert.opened_ms <= start + minutes * MINUTE
            for alert in keeper.alerts.get(name, ())
        )
        for name, start in added
    ]
    return sum(found) / len(found)


def test_the_alerts_are_the_known_ones() -> None:
    assert as_csv(everyones_alerts()) == GOLDEN.read_text(encoding="utf-8")


def test_unusual_values_are_rare_in_everyday_life() -> None:
    """Heart rate: 12 alerts in 265 person-days; glucose: 19 in 76."""
    assert opened_a_day("heart_rate") < 0.05
    assert opened_a_day("blood_glucose") < 0.3


def test_episodes_that_are_added_are_found() -> None:
    """Glucose 50 mg/dL up for an hour: 5 of 10; 80 up: 8 of 10; heart rate 40 up: 8 of 10."""
    assert found_of_added("blood_glucose", 50, minutes=60) > 0.4
    assert found_of_added("blood_glucose", 80, minutes=60) > 0.7
    assert found_of_added("heart_rate", 40, minutes=30) > 0.7
