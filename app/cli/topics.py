"""``vitalstream topics``."""

import typer
from rich.console import Console
from rich.table import Table

from app.cli.options import load_settings

app = typer.Typer(no_args_is_help=True, help="Create, check or describe the topics.")


@app.command()
def create() -> None:
    """Create the topics that are missing; leave the others alone."""
    from app.kafka.admin import create_topics  # noqa: PLC0415

    created = create_topics(load_settings())
    typer.echo("\n".join(f"created {name}" for name in created) or "every topic exists")


@app.command()
def check() -> None:
    """Compare the topics with their definitions; exits 1 when they differ."""
    from app.kafka.admin import check_topics  # noqa: PLC0415

    wrong = check_topics(load_settings())
    typer.echo("\n".join(wrong) or "every topic is as it is defined")
    if wrong:
        raise typer.Exit(1)


@app.command()
def describe() -> None:
    """Show every topic's purpose, key, schema, partitions and settings."""
    from app.kafka.admin import describe_topics  # noqa: PLC0415

    rows = describe_topics(load_settings())
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table(*columns)
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key}={item}" for key, item in value.items())
    return "" if value is None else str(value)
