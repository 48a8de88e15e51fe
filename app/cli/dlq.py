"""``vitalstream dlq``."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.cli.options import load_settings
from app.errors import UnavailableError

if TYPE_CHECKING:
    from app.dead_letters import DeadLetter, Place
    from app.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="List, show and replay dead letters: uploads that could not be processed.",
)
_SPAN = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_HEX_BYTES = 256

_Error = Annotated[str | None, typer.Option(help="Only those whose errors contain this text.")]
_Since = Annotated[
    str | None, typer.Option(help="Only those written since: 90s, 15m, 2h, 7d, or an ISO time.")
]
_Limit = Annotated[int, typer.Option(min=1, help="Most that are listed.")]


@app.command("list")
def list_letters(*, error: _Error = None, since: _Since = None, limit: _Limit = 100) -> None:
    """List dead letters, with the place that show and replay want."""
    from agents.failures import ATTEMPT, ERROR, ORIGIN  # noqa: PLC0415  (slow to import)

    settings = load_settings()
    done = _replayed(settings)
    table = Table("place", "written", "error", "attempts", "origin", "bytes", "replayed")
    found = more = 0
    for letter in _matching(settings, error, since):
        found += 1
        if found > limit:
            more += 1
            continue
        table.add_row(
            f"{letter.partition}:{letter.offset}",
            _time(letter.timestamp_ms),
            escape(letter.text(ERROR)),
            letter.text(ATTEMPT),
            escape(letter.text(ORIGIN)),
            f"{len(letter.value):,}",
            "?" if done is None else "yes" if letter.place in done else "",
        )
    console = Console(highlight=False)
    if found == 0:
        console.print("there are no such dead letters")
        return
    console.print(table)
    console.print(f"{found:,} dead letters" + (f", {more:,} of them not shown" if more else ""))


@app.command()
def show(
    *, place: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="As list shows it.")]
) -> None:
    """Show one dead letter: its headers, and its content as far as it can be read."""
    from app.dead_letters import read_one  # noqa: PLC0415  (slow to import)

    letter = read_one(load_settings(), _place(place))
    console = Console(highlight=False)
    console.print(f"[bold]{place}[/], written {_time(letter.timestamp_ms)}")
    for name in letter.headers:
        console.print(f"  {escape(name)}: {escape(letter.text(name))}", soft_wrap=True)
    for line in _content(letter):
        console.print(escape(line), soft_wrap=True)


@app.command()
def replay(
    *,
    place: Annotated[
        str | None, typer.Argument(metavar="PARTITION:OFFSET", help="As list shows it.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All that have not been replayed yet.")
    ] = False,
    error: _Error = None,
    since: _Since = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be done.")
    ] = False,
) -> None:
    """Produce dead letters to uploads again, for a first attempt; the originals stay.

    Name one by its place, or choose by --all, --error and --since; those that were replayed
    before are left out then. Samples that are known already are not counted twice.
    """
    from app.clickhouse.client import writer  # noqa: PLC0415  (slow to import)
    from app.dead_letters import read_one  # noqa: PLC0415
    from app.dead_letters import replay as produce  # noqa: PLC0415

    if (place is None) == (not everything and error is None and since is None):
        raise typer.BadParameter("name one PARTITION:OFFSET, or choose by --all, --error, --since")
    settings = load_settings()
    if place is not None:
        chosen = iter([read_one(settings, _place(place))])
    else:
        chosen = _not_replayed(settings, error, since)
    if dry_run:
        count = sum(_say(letter.place, "would be replayed") for letter in chosen)
        typer.echo(f"{count:,} dead letters would be replayed")
        return
    marks = writer(settings)
    try:
        count = sum(_say(one, "replayed") for one in produce(settings, chosen, marks))
    finally:
        marks.close()
    typer.echo(f"{count:,} dead letters replayed")


def _say(place: "Place", what: str) -> int:
    typer.echo(f"{place[0]}:{place[1]} {what}")
    return 1


def _not_replayed(
    settings: "Settings", error: str | None, since: str | None
) -> Iterator["DeadLetter"]:
    done = _replayed(settings) or set()
    return (one for one in _matching(settings, error, since) if one.place not in done)


def _matching(settings: "Settings", error: str | None, since: str | None) -> Iterator["DeadLetter"]:
    from app.dead_letters import read_all  # noqa: PLC0415  (slow to import)

    since_ms = 0 if since is None else _since(since)
    return (one for one in read_all(settings, since_ms=since_ms) if one.matches(error))


def _replayed(settings: "Settings") -> "set[Place] | None":
    """Return the places of those replayed before; None when ClickHouse cannot tell."""
    from app.clickhouse.client import reader  # noqa: PLC0415  (slow to import)
    from app.dead_letters import replayed  # noqa: PLC0415

    database = reader(settings)
    try:
        return replayed(database)
    except UnavailableError:
        return None
    finally:
        database.close()


def _content(letter: "DeadLetter") -> Iterator[str]:
    from app.sink.dead_letter_rows import uploads_in  # noqa: PLC0415  (slow to import)
    from schemas.codec import Codec  # noqa: PLC0415
    from schemas.topics import DEAD_LETTERS  # noqa: PLC0415

    batch = uploads_in(DEAD_LETTERS, letter.value, Codec())
    if batch is None:
        yield f"{len(letter.value):,} bytes that are no upload batch:"
        yield letter.value[:_HEX_BYTES].hex(" ", 4)
        return
    start = batch.series_start
    for row in range(len(batch)):
        yield (
            f"upload {UUID(bytes=batch.upload_ids[row].tobytes())}"
            f" of user {batch.users[batch.upload_user[row]]},"
            f" device {batch.devices[batch.upload_device[row]]},"
            f" received {_time(int(batch.received_ms[row]))}, {batch.accepted[row]} accepted"
        )
        for series in (batch.series_upload == row).nonzero()[0].tolist():
            part = slice(int(start[series]), int(start[series + 1]))
            times, values = batch.times[part], batch.values[part]
            yield (
                f"  {batch.metrics[batch.series_metric[series]]}: {len(times)} samples,"
                f" {_time(int(times[0]))} to {_time(int(times[-1]))},"
                f" {values.min():g} to {values.max():g}"
            )


def _place(text: str) -> "Place":
    partition, _, offset = text.partition(":")
    if not (partition.isdigit() and offset.isdigit()):
        raise typer.BadParameter(f"{text!r} is not PARTITION:OFFSET, such as 0:17")
    return int(partition), int(offset)


def _since(text: str) -> int:
    if match := _SPAN.fullmatch(text):
        span = timedelta(**{_UNITS[match[2]]: int(match[1])})
        return int((datetime.now(UTC) - span).timestamp() * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a span, such as 2h, nor an ISO time"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _time(epoch_ms: int) -> str:
    moment = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return moment.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
