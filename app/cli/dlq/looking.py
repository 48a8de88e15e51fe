"""``vitalstream dlq``: list, show, history."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.cli.dlq import options
from app.cli.dlq.reading import deed, reading
from app.errors import UnavailableError

if TYPE_CHECKING:
    from app.dead_letters.selection import Found

_UNKNOWN = "unknown"


def list_letters(
    *,
    error: options.Error = None,
    since: options.Since = None,
    until: options.Until = None,
    user: options.User = None,
    topic: options.Topic = None,
    state: Annotated[
        options.StateName | None, typer.Option(help="Only those in this state.")
    ] = None,
    limit: options.Limit = 100,
) -> None:
    """List dead letters, with the place that the other commands want."""
    from app.dead_letters.selection import select  # noqa: PLC0415  (slow to import)
    from app.kafka.schema_ids import codec_for  # noqa: PLC0415

    chosen = options.selection(
        error=error, since=since, until=until, user=user, topic=topic, state=state
    )
    table = Table("place", "written", "error", "attempts", "origin", "bytes", "state")
    counts: Counter[str] = Counter()
    with reading() as (settings, database):
        for found in select(settings, database, codec_for(settings), chosen):
            counts[found.state or _UNKNOWN] += 1
            if counts.total() <= limit:
                table.add_row(*_cells(found))
    console = Console(highlight=False)
    if not counts:
        console.print("there are no such dead letters")
        return
    console.print(table)
    named = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
    more = counts.total() - limit
    hidden = f"; {more:,} of them not shown" if more > 0 else ""
    console.print(f"{counts.total():,} dead letters: {named}{hidden}")
    if _UNKNOWN in counts:
        console.print("ClickHouse does not answer: states are unknown, those of the sink missing")


def show(
    *,
    place: options.PlaceArgument,
    values: Annotated[
        bool, typer.Option("--values", help="Show measured values too: they are health data.")
    ] = False,
) -> None:
    """Show one dead letter: headers, errors, what was done with it, and its content."""
    from agents.failures import ERROR_CHAIN  # noqa: PLC0415  (slow to import)
    from app.dead_letters.audit import trail  # noqa: PLC0415
    from app.dead_letters.content import chain_of, describe_content, moment  # noqa: PLC0415
    from app.dead_letters.selection import find  # noqa: PLC0415
    from app.kafka.schema_ids import codec_for  # noqa: PLC0415

    console = Console(highlight=False, soft_wrap=True)
    with reading() as (settings, database):
        letter = find(settings, database, options.place_of(place))
        console.print(f"[bold]{letter.place}[/], written {moment(letter.written_ms)}")
        for name in letter.headers:
            if name != ERROR_CHAIN:
                console.print(f"  {escape(name)}: {escape(letter.text(name))}")
        for number, link in enumerate(chain_of(letter), 1):
            console.print(f"  error {number}: {escape(link)}")
        try:
            for row in reversed(trail(database, place=letter.place)):
                console.print(f"  {deed(row)}")
        except UnavailableError:
            console.print("  ClickHouse does not answer: what was done with it is unknown")
        for line in describe_content(letter, codec_for(settings), values=values):
            console.print(escape(line))


def history(*, place: options.PlaceOption = None, limit: options.Limit = 100) -> None:
    """Show who did what with dead letters, when and why; the latest last."""
    from app.dead_letters.audit import trail  # noqa: PLC0415  (slow to import)

    console = Console(highlight=False, soft_wrap=True)
    asked = None if place is None else options.place_of(place)
    with reading() as (_, database):
        rows = trail(database, place=asked, limit=limit)
    for row in reversed(rows):
        console.print(deed(row))
    if not rows:
        console.print("nothing was done yet")


def _cells(found: "Found") -> list[str]:
    from agents.failures import ATTEMPT, ERROR, ORIGIN  # noqa: PLC0415  (slow to import)
    from app.dead_letters.content import moment  # noqa: PLC0415

    letter = found.letter
    return [
        str(letter.place),
        moment(letter.written_ms),
        escape(letter.text(ERROR)),
        letter.text(ATTEMPT),
        escape(letter.text(ORIGIN)),
        f"{len(letter.value):,}",
        found.state or "?",
    ]
