"""The program itself: its help and its commands."""

import typer

from app import __version__
from app.cli.lazy import LazyGroup

app = typer.Typer(
    cls=LazyGroup,
    name="vitalstream",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Settings are environment variables VITALSTREAM_* (or a .env file): "
    "'vitalstream settings' lists them. 'vitalstream COMMAND --help' tells more.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    *,
    _: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Stream health-device data through Kafka and Faust into ClickHouse and live pages.

    Start with [bold]demo[/bold]: it needs no server of your own.
    """


def main() -> None:
    """Run the command line; the entry point of the program."""
    app(prog_name="vitalstream")
