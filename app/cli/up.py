"""``vitalstream up`` and ``vitalstream demo``: the whole system."""

import os
from typing import Annotated

import typer

from app.cli.options import load_settings

_Workers = Annotated[int, typer.Option(min=1, max=64, help="How many stream workers to run.")]
_Port = Annotated[
    int | None,
    typer.Option(min=1, max=65_535, help="Port of gateway and pages (VITALSTREAM_PORT)."),
]


def up(*, workers: _Workers = 1, port: _Port = None) -> None:
    """Run the whole system, empty, for your own data; Ctrl-C stops it.

    Kafka and ClickHouse are embedded unless VITALSTREAM_KAFKA_BOOTSTRAP and
    VITALSTREAM_CLICKHOUSE_URL name real ones. Crashed processes are restarted.
    """
    from app.supervisor.run import run_up  # noqa: PLC0415  (slow to import)

    _apply(port)
    run_up(load_settings(), workers)


def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Replay once, print a summary, check it, stop.")
    ] = False,
    workers: _Workers = 1,
    port: _Port = None,
) -> None:
    """Run the whole system and replay recordings of real people; Ctrl-C stops it.

    Needs nothing but this program: Kafka and ClickHouse are embedded. With --once the exit code
    tells whether every sample is accounted for.
    """
    from app.supervisor.run import run_demo, run_demo_once  # noqa: PLC0415  (slow to import)

    _apply(port)
    # The demo's page opens without a token, for visitors on this machine.
    os.environ.setdefault("VITALSTREAM_AUTH_DEMO_SIGN_IN", "true")
    settings = load_settings()
    if once:
        raise typer.Exit(run_demo_once(settings, workers))
    run_demo(settings, workers)


def _apply(port: int | None) -> None:
    if port is not None:
        os.environ["VITALSTREAM_PORT"] = str(port)
