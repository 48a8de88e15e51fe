"""Avro schemas of the project, their versions and their ids.

``avsc/SUBJECT/vN.avsc`` holds every version that was ever written; the highest is written now.
``ids.json`` gives each version an id. The same ids stand in every record of a deployment without
a schema registry, and the gateway serves them under the registry's read API.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import fastavro
import orjson

from app.errors import UnknownSchemaError

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of one subject."""

    subject: str
    version: int
    schema_id: int
    text: str
    parsed: dict[str, Any]


@cache
def _schemas() -> dict[tuple[str, int], Schema]:
    ids: dict[str, dict[str, int]] = orjson.loads((_HERE / "ids.json").read_bytes())
    schemas = {}
    for subject, versions in ids.items():
        for version, schema_id in versions.items():
            text = (_HERE / "avsc" / subject / f"v{version}.avsc").read_text()
            # Each version is parsed with named types of its own, so that versions do not mix.
            parsed = cast(
                "dict[str, Any]", fastavro.parse_schema(orjson.loads(text), named_schemas={})
            )
            schemas[subject, int(version)] = Schema(subject, int(version), schema_id, text, parsed)
    return schemas


@cache
def _by_id() -> dict[int, Schema]:
    return {schema.schema_id: schema for schema in _schemas().values()}


def subjects() -> list[str]:
    """Return the names of all subjects, sorted."""
    return sorted({subject for subject, _ in _schemas()})


def versions(subject: str) -> list[Schema]:
    """Return all versions of a subject, oldest first.

    Raises
    ------
    UnknownSchemaError
        If there is no such subject.
    """
    found = sorted((s for s in _schemas().values() if s.subject == subject), key=_version)
    if not found:
        raise UnknownSchemaError(f"no schema subject {subject!r}")
    return found


def _version(schema: Schema) -> int:
    return schema.version


@cache
def latest(subject: str) -> Schema:
    """Return the version of a subject that is written now."""
    return versions(subject)[-1]


def by_id(schema_id: int) -> Schema:
    """Return the schema with an id of the project's own.

    Raises
    ------
    UnknownSchemaError
        If no schema has it.
    """
    try:
        return _by_id()[schema_id]
    except KeyError:
        raise UnknownSchemaError(f"no schema has the id {schema_id}") from None
