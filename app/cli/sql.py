"""``vitalstream sql``."""

import shutil
import sys
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.options import load_settings

if TYPE_CHECKING:
    from app.clickhouse.client import ClickHouse


class Format(StrEnum):
    """How a result is written."""

    table = "table"
    json = "json"
    csv = "csv"


_STREAMED = {Format.json: "JSONEachRow", Format.csv: "CSVWithNames"}


def command(
    *,
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="One read-only statement; - reads it from stdin.")
    ],
    output: Annotated[
        Format,
        typer.Option(
            "--format", help="table for people, json (a document a line) or csv for programs."
        ),
    ] = Format.table,
    limit: Annotated[
        int, typer.Option(min=1, help="Rows that a table shows at most; json and csv show all.")
    ] = 200,
) -> None:
    """Query ClickHouse as its reader.

    Tables: samples, windows_1m, windows_1h, windows_1d, alerts, uploads, rejected_samples,
    dead_letters, ledger. 'DESCRIBE samples' explains the columns of one.

    Example: vitalstream sql "SELECT metric, count() FROM samples GROUP BY metric"
    """
    from app.clickhouse.client import reader  # noqa: PLC0415  (slow to import)

    sql = (sys.stdin.read() if query == "-" else query).strip().rstrip(";")
    database = reader(load_settings())
    try:
        if output is Format.table:
            _show(database, sql, limit)
        else:
            _pour(database, sql, _STREAMED[output])
    finally:
        database.close()


def _pour(database: "ClickHouse", sql: str, fmt: str) -> None:
    try:
        with database.stream(sql, fmt) as pieces:
            for piece in pieces:
                sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # "| head" has seen enough
        sys.stderr.close()
        raise typer.Exit(0) from None


def _show(database: "ClickHouse", sql: str, limit: int) -> None:
    # One row more than is shown tells whether there are more; the server stops there.
    settings = {"max_result_rows": limit + 1, "result_overflow_mode": "break"}
    columns = database.columns(sql, settings=settings)
    table = Table(header_style="bold", row_styles=("", "dim"))
    for name, values in columns.items():
        table.add_column(name, justify="right" if _numeric(values) else "left", overflow="fold")
    rows = list(zip(*columns.values(), strict=True))
    for row in rows[:limit]:
        table.add_row(*map(_cell, row))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    console = Console(width=width, highlight=False)
    console.print(table)
    if len(rows) > limit:
        console.print(f"the first {limit:,} rows; --limit shows more, --format csv shows all")
    else:
        console.print(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}")


def _numeric(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) or value is None for value in values)


def _cell(value: object) -> Text:
    if value is None:
        return Text("NULL", style="dim italic")
    if isinstance(value, datetime):
        return Text(value.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00"))
    return Text(f"{value:.6g}" if isinstance(value, float) else str(value))
