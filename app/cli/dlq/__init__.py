"""``vitalstream dlq``."""

import typer

from app.cli.dlq import acting, holding, looking

app = typer.Typer(
    no_args_is_help=True,
    help="List, show, replay and discard dead letters: records that could not be processed.",
)
app.command("list")(looking.list_letters)
app.command()(looking.show)
app.command()(acting.replay)
app.command()(acting.discard)
app.command()(looking.history)
app.command()(holding.resume)
app.command()(holding.holds)
