"""``vitalstream token``."""

from typing import Annotated

import typer

from app.cli.options import load_settings
from app.security import Role, mint_token


def token(
    *,
    role: Annotated[Role, typer.Option(help="What its bearer may do.")],
    user: Annotated[str, typer.Option(help="Who its bearer is; may write this user's data.")],
    users: Annotated[
        str, typer.Option(metavar="A,B", help="Further users whose data it covers.")
    ] = "",
    ttl: Annotated[int, typer.Option(min=1, help="How long it holds, in seconds.")] = 86_400,
) -> None:
    """Print a signed token, for 'Authorization: Bearer …'.

    Devices and users read and write the users that are named; admins everybody's.
    """
    covered = [user, *(name.strip() for name in users.split(",") if name.strip())]
    typer.echo(mint_token(load_settings(), user, role, covered, ttl))
