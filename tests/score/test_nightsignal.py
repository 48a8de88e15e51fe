"""NightSignal's rule: exactly the published alerts, on a stream."""

import csv
import gzip
import statistics
from datetime import datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tables.nightsignal import GREEN, RED, YELLOW, NightSignal, update

RECORDING = Path(__file__).with_name("nightsignal")
NIGHTS = st.dictionaries(st.integers(0, 30), st.integers(55, 64), min_size=1, max_size=30)


def alerts(nights: dict[int, int]) -> dict[int, int]:
    """Return the alert of each night of a stream of one sample a night."""
    state, found = NightSignal(), {}
    for day in sorted(nights):
        state, found[day] = update(state, 1000 + day, 3, nights[day])
    return found


def batch(nights: dict[int, int]) -> dict[int, int]:
    """Return the alerts as the publication's program finds them, all nights at once."""
    known: dict[int, float] = dict(nights)
    days = sorted(nights)
    for before, day, after in zip(days, days[1:], days[2:], strict=False):
        if day - before == 2 and after - day == 1:
            known[day - 1] = (nights[before] + nights[day]) / 2
    raised = {}
    for day, mean in known.items():
        usual = int(statistics.median(value for other, value in known.items() if other <= day))
        raised[day] = mean - usual
    return {
        day: RED
        if min(raised[day], raised.get(day - 1, 0)) >= 4
        else YELLOW
        if min(raised[day], raised.get(day - 1, 0)) >= 3
        else GREEN
        for day in days
    }


def test_a_published_record_gives_the_published_alerts() -> None:
    with (RECORDING / "alerts.csv").open() as file:
        expected = {row["day"]: int(row["alert"]) for row in csv.DictReader(file)}
    state, found = NightSignal(), {}
    with gzip.open(RECORDING / "resting_heart_rate.csv.gz", "rt") as lines:
        for row in csv.DictReader(lines):
            time = datetime.fromisoformat(row["time"])
            bpm = float(row["resting_heart_rate"])
            state, alert = update(state, time.toordinal(), time.hour, bpm)
            found[row["time"][:10]] = alert
    assert len(expected) == 54
    assert found == expected


@given(NIGHTS)
def test_each_alert_is_that_of_the_whole_record_up_to_a_next_night(nights: dict[int, int]) -> None:
    found = alerts(nights)
    for day in nights:
        upto = {other: mean for other, mean in nights.items() if other <= day}
        assert found[day] == batch({**upto, day + 1: 60})[day]


def test_two_nights_in_a_row_alert_in_their_milder_colour() -> None:
    usual = dict.fromkeys(range(10), 60)
    assert alerts({**usual, 10: 64, 11: 64})[11] == RED
    assert alerts({**usual, 10: 64, 11: 63})[11] == YELLOW
    assert alerts({**usual, 10: 63, 11: 64})[11] == YELLOW
    assert alerts({**usual, 10: 64, 11: 62})[11] == GREEN
    assert alerts({**usual, 10: 64})[10] == GREEN


def test_one_missing_night_is_filled_and_two_are_not() -> None:
    usual = dict.fromkeys(range(10), 60)
    assert alerts({**usual, 10: 64, 12: 66})[12] == RED
    assert alerts({**usual, 10: 64, 13: 66})[13] == GREEN


def test_only_the_night_counts_and_its_alert_stands_for_the_day() -> None:
    state = NightSignal()
    for day in range(1, 11):
        state, _ = update(state, day, 2, 60)
    for day in (11, 12):
        state, _ = update(state, day, 0, 64.9)
        state, alert = update(state, day, 6, 64)
        state, daytime = update(state, day, 7, 150)
        assert alert == daytime
    assert daytime == RED
    state, alert = update(state, 13, 9, 150)
    assert alert == GREEN


def test_missing_and_impossible_rates_are_passed_over() -> None:
    state = NightSignal()
    for bpm in (None, -1.0, 301.0):
        assert update(state, 5, 3, bpm) == (state, GREEN)


def test_a_state_stays_as_small_as_it_is() -> None:
    state = NightSignal()
    for day in range(2_000):
        state, _ = update(state, day, 3, 50 + day % 17)
    assert len(state.now.counts) == len(NightSignal().now.counts) == 601
