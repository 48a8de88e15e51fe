"""Local days partition time, whatever clocks and zones do."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ConfigurationError
from tables.days import Calendar, local_day, zone


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_days_of_a_zone_have_23_24_or_25_hours() -> None:
    hours = {
        day: (local_day("Europe/Berlin", ms(day))[1] - local_day("Europe/Berlin", ms(day))[0])
        / 3_600_000
        for day in ("2026-03-29T12:00", "2026-07-01T12:00", "2026-10-25T12:00")
    }
    assert list(hours.values()) == [23, 24, 25]


def test_a_midnight_that_the_clocks_skip_is_the_instant_of_the_change() -> None:
    start, end = local_day("America/Asuncion", ms("2023-10-01T12:00"))
    assert start == ms("2023-10-01T04:00")
    assert end == ms("2023-10-02T03:00")


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(ConfigurationError, match="Mars/Olympus"):
        zone("Mars/Olympus")


@given(
    history=st.lists(
        st.tuples(
            st.integers(ms("2026-01-01T00:00"), ms("2026-12-31T00:00")),
            st.sampled_from(["UTC", "Asia/Kolkata", "Europe/Berlin", "America/New_York"]),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda entry: entry[0] // 60_000,
    ),
    times=st.lists(
        st.integers(ms("2026-01-01T00:00"), ms("2026-12-31T00:00")), min_size=1, max_size=20
    ),
)
def test_the_days_of_a_person_neither_overlap_nor_leave_gaps(
    history: list[tuple[int, str]], times: list[int]
) -> None:
    calendar = Calendar.of_history(history)
    days = calendar.days(np.array(sorted(times)))
    assert len(days) == len(set(days))
    for time in times:
        start, end = calendar.day(time)
        assert start <= time < end
        assert (start, end) in days
        assert calendar.day(start) == (start, end) == calendar.day(end - 1)
