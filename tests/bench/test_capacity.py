"""The calculator: grows with the load, and reads the figures that are shipped."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.capacity import Load, limits, need, read_figures
from app.errors import ConfigurationError

LOAD = Load(users=1_000_000, interval=60)


def test_ten_times_the_people_need_ten_times_the_disk_and_about_the_processes() -> None:
    figures = read_figures()
    one, ten = need(LOAD, figures), need(replace(LOAD, users=10_000_000), figures)
    assert ten.kafka_gb == pytest.approx(10 * one.kafka_gb)
    assert ten.clickhouse_gb == pytest.approx(10 * one.clickhouse_gb)
    assert 9 * one.gateways < ten.gateways < 11 * one.gateways
    assert ten.partitions >= ten.workers


def test_few_people_still_get_two_of_each_process() -> None:
    small = need(Load(users=10, interval=60), read_figures())
    assert (small.gateways, small.workers, small.sinks) == (2, 2, 2)


def test_disk_of_samples_is_arithmetic() -> None:
    figures = dict.fromkeys(read_figures(), 0.0) | {
        "clickhouse_sample_bytes": 4.0,
        "restore_series_per_s": 1.0,
    }
    found = need(Load(users=100, interval=1, samples=1, replication=1), figures)
    assert found.clickhouse_gb_per_day == pytest.approx(100 * 86_400 * 4 / 1e9)


def test_idle_people_are_limited_by_their_state() -> None:
    figures = read_figures()
    idle = need(Load(users=50_000_000, interval=86_400), figures)
    assert idle.worker_mb <= 4_096
    assert idle.restart_seconds <= 60


def test_limits_are_named_worst_first() -> None:
    shares = [servers for _, _, servers in limits(need(LOAD, read_figures()))]
    assert shares == sorted(shares, reverse=True)


def test_figures_that_are_missing_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="figures are not here"):
        read_figures(tmp_path / "figures.json")
