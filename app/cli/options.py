"""Options that every command has, and the settings that a command works with."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import typer.main
from typer._click.core import Command
from typer.core import TyperGroup

from app.errors import ConfigurationError

if TYPE_CHECKING:
    from app.settings import Settings


def _set_data_dir(value: Path | None) -> None:
    if value is not None:
        os.environ["VITALSTREAM_DATA_DIR"] = str(value.expanduser().absolute())


def _set_port_offset(value: int | None) -> None:
    if value is not None:
        os.environ["VITALSTREAM_PORT_OFFSET"] = str(value)


def _common(
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            callback=_set_data_dir,
            expose_value=False,
            help="Where everything is kept (VITALSTREAM_DATA_DIR; default: var in the checkout).",
            rich_help_panel="Instance",
        ),
    ] = None,
    port_offset: Annotated[
        int | None,
        typer.Option(
            callback=_set_port_offset,
            expose_value=False,
            help="Added to every port (VITALSTREAM_PORT_OFFSET); for a second instance.",
            rich_help_panel="Instance",
        ),
    ] = None,
) -> None:
    """Carries the options; is never run."""


def add_common_options(command: Command) -> None:
    """Give ``command``, or each command of a group, the options of every command.

    Their values become environment variables, so that the settings of this process and of every
    process that it starts agree.
    """
    if isinstance(command, TyperGroup):
        for child in command.commands.values():
            add_common_options(child)
        return
    if command.context_settings.get("ignore_unknown_options"):
        return
    template = typer.Typer(add_completion=False)
    template.command()(_common)
    known = {parameter.name for parameter in command.params}
    command.params.extend(
        parameter
        for parameter in typer.main.get_command(template).params
        if parameter.name not in known
    )


def load_settings() -> "Settings":
    """Read the settings.

    Raises
    ------
    ConfigurationError
        Naming every variable that is wrong, and how.
    """
    from pydantic import ValidationError  # noqa: PLC0415  (slow to import; help needs none of it)

    from app.settings import Settings  # noqa: PLC0415

    try:
        return Settings()
    except ValidationError as error:
        wrong = [
            f"VITALSTREAM_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}"
            if item["loc"]
            else item["msg"]
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise ConfigurationError("; ".join(wrong)) from None
