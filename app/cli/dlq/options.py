"""Options with which ``vitalstream dlq`` chooses dead letters and knows who chooses."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from app.errors import ConfigurationError

if TYPE_CHECKING:
    from app.dead_letters.letters import Place
    from app.dead_letters.selection import Selection

_SPAN: Final = re.compile(r"(\d{1,9})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class StateName(StrEnum):
    """The states, as the help lists them."""

    open = "open"
    replayed = "replayed"
    discarded = "discarded"


PlaceOption = Annotated[
    str | None,
    typer.Argument(metavar="[TOPIC/]PARTITION:OFFSET", help="One, as list shows it."),
]
PlaceArgument = Annotated[
    str, typer.Argument(metavar="[TOPIC/]PARTITION:OFFSET", help="As list shows it.")
]
Error = Annotated[str | None, typer.Option(help="Only those whose errors contain this text.")]
Since = Annotated[
    str | None, typer.Option(help="Only those written since: 90s, 15m, 2h, 7d, or an ISO time.")
]
Until = Annotated[str | None, typer.Option(help="Only those written before; as --since.")]
User = Annotated[str | None, typer.Option(help="Only those with an upload of this user.")]
Topic = Annotated[
    str | None,
    typer.Option(help="Only those of this topic: uploads-dlq, or one that the sink reads."),
]
Everything = Annotated[bool, typer.Option("--all", help="All that are open.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]
Limit = Annotated[int, typer.Option(min=1, help="Most that are listed.")]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="VITALSTREAM_TOKEN",
        metavar="TOKEN|@FILE",
        help="Act as the subject of this admin's token; default: as this system account.",
        show_default=False,
    ),
]


def selection(
    *,
    error: str | None,
    since: str | None,
    until: str | None,
    user: str | None,
    topic: str | None,
    state: StateName | None = None,
) -> "Selection":
    """Return what the options choose."""
    from app.dead_letters.audit import State  # noqa: PLC0415  (slow to import)
    from app.dead_letters.selection import Selection  # noqa: PLC0415

    return Selection(
        error, None if since is None else _epoch_ms(since),
        None if until is None else _epoch_ms(until), user, topic,
        None if state is None else State(state),
    )  # fmt: skip


def token_of(given: str | None) -> str | None:
    """Return the token that was given, itself or as ``@FILE``.

    Raises
    ------
    ConfigurationError
        If the file cannot be read.
    """
    if given is None or not given.startswith("@"):
        return given or None
    try:
        return Path(given[1:]).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--token: {given[1:]} cannot be read") from error


def place_of(text: str) -> "Place":
    """Return the place that an argument names."""
    from app.dead_letters.letters import parse_place  # noqa: PLC0415  (slow to import)
    from app.errors import DeadLetterError  # noqa: PLC0415

    try:
        return parse_place(text)
    except DeadLetterError as error:
        raise typer.BadParameter(str(error)) from None


def _epoch_ms(text: str) -> int:
    try:
        if match := _SPAN.fullmatch(text):
            found = datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        else:
            found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is neither a span, such as 2h, nor an ISO time"
        ) from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
