"""``vitalstream chaos``."""

import secrets
import shutil
import signal
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.options import load_settings
from app.errors import ConfigurationError

if TYPE_CHECKING:
    from app.chaos.report import Report
    from app.chaos.run import Options
    from app.chaos.targets import Say
    from app.settings import Settings

_WHERE = "Another deployment"


def command(
    *,
    minutes: Annotated[
        float, typer.Option(min=0.1, max=1_440, help="How long load and faults last.")
    ] = 5.0,
    seed: Annotated[
        int | None,
        typer.Option(help="All choices follow from it; by default one is drawn and printed."),
    ] = None,
    people: Annotated[int, typer.Option(min=1, max=200, help="How many people take part.")] = 8,
    rate: Annotated[
        float, typer.Option(min=1, max=500, help="Uploads a second, of all of them together.")
    ] = 16.0,
    workers: Annotated[
        int, typer.Option(min=2, max=4, help="Stream workers at first; 2 to 4 while it runs.")
    ] = 2,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="The only kind of fault wanted; may be repeated."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="A kind of fault to leave out; may be repeated."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the servers' data also when nothing differs.")
    ] = False,
    gateway: Annotated[
        str | None,
        typer.Option(
            help="http:// URL of another deployment's gateway: only its clients are disturbed.",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    clickhouse: Annotated[
        str | None,
        typer.Option(help="URL of that deployment's ClickHouse.", rich_help_panel=_WHERE),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="VITALSTREAM_TOKEN",
            help="Token that covers everybody (role admin); default: one is made for each device.",
            show_default=False,
            rich_help_panel=_WHERE,
        ),
    ] = None,
) -> None:
    """Disturb a system under load, then prove that nothing was lost and nothing counted twice.

    Starts a system of its own in DATA_DIR/chaos, on free ports. With --gateway and --clickhouse it
    works on another deployment, where only connections are cut and clocks jump. What was
    acknowledged is compared with what is stored, sample by sample and window by window. The exit
    code is 0 when nothing differs; otherwise all evidence is kept.
    """
    from app.chaos.plan import KINDS  # noqa: PLC0415  (slow to import)
    from app.chaos.run import Options  # noqa: PLC0415

    if (gateway is None) != (clickhouse is None):
        raise typer.BadParameter("--gateway and --clickhouse belong together")
    named = {*(only or ()), *(without or ())}
    if unknown := sorted(named - KINDS.keys()):
        raise typer.BadParameter(f"{', '.join(unknown)}: known are {', '.join(KINDS)}")
    wanted = frozenset(only or KINDS) - frozenset(without or ())
    signal.signal(signal.SIGTERM, _leave)
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    settings = load_settings()
    directory = settings.data_dir / "chaos" / f"{time.strftime('%Y%m%d-%H%M%S')}-seed-{seed}"
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot be made: {error.strerror}") from error
    options = Options(seed, minutes, people, rate, directory, wanted)
    typer.echo(f"seed {seed}; plan, events, journal and report in {directory}")
    if gateway is not None and clickhouse is not None:
        there = settings.model_copy(update={"clickhouse_url": clickhouse})
        report = _run_there(options, there, gateway, token, typer.echo)
    else:
        report = _run_here(options, workers, typer.echo)
    _show(report)
    if report.findings.total:
        typer.echo(f"all evidence is in {directory}")
        raise typer.Exit(1)
    if not keep:
        _tidy(directory)


def _run_here(options: "Options", workers: int, say: "Say") -> "Report":
    from app.chaos.run import run  # noqa: PLC0415  (slow to import)
    from app.chaos.system import EmbeddedSystem  # noqa: PLC0415
    from app.chaos.targets import EmbeddedTarget  # noqa: PLC0415

    say("starting a system of its own")
    with EmbeddedSystem(options.directory / "system", partitions=6, workers=workers) as system:
        return run(options, EmbeddedTarget(system), say)


def _run_there(
    options: "Options", settings: "Settings", gateway: str, token: str | None, say: "Say"
) -> "Report":
    from app.chaos.run import run  # noqa: PLC0415  (slow to import)
    from app.chaos.targets import RemoteTarget  # noqa: PLC0415

    target = RemoteTarget(settings, gateway, token)
    try:
        return run(options, target, say)
    finally:
        target.close()


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Turn SIGTERM into what Ctrl-C does: everything that was started is stopped."""
    raise KeyboardInterrupt


def _show(report: "Report") -> None:
    from rich.console import Console  # noqa: PLC0415  (slow to import)

    report.show(Console(highlight=False, soft_wrap=True))
    total = report.findings.total
    typer.echo(
        f"seed {report.seed}: {report.seconds / 60:.1f} min, {sum(report.faults.values())} faults "
        f"in {report.episodes} episodes, {report.findings.checked['samples']:,} samples checked, "
        f"{total:,} differences"
    )


def _tidy(directory: Path) -> None:
    """Remove what only a search for a difference needs."""
    shutil.rmtree(directory / "system", ignore_errors=True)
    (directory / "journal.jsonl").unlink(missing_ok=True)
