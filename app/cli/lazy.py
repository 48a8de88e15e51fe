"""A group of commands that are imported only when they are used, so that help is instant."""

from importlib import import_module

import typer
import typer.main
from typer._click.core import Command, Context
from typer.core import TyperCommand, TyperGroup

from app.cli.options import add_common_options
from app.cli.registry import COMMANDS, Entry
from app.errors import VitalstreamError


class LazyCommand(TyperCommand):
    """Stands for a command in the list; becomes the real one when it is invoked."""

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(name, help=entry.summary, rich_help_panel=entry.panel)
        self._place = entry.place

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: Context | None = None,
        **extra: object,
    ) -> Context:
        """Import the real command and go on with that."""
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> Command:
        """Import and return the real command."""
        module, _, attribute = self._place.partition(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer()
            found.command(self.name, **getattr(function, "command_options", {}))(function)
        command = typer.main.get_command(_plain(found))
        add_common_options(command)
        return command


class LazyGroup(TyperGroup):
    """The commands of the registry; says in one line what went wrong with the one that ran."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002  (typer's interface)
        """Return the names in the order of the registry."""
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> LazyCommand | None:  # noqa: ARG002
        """Return what stands for the command, without importing it."""
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else LazyCommand(cmd_name, entry)

    def invoke(self, ctx: Context) -> object:
        """Run the command; an error of ours is a message and code 1, never a traceback."""
        try:
            return super().invoke(ctx)
        except VitalstreamError as error:
            from rich.console import Console  # noqa: PLC0415  (slow to import)

            console = Console(stderr=True, highlight=False, soft_wrap=True)
            console.print("[bold red]error:[/]", end=" ")
            console.print(str(error), markup=False)
            raise typer.Exit(1) from error


def _plain(app: typer.Typer) -> typer.Typer:
    """Leave completion to the shell and tracebacks to Python."""
    app._add_completion = False  # noqa: SLF001  (typer offers it only when constructing)
    app.pretty_exceptions_enable = False
    return app
