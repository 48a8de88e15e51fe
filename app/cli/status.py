"""``vitalstream status``."""

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from app.cli.options import load_settings

if TYPE_CHECKING:
    from app.kafka.lag import PartitionLag
    from app.settings import Settings

_RATE_SECONDS = 2.0
_PROBE_SECONDS = 2.0
_LAST_MINUTE = """
SELECT count() AS uploads, sum(accepted) AS samples
FROM uploads
WHERE received_at > now64(3, 'UTC') - INTERVAL 1 MINUTE
"""
_BACKFILL = "SELECT windows, requests, oldest FROM backfill"


class Format(StrEnum):
    """How the report is written."""

    table = "table"
    json = "json"


def command(
    *,
    output: Annotated[
        Format, typer.Option("--format", help="table for people, json for programs.")
    ] = Format.table,
) -> None:
    """Show health, rates, and lag by consumer group and partition; exits 1 when unhealthy.

    Rates are measured over two seconds (Kafka) and the last minute (uploads).
    """
    report = _report(load_settings())
    if output is Format.json:
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
    else:
        _print(report)
    if not all(one["healthy"] for one in report["health"]):
        raise typer.Exit(1)


def _report(settings: "Settings") -> dict[str, Any]:
    from app.errors import KafkaUnavailableError  # noqa: PLC0415  (slow to import)
    from app.kafka.lag import lags  # noqa: PLC0415

    health = _health(settings)
    partitions: list[dict[str, Any]] = []
    try:
        started = time.monotonic()
        before = lags(settings)
        time.sleep(_RATE_SECONDS)
        partitions = _measured(before, lags(settings), time.monotonic() - started)
        health.insert(0, _state("kafka", True, settings.bootstrap))
    except KafkaUnavailableError as error:
        health.insert(0, _state("kafka", False, str(error)))
    uploads, backfill, clickhouse = _stored(settings)
    health.insert(1, clickhouse)
    return {
        "health": health, "last_minute": uploads, "backfill": backfill, "partitions": partitions,
    }  # fmt: skip


def _measured(
    before: "list[PartitionLag]", after: "list[PartitionLag]", seconds: float
) -> list[dict[str, Any]]:
    return [
        {
            "group": now.group,
            "topic": now.topic,
            "partition": now.partition,
            "committed": now.committed,
            "end": now.end,
            "lag": now.lag,
            "written_per_second": round((now.end - then.end) / seconds, 1),
            "read_per_second": round((now.committed - then.committed) / seconds, 1),
        }
        for then, now in zip(before, after, strict=True)
    ]


def _stored(
    settings: "Settings",
) -> tuple[dict[str, Any] | None, dict[str, Any] | None, dict[str, Any]]:
    """Return the uploads of the last minute, the late windows that wait, and how it is."""
    from app.clickhouse.client import reader  # noqa: PLC0415  (slow to import)
    from app.errors import ClickHouseUnavailableError, QueryError  # noqa: PLC0415

    database = reader(settings)
    try:
        [uploads] = database.rows(_LAST_MINUTE)
        [backfill] = database.rows(_BACKFILL)
    except (ClickHouseUnavailableError, QueryError) as error:
        return None, None, _state("clickhouse", False, str(error))
    finally:
        database.close()
    return uploads, backfill, _state("clickhouse", True, settings.clickhouse)


def _health(settings: "Settings") -> list[dict[str, Any]]:
    from app.supervisor.system import System, answers  # noqa: PLC0415  (slow to import)

    system = System(settings)
    gateway = f"http://{system.local_host}:{settings.port + settings.port_offset}/readyz"
    probes = {"gateway": gateway}
    if settings.metrics_port:
        base = settings.metrics_port + settings.port_offset
        probes["sink"] = f"http://{system.local_host}:{base}/readyz"
        probes["worker"] = f"http://{system.local_host}:{base + 1}/readyz"
    return [_state(name, answers(url), url) for name, url in probes.items()]


def _state(name: str, healthy: bool, detail: str) -> dict[str, Any]:
    return {"name": name, "healthy": healthy, "detail": detail}


def _print(report: dict[str, Any]) -> None:
    console = Console(highlight=False)
    health = Table("", "", "", title="Health", show_header=False, title_justify="left")
    for one in report["health"]:
        mark = "[green]✓ ready[/]" if one["healthy"] else "[bold red]✗ not ready[/]"
        health.add_row(one["name"], mark, one["detail"])
    console.print(health)
    if report["last_minute"] is not None:
        uploads, samples = report["last_minute"]["uploads"], report["last_minute"]["samples"]
        console.print(f"last minute: {uploads / 60:,.1f} uploads/s, {samples / 60:,.1f} samples/s")
    if report["backfill"] is not None and report["backfill"]["requests"]:
        windows, oldest = report["backfill"]["windows"], report["backfill"]["oldest"]
        console.print(f"backfill: {windows:,} late windows wait, the oldest since {oldest}")
    lag = Table(title="Lag", title_justify="left", header_style="bold")
    for name in ("group", "topic"):
        lag.add_column(name)
    for name in ("partition", "committed", "end", "lag", "written/s", "read/s"):
        lag.add_column(name, justify="right")
    for one in report["partitions"]:
        style = "bold yellow" if one["lag"] else "dim"
        lag.add_row(*(str(value) for value in one.values()), style=style)
    if report["partitions"]:
        console.print(lag)
