"""``vitalstream replay``."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import urlsplit

import typer

from app.cli.options import load_settings
from app.errors import ConfigurationError

if TYPE_CHECKING:
    from app.replay.player import Player
    from app.replay.tally import Tally

T = TypeVar("T")

_HOW = "How"
_WHERE = "Where to"
ONCE_PAUSE_MS = 600_000
"""Longest pause of ``--once``; longer than the intervals of glucose monitors and step counters."""


def command(
    *,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Recordings: CSV, also .csv.gz, with the columns time, metric, unit, value and "
            "perhaps device, source, person.",
            show_default=False,
        ),
    ] = None,
    bundled: Annotated[
        bool,
        typer.Option(
            "--bundled",
            help="Recordings of the program's own; --once and --demo take them without FILES.",
        ),
    ] = False,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help="Move each recording so that it ends now, pauses at most 10 minutes long.",
            rich_help_panel=_HOW,
        ),
    ] = False,
    retime: Annotated[
        bool,
        typer.Option(
            "--retime",
            help="Move each recording so that it ends now, pauses as they are.",
            rich_help_panel=_HOW,
        ),
    ] = False,
    demo: Annotated[
        bool,
        typer.Option(
            "--demo",
            help="Go on for ever: first the last 3 hours sped up, then at the pace of life.",
            rich_help_panel=_HOW,
        ),
    ] = False,
    speed: Annotated[
        float,
        typer.Option(
            min=1.5,
            help="With --demo: how much faster than life the last 3 hours are sent.",
            rich_help_panel=_HOW,
        ),
    ] = 150.0,
    users: Annotated[
        int,
        typer.Option(
            min=1,
            max=10_000,
            help="With --demo: how many people take part. Those beyond the recordings replay "
            "them shifted in time.",
            rich_help_panel=_HOW,
        ),
    ] = 48,
    gateway: Annotated[
        str | None,
        typer.Option(
            help="URL of the gateway; default: the one of this instance.", rich_help_panel=_WHERE
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="VITALSTREAM_TOKEN",
            metavar="TOKEN|@FILE",
            help="Token that covers all the people; default: one is made for each of them.",
            show_default=False,
            rich_help_panel=_WHERE,
        ),
    ] = None,
    concurrency: Annotated[
        int,
        typer.Option(min=1, max=1_000, help="Uploads under way at once.", rich_help_panel=_WHERE),
    ] = 32,
) -> None:
    """Send recordings through the gateway, as devices do.

    Each recording is sent one time, as fast as the gateway takes it, at its own times unless told
    otherwise. Uploads that the gateway cannot take now are sent again until it does. The exit code
    is 0 when every upload was accepted; single samples may be rejected, which is told.
    """
    from app.replay.player import Player  # noqa: PLC0415  (slow to import)
    from app.replay.recording import bundled as bundled_paths  # noqa: PLC0415

    if sum((once, retime, demo)) > 1:
        raise typer.BadParameter("--once, --retime and --demo exclude each other")
    paths = list(files or [])
    if bundled or ((once or demo) and not paths):
        paths += bundled_paths()
    if not paths:
        raise typer.BadParameter("name files, or give --bundled")
    settings = load_settings()
    address = _address(gateway or settings.gateway)
    player = Player(settings, address, token=_token(token), concurrency=concurrency)
    if demo:
        _demo(player, paths, users, speed)
        return
    gap = ONCE_PAUSE_MS if once else None
    work = player.once(paths, retime=once or retime, max_gap_ms=gap)
    whole = asyncio.run(_run(player, work, finite=True))
    _conclude(player.tally, whole=whole)


def _demo(player: "Player", paths: list[Path], users: int, speed: float) -> None:
    from app.replay.demo import Pace  # noqa: PLC0415  (slow to import)
    from app.replay.participants import load_all, participants  # noqa: PLC0415

    recordings = load_all(paths)
    state = player.demo_state()
    people = participants(recordings, users, state)
    typer.echo(f"{len(people)} people; Ctrl-C stops them")
    asyncio.run(_run(player, player.demo(people, state, Pace(speed=speed)), finite=False))


async def _run(player: "Player", work: Coroutine[Any, Any, T], *, finite: bool) -> T:
    """Run ``work`` and tell how it goes; SIGTERM and Ctrl-C stop it in good order."""
    from app.replay.progress import LINE_SECONDS, bar, tell_bar, tell_lines  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, player.stop)
    with ExitStack() as stack:
        if sys.stdout.isatty() and finite:
            teller = tell_bar(player.tally, stack.enter_context(bar()))
        else:
            teller = tell_lines(player.tally, typer.echo, LINE_SECONDS)
        telling = asyncio.create_task(teller)
        try:
            return await work
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


def _conclude(tally: "Tally", *, whole: bool) -> None:
    """Print what became of the samples; exit with 1 unless all uploads were accepted."""
    typer.echo(
        f"{tally.uploads:,} uploads accepted with {tally.accepted:,} samples"
        f" ({tally.repeated:,} repeated); {tally.rejected:,} samples rejected"
    )
    for reason, count in tally.reasons.most_common():
        typer.echo(f"  rejected: {count:,} {reason}")
    for reason, count in tally.failures.most_common():
        typer.echo(f"  failed: {reason}" + (f" ({count:,} times)" if count > 1 else ""), err=True)
    if not whole:
        raise typer.Exit(1)


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"--gateway: {url!r} is not an http(s) URL")
    return url


def _token(given: str | None) -> str | None:
    """Return the token that was given, itself or as ``@FILE``."""
    if given is None or not given.startswith("@"):
        return given or None
    try:
        return Path(given[1:]).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--token: {given[1:]} cannot be read") from error
