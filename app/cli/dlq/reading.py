"""What the commands of ``vitalstream dlq`` share: the servers, and words for what was done."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from app.cli.options import load_settings

if TYPE_CHECKING:
    from app.clickhouse.client import ClickHouse
    from app.settings import Settings


@contextmanager
def reading() -> "Iterator[tuple[Settings, ClickHouse]]":
    """Yield the settings and ClickHouse's reader."""
    from app.clickhouse.client import reader  # noqa: PLC0415  (slow to import)

    settings = load_settings()
    database = reader(settings)
    try:
        yield settings, database
    finally:
        database.close()


def deed(row: dict[str, Any]) -> str:
    """Return a row of view ``dead_letter_actions`` in words, with rich's markup."""
    from app.dead_letters.letters import Place  # noqa: PLC0415  (slow to import)

    place = Place(row["topic"], row["partition"], row["offset"])
    at = row["at"].isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
    why = f": {row['reason']}" if row["reason"] else ""
    return escape(f"{at} {place} {row['action']} by {row['actor'] or 'unknown'}{why}")
