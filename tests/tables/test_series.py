"""Windows of a series are those of a batch computation, whatever the order of arrival."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.windows import DAY, HOUR, HOUR_MS, MINUTE, MINUTE_MS
from tables.aggregates import EPOCH_2020_MS, aggregate, by_time_and_value
from tables.days import Calendar
from tables.series import Limits, Row, Series, arrive, recalendar

T0 = 1_795_428_000_000  # 2026-11-23T10:00:00Z
BERLIN = Calendar.of_zone("Europe/Berlin")


@dataclass(frozen=True)
class Arrival:
    """Samples of one device that were received together."""

    device: int
    rank: int
    samples: dict[int, float]


@dataclass
class Store:
    """What a sink would hold: the newest version of each row, and every sample."""

    rows: dict[tuple[int, int], Row]
    samples: dict[tuple[int, int], tuple[int, float]]

    def keep(self, row: Row) -> None:
        old = self.rows.get((row.size, row.start))
        if old is None or row.version >= old.version:
            self.rows[row.size, row.start] = row

    def recompute(self, size: int, start: int, end: int) -> None:
        row = batch_row(self.samples, size, start, end)
        if row:
            self.keep(row)


def batch_row(
    samples: dict[tuple[int, int], tuple[int, float]], size: int, start: int, end: int
) -> Row | None:
    inside = [(t, rank, value) for (_, t), (rank, value) in samples.items() if start <= t < end]
    if not inside:
        return None
    columns = by_time_and_value(
        np.array([t for t, _, _ in sorted(inside)]),
        np.array([v for _, _, v in sorted(inside)]),
        np.array([r for _, r, _ in sorted(inside)]),
    )
    whole = aggregate(*columns)
    return Row(
        size, start, end, whole.count, whole.sum, whole.sum_sq, whole.min, whole.max,
        whole.first, whole.last, whole.version,
    )  # fmt: skip


def batch_rows(
    samples: dict[tuple[int, int], tuple[int, float]], calendar: Calendar
) -> dict[tuple[int, int], Row]:
    windows = set()
    for _, t in samples:
        windows.add((MINUTE, t - t % MINUTE_MS, t - t % MINUTE_MS + MINUTE_MS))
        windows.add((HOUR, t - t % HOUR_MS, t - t % HOUR_MS + HOUR_MS))
        windows.add((DAY, *calendar.day(t)))
    rows = {}
    for size, start, end in windows:
        row = batch_row(samples, size, start, end)
        assert row is not None
        rows[size, start] = row
    return rows


def run(arrivals: list[Arrival], calendar: Calendar, limits: Limits) -> tuple[Series, Store]:
    series, store = Series(), Store({}, {})
    for arrival in arrivals:
        times = np.array(sorted(arrival.samples), np.int64)
        values = np.array([arrival.samples[t] for t in sorted(arrival.samples)])
        series, changes = arrive(
            series, times, values, device=arrival.device, rank=arrival.rank,
            calendar=calendar, limits=limits,
        )  # fmt: skip
        for t, value in arrival.samples.items():
            identity = (arrival.device, t)
            store.samples[identity] = max(
                store.samples.get(identity, (0, 0.0)), (arrival.rank, value)
            )
        for row in changes.rows:
            store.keep(row)
        for window in changes.late:
            store.recompute(*window)
        total = changes.added + changes.corrected + changes.duplicate + changes.late_samples
        assert total == len(times)
    return series, store


def assert_same(found: dict[tuple[int, int], Row], wanted: dict[tuple[int, int], Row]) -> None:
    assert found.keys() == wanted.keys()
    for key, row in wanted.items():
        got = found[key]
        assert (got.count, got.version, got.end) == (row.count, row.version, row.end), key
        assert (got.min, got.max, got.first, got.last) == (row.min, row.max, row.first, row.last)
        assert got.sum == pytest.approx(row.sum, rel=1e-12)
        assert got.sum_sq == pytest.approx(row.sum_sq, rel=1e-12)


instants = st.integers(0, 9 * 3600).map(lambda second: T0 + 10 * 3_600_000 + second * 1000)
arrivals = st.lists(
    st.builds(
        Arrival,
        device=st.integers(0, 2),
        rank=st.integers(0, 40).map(lambda i: T0 + 90_000_000 + i),
        samples=st.dictionaries(instants, st.integers(40, 180).map(float), min_size=1, max_size=25),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(
    arrivals=arrivals,
    horizon=st.sampled_from([60_000, 900_000, 7_200_000]),
    cap=st.sampled_from([3, 20, 4096]),
)
def test_any_arrival_ends_in_the_rows_of_a_batch_computation(
    arrivals: list[Arrival], horizon: int, cap: int
) -> None:
    series, store = run(arrivals, BERLIN, Limits(horizon, cap))
    assert_same(store.rows, batch_rows(store.samples, BERLIN))
    assert len(series.times) <= cap


@settings(max_examples=60, deadline=None)
@given(arrivals=arrivals, data=st.data())
def test_order_and_repetition_change_no_row(arrivals: list[Arrival], data: st.DataObject) -> None:
    limits = Limits(900_000, 4096)
    again = arrivals + data.draw(st.lists(st.sampled_from(arrivals or [Arrival(0, T0, {T0: 1.0})])))
    again = again if arrivals else []
    shuffled = data.draw(st.permutations(again))
    _, once = run(arrivals, BERLIN, limits)
    _, other = run(list(shuffled), BERLIN, limits)
    assert_same(other.rows, once.rows)


def test_in_order_data_is_never_late_and_a_repetition_changes_nothing() -> None:
    limits = Limits(900_000, 4096)
    series = Series()
    for step in range(200):
        times = T0 + np.arange(step * 60, step * 60 + 60) * 1000
        series, changes = arrive(
            series, times, np.full(60, 70.0), device=0, rank=T0 + step,
            calendar=BERLIN, limits=limits,
        )  # fmt: skip
        assert changes.late == []
        assert (changes.added, changes.duplicate) == (60, 0)
    same, changes = arrive(
        series, times, np.full(60, 70.0), device=0, rank=T0 + 199, calendar=BERLIN, limits=limits
    )
    assert same is series
    assert (changes.rows, changes.duplicate) == ([], 60)


def test_a_newer_value_replaces_an_older_one_and_not_the_other_way_round() -> None:
    limits = Limits(900_000, 4096)
    times = np.array([T0])
    new, old = 5, 3
    series, _ = arrive(
        Series(), times, np.array([61.0]), device=0, rank=T0 + new, calendar=BERLIN, limits=limits
    )
    series, changes = arrive(
        series, times, np.array([75.0]), device=0, rank=T0 + old, calendar=BERLIN, limits=limits
    )
    assert changes.rows == []
    series, changes = arrive(
        series, times, np.array([62.0]), device=0, rank=T0 + 9, calendar=BERLIN, limits=limits
    )
    assert changes.corrected == 1
    assert [row.last for row in changes.rows] == [62.0, 62.0, 62.0]
    assert changes.rows[0].version == T0 + 9 - EPOCH_2020_MS


def test_a_change_of_zone_hands_the_open_day_to_late_care() -> None:
    limits = Limits(60_000, 4096)
    times = T0 + np.arange(600) * 1000
    series, _ = arrive(
        Series(), times, np.ones(600), device=0, rank=T0, calendar=BERLIN, limits=limits
    )
    moved = Calendar.of_history([(0, "Europe/Berlin"), (T0 + 650_000, "Asia/Tokyo")])
    assert moved.day(T0)[1] == T0 + 660_000, "a zone holds from a whole minute on"
    series, changes = arrive(
        recalendar(series, moved), np.array([T0 + 640_000]), np.ones(1), device=0, rank=T0,
        calendar=moved, limits=limits,
    )  # fmt: skip
    assert [window for window in changes.late if window[0] == DAY] == [(DAY, *moved.day(T0))]
    assert DAY not in {row.size for row in changes.rows}
