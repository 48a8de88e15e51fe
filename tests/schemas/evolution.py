"""What tells whether records of an older schema can be read with a newer one."""

from io import BytesIO
from typing import Any

import fastavro
from fastavro.utils import generate_many

Schema = dict[str, Any]
_RECORDS = 200  # so many that every symbol of an enum and every branch of a union occurs


def parse(schema: Schema) -> Schema:
    """Parse a schema with named types of its own."""
    parsed = fastavro.parse_schema(schema, named_schemas={})
    assert isinstance(parsed, dict)
    return parsed


def unreadable(older: Schema, newer: Schema) -> str | None:
    """Write random records with the older schema and read them with the newer one.

    Returns
    -------
    str or None
        Why one could not be read, or came out different; None when all is well.
    """
    same = {f["name"] for f in older["fields"] if f in newer["fields"]}
    for record in generate_many(older, _RECORDS):
        buffer = BytesIO()
        fastavro.schemaless_writer(buffer, older, record)
        buffer.seek(0)
        try:
            found: Any = fastavro.schemaless_reader(buffer, older, newer)
        except Exception as error:  # noqa: BLE001 - fastavro raises many kinds
            return f"{type(error).__name__}: {error}"
        if buffer.read(1):
            return "bytes are left over"
        differing = sorted(name for name in same if found[name] != record[name])
        if differing:
            return f"other values of {', '.join(differing)}"
    return None
