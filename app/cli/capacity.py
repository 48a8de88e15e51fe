"""``vitalstream capacity``."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from app.capacity import Load, Need

_MANY = 10_000_000


def command(
    *,
    users: Annotated[int, typer.Option(min=1, help="People.")],
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two uploads of a person.")
    ],
    samples_per_upload: Annotated[
        int, typer.Option(min=1, help="Samples of each metric in an upload.")
    ] = 60,
    metrics: Annotated[int, typer.Option(min=1, help="Metrics in an upload.")] = 1,
    peak: Annotated[float, typer.Option(min=1, help="Highest load over the mean.")] = 2.0,
    utilisation: Annotated[
        float, typer.Option(min=0.05, max=1, help="Share of a core used at the peak.")
    ] = 0.6,
    replication: Annotated[int, typer.Option(min=1, help="Copies in Kafka and ClickHouse.")] = 3,
    kafka_days: Annotated[float, typer.Option(min=0.1, help="Retention of topics, days.")] = 7,
    retention_days: Annotated[float, typer.Option(min=1, help="Kept in ClickHouse, days.")] = 365,
) -> None:
    """Compute processes, partitions, memory and disk from measured figures; says what it assumes.

    The figures are in benchmarks/figures.json; measure your own with 'vitalstream bench'.
    """
    from app.capacity import Load, limits, need, read_figures  # noqa: PLC0415  (help needs none)

    figures = read_figures()
    load = Load(
        users, interval, metrics, samples_per_upload, peak, utilisation, replication, kafka_days,
        retention_days,
    )  # fmt: skip
    console = Console(highlight=False)
    console.print(_table(load, need(load, figures)))
    for line in _assumptions(load):
        console.print(f"· {line}", style="dim", markup=False)
    console.print(f"\nWhat limits at {_MANY:,} people who send the same, worst first:")
    for words, value, servers in limits(need(replace(load, users=_MANY), figures)):
        console.print(f"  {value:14,.0f} {words}: {servers:,.1f}", markup=False)


def _table(load: "Load", found: "Need") -> Table:
    table = Table(
        title=f"{load.users:,} people, an upload of {load.metrics} x {load.samples} samples every "
        f"{load.interval:g} s",
        title_justify="left",
        show_header=False,
    )
    table.add_column()
    table.add_column(justify="right")
    for name, value in (
        ("uploads/s, mean", f"{load.uploads_per_second:,.1f}"),
        ("samples/s, mean", f"{load.samples_per_second:,.0f}"),
        ("gateways", f"{found.gateways:,}"),
        ("workers", f"{found.workers:,}"),
        ("sinks", f"{found.sinks:,}"),
        ("partitions of every topic", f"{found.partitions:,}"),
        ("memory of each worker", f"{found.worker_mb:,.0f} MB"),
        ("a worker's restart until ready", f"{found.restart_seconds:,.1f} s"),
        ("Kafka, written a day", f"{found.kafka_gb_per_day:,.1f} GB"),
        ("Kafka, held", f"{found.kafka_gb:,.1f} GB"),
        ("ClickHouse, stored a day", f"{found.clickhouse_gb_per_day:,.1f} GB"),
        ("ClickHouse, held", f"{found.clickhouse_gb:,.1f} GB"),
    ):
        table.add_row(name, value)
    return table


def _assumptions(load: "Load") -> list[str]:
    return [
        f"Each process has a core, used to {load.utilisation:.0%} at {load.peak:g} x the mean.",
        "Never fewer than two of a kind.",
        "Gateways join concurrent uploads into batches; with little traffic an upload costs more.",
        f"Disk counts {load.replication} copies.",
        f"Topics are kept {load.kafka_days:g} days, rows {load.retention_days:g} days.",
        "Two partitions a worker leave room to double the workers.",
        "Late uploads, queries and pages come on top.",
    ]
