"""What a number of people needs: processes, partitions, memory and disk, from measured figures.

Arithmetic on ``benchmarks/figures.json`` (measured on one core by ``vitalstream bench``) and on
assumptions that are stated with the result. It does not know of a machine's other work, nor of
networks and disks that are slower than what was measured.
"""

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Final

import orjson

from app.errors import ConfigurationError

FIGURES_PATH: Final = Path(__file__).parents[1] / "benchmarks" / "figures.json"
DAY: Final = 86_400
_MINUTES_A_DAY, _HOURS_AND_DAY = 1_440, 25
_MERGED_AGAIN: Final = 2.0
"""A changelog holds each value about so often before compaction has taken the older ones."""
_WORKER_MEMORY_MB: Final = 4_096
"""A worker's state is kept below this, so that restarts stay short: more workers otherwise."""
_RESTORE_SECONDS: Final = 60
_PARTITIONS_A_WORKER: Final = 2
"""So that the number of workers can be doubled without moving people between partitions."""


@dataclass(frozen=True, slots=True)
class Load:
    """What people send, and how much room is left.

    Attributes
    ----------
    users : int
        People.
    interval : float
        Seconds between two uploads of a person.
    metrics : int
        Metrics in an upload.
    samples : int
        Samples of each metric in an upload.
    peak : float
        Load at its highest over the mean.
    utilisation : float
        Share of a core that is used at the peak.
    replication : int
        Copies on Kafka and in ClickHouse.
    kafka_days : float
        Retention of the topics ``uploads``, ``samples`` and ``windows``.
    retention_days : float
        Retention in ClickHouse.
    """

    users: int
    interval: float
    metrics: int = 1
    samples: int = 60
    peak: float = 2.0
    utilisation: float = 0.6
    replication: int = 3
    kafka_days: float = 7.0
    retention_days: float = 365.0

    @property
    def uploads_per_second(self) -> float:
        """Uploads a second, on average."""
        return self.users / self.interval

    @property
    def samples_per_second(self) -> float:
        """Samples a second, on average."""
        return self.uploads_per_second * self.metrics * self.samples


@dataclass(frozen=True, slots=True)
class Need:
    """What that needs. Processes each have a core; disk counts every copy.

    Attributes
    ----------
    gateways, workers, sinks, partitions : int
        Processes, and partitions of every topic.
    worker_mb : float
        Memory of each worker, MB.
    restart_seconds : float
        Until a worker that starts has its state.
    window_rows_per_second : float
        Changed windows a second, on average.
    kafka_gb_per_day, kafka_gb : float
        Written a day, and held: retention and changelogs.
    clickhouse_gb_per_day, clickhouse_gb : float
        Stored a day, and held.
    kafka_mb_per_second : float
        Written to Kafka at the peak, one copy.
    inserts_per_second : float
        Rows that ClickHouse takes at the peak.
    """

    gateways: int
    workers: int
    sinks: int
    partitions: int
    worker_mb: float
    restart_seconds: float
    window_rows_per_second: float
    kafka_gb_per_day: float
    kafka_gb: float
    clickhouse_gb_per_day: float
    clickhouse_gb: float
    kafka_mb_per_second: float
    inserts_per_second: float


def read_figures(path: Path = FIGURES_PATH) -> dict[str, float]:
    """Return the measured figures.

    Raises
    ------
    ConfigurationError
        If the file is not there: it belongs to the checkout.
    """
    try:
        document = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigurationError(f"the measured figures are not here: {path}") from error
    return {name: float(entry["value"]) for name, entry in document.items()}


def need(load: Load, figures: dict[str, float]) -> Need:
    """Compute what a load needs.

    Parameters
    ----------
    load : Load
        The load.
    figures : dict of str to float
        See :func:`read_figures`.
    """
    core = load.utilisation * 1e6 / load.peak  # microseconds of work a core may do a second
    series = load.users * load.metrics
    series_per_second = load.uploads_per_second * load.metrics
    # Each upload touches the minutes that it spans, an hour and a day.
    span_minutes = min(load.interval, load.samples) / 60 + 1
    rows = series_per_second * (span_minutes + 2)

    worker_us = series_per_second * (
        figures["worker_series_us"] + load.samples * figures["worker_sample_us"]
    )
    state_mb = series * figures["worker_series_bytes"] / 1e6
    workers = max(
        2,
        ceil(worker_us / core),
        ceil(state_mb / (_WORKER_MEMORY_MB - figures["worker_base_mb"])),
        ceil(series / (figures["restore_series_per_s"] * _RESTORE_SECONDS)),
    )
    sink_rows = load.samples_per_second + rows

    kafka_second = (
        load.samples_per_second
        * (figures["kafka_upload_sample_bytes"] + figures["kafka_stored_sample_bytes"])
        + rows * figures["kafka_window_row_bytes"]
    )
    changelog = series * figures["changelog_series_bytes"] * _MERGED_AGAIN
    kafka_day = kafka_second * DAY * load.replication / 1e9
    samples_a_day = DAY / load.interval * load.samples  # of one person and metric
    kept_rows = series * (min(_MINUTES_A_DAY, samples_a_day) + _HOURS_AND_DAY)
    stored_day = load.replication * (
        load.samples_per_second * DAY * figures["clickhouse_sample_bytes"]
        + kept_rows * figures["clickhouse_window_row_bytes"]
    ) / 1e9  # fmt: skip
    return Need(
        gateways=max(2, ceil(load.uploads_per_second * figures["gateway_upload_us"] / core)),
        workers=workers,
        sinks=max(2, ceil(sink_rows * figures["sink_row_us"] / core)),
        partitions=max(6, _PARTITIONS_A_WORKER * workers),
        worker_mb=figures["worker_base_mb"] + state_mb / workers,
        restart_seconds=series / workers / figures["restore_series_per_s"],
        window_rows_per_second=rows,
        kafka_gb_per_day=kafka_day,
        kafka_gb=kafka_day * load.kafka_days + changelog * load.replication / 1e9,
        clickhouse_gb_per_day=stored_day,
        clickhouse_gb=stored_day * load.retention_days,
        kafka_mb_per_second=kafka_second * load.peak / 1e6,
        inserts_per_second=sink_rows * load.peak,
    )


LIMITS: Final = (
    ("kafka_mb_per_second", 100.0, "MB/s written to Kafka: brokers, each good for about"),
    ("inserts_per_second", 500_000.0, "rows/s into ClickHouse: shards, each good for about"),
    ("partitions", 1_000.0, "partitions a topic: clusters, each comfortable with about"),
    ("clickhouse_gb", 10_000.0, "GB in ClickHouse: nodes, each with about"),
    ("kafka_gb", 4_000.0, "GB in Kafka: brokers, each with about"),
)
"""What one server of a kind is taken to be good for: assumptions of this page, not measured."""


def limits(what: Need) -> list[tuple[str, float, float]]:
    """Return what limits, worst first: in words, what is needed, and how many servers that is."""
    found = [
        (f"{words} {each:,.0f}", getattr(what, name), getattr(what, name) / each)
        for name, each, words in LIMITS
    ]
    return sorted(found, key=lambda entry: -entry[2])
