"""``vitalstream settings``: the table of all settings, generated from their definitions."""

import inspect
import re
from pathlib import Path

import typer
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from app.settings import Settings

CHECKOUT = Path(__file__).parents[2]
_GROUP = re.compile(r"^    # (?P<group>.+)$|^    (?P<field>[a-z_]+): ")
_INTRODUCTION = """\
# Configuration

Every setting is an environment variable; a file `.env` in the working directory may hold them too.
This table is generated: `vitalstream settings > docs/configuration.md`.
"""


def settings() -> None:
    """Print the table of all settings as Markdown."""
    typer.echo(document(), nl=False)


def document() -> str:
    """Return ``docs/configuration.md``: one table a group of settings."""
    parts = [_INTRODUCTION]
    for group, names in _groups(Settings).items():
        rows = [
            f"| `VITALSTREAM_{name.upper()}` | {_default(Settings.model_fields[name].default)} "
            f"| {Settings.model_fields[name].description} |"
            for name in names
        ]
        head = ["| Variable | Default | Meaning |", "|---|---|---|"]
        parts.append("\n".join([f"## {group}", "", *head, *rows]) + "\n")
    return "\n".join(parts)


def _groups(model: type[BaseSettings]) -> dict[str, list[str]]:
    """Return the fields under the comments that head them in the source."""
    groups: dict[str, list[str]] = {}
    names: list[str] = []
    for line in inspect.getsource(model).splitlines():
        match = _GROUP.match(line)
        if match is None:
            continue
        if match["group"]:
            names = groups.setdefault(match["group"], [])
        elif match["field"] in model.model_fields:
            names.append(match["field"])
    return {group: fields for group, fields in groups.items() if fields}


def _default(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return "(empty)" if not value.get_secret_value() else "(secret)"
    if isinstance(value, Path) and value.is_relative_to(CHECKOUT):
        return f"`{value.relative_to(CHECKOUT)}` in the checkout"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
