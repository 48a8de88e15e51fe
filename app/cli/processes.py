"""Commands that run one process of the system in the foreground, and ``migrate``."""

import signal
from types import FrameType

import typer

from app.cli.options import load_settings


def gateway() -> None:
    """Run the gateway: it takes uploads in, serves the API and the pages."""
    from app import gateway as process  # noqa: PLC0415

    process.serve(load_settings())


def worker() -> None:
    """Run a stream worker; start several to share the partitions."""
    from app import worker as process  # noqa: PLC0415

    process.serve(load_settings())


def sink() -> None:
    """Run the sink, which writes everything to ClickHouse."""
    from app import sink as process  # noqa: PLC0415

    process.serve(load_settings())


def clickhouse() -> None:
    """Run the embedded ClickHouse behind its HTTP interface."""
    from app.embedded import clickhouse as process  # noqa: PLC0415

    process.serve(load_settings())


def kafka() -> None:
    """Run the embedded Kafka broker until Ctrl-C."""
    from app.embedded.kafka import kafka_of  # noqa: PLC0415

    signal.signal(signal.SIGTERM, _leave)
    broker = kafka_of(load_settings(), typer.echo)
    try:
        broker.start()
        typer.echo(f"Kafka answers at {broker.bootstrap}, process {broker.pid}; Ctrl-C stops it")
        code = broker.wait()
        raise broker.failure(f"the Kafka broker ended with code {code}")
    except KeyboardInterrupt:
        typer.echo("stopping Kafka")
    finally:
        broker.stop()


def migrate() -> None:
    """Create or upgrade the tables and views in ClickHouse; harmless when they are current."""
    from app.clickhouse.migrate import migrate as apply  # noqa: PLC0415

    applied = apply(load_settings())
    typer.echo("\n".join(applied) if applied else "nothing to do: the tables are up to date")


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Turn SIGTERM into what Ctrl-C does."""
    raise KeyboardInterrupt
