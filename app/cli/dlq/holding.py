"""``vitalstream dlq``: resume and holds."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.dlq import options
from app.cli.options import load_settings

if TYPE_CHECKING:
    from app.kafka.holds import Hold


class Group(StrEnum):
    """Consumer groups that may be held."""

    worker = "vitalstream-worker"
    sink = "vitalstream-sink"


def resume(
    *,
    group: Annotated[Group, typer.Argument(help="Whom to let go on.")] = Group.worker,
    reason: Annotated[str, typer.Option(help="What was repaired, for the record.")],
    token: options.Token = None,
) -> None:
    """Let workers or sinks go on that stopped because too many uploads became dead letters.

    They stay stopped, also when they are started again, until this is said. Repair the fault first:
    if it is still there they stop again.
    """
    from app.dead_letters.audit import operator  # noqa: PLC0415  (slow to import)
    from app.kafka import holds as topic  # noqa: PLC0415

    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    settings = load_settings()
    hold = topic.standing(settings, group)
    if hold is None:
        typer.echo(f"{group} is not held")
        return
    actor = operator(settings, options.token_of(token))
    topic.resume(settings, group, by=actor, reason=reason)
    typer.echo(f"{group} goes on; it was held because {hold.reason}")


def holds(*, group: Annotated[Group, typer.Argument(help="Of whom.")] = Group.worker) -> None:
    """Show when and why workers or sinks were stopped, and who let them go on."""
    from app.kafka import holds as topic  # noqa: PLC0415  (slow to import)

    found = topic.holds(load_settings(), group)
    typer.echo("\n".join(_line(hold) for hold in found) or f"{group} was never held")


def _line(hold: "Hold") -> str:
    from app.dead_letters.content import moment  # noqa: PLC0415  (slow to import)

    return f"{moment(hold.at_ms)} {hold.action} by {hold.by}: {hold.reason}"
