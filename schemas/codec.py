"""Avro records in the Confluent wire format: a zero byte, a 4-byte schema id, the record."""

import struct
from functools import cache
from io import BytesIO
from typing import Any, Protocol

import fastavro

from app.errors import DecodeError, UnknownSchemaError
from schemas import registry

_HEADER = struct.Struct(">bI")


class SchemaIds(Protocol):
    """Where schema ids come from: the project's own, or a registry's."""

    def id_of(self, subject: str) -> int:
        """Return the id under which the newest version of a subject is written."""

    def schema_of(self, schema_id: int) -> dict[str, Any]:
        """Return the parsed schema with an id, or raise UnknownSchemaError."""


class LocalIds:
    """Ids of ``schemas/ids.json``: a deployment without a schema registry."""

    def id_of(self, subject: str) -> int:
        """Return the id of the newest version of a subject."""
        return registry.latest(subject).schema_id

    def schema_of(self, schema_id: int) -> dict[str, Any]:
        """Return the parsed schema with an id of the project's own."""
        return registry.by_id(schema_id).parsed


@cache
def _subjects_by_name() -> dict[str, str]:
    return {registry.latest(subject).parsed["name"]: subject for subject in registry.subjects()}


class Codec:
    """Encodes and decodes records of the project's subjects.

    Parameters
    ----------
    ids : SchemaIds, optional
        Where ids come from; the project's own by default.
    """

    def __init__(self, ids: SchemaIds | None = None) -> None:
        self._ids = ids or LocalIds()
        self._headers: dict[str, bytes] = {}

    def encode(self, subject: str, record: dict[str, Any]) -> bytes:
        """Encode a record with the newest version of its subject."""
        header = self._headers.get(subject)
        if header is None:
            header = self._headers[subject] = _HEADER.pack(0, self._ids.id_of(subject))
        buffer = BytesIO()
        buffer.write(header)
        fastavro.schemaless_writer(buffer, registry.latest(subject).parsed, record)
        return buffer.getvalue()

    def subject_of(self, data: bytes) -> str:
        """Return the subject that a record was written under.

        Raises
        ------
        DecodeError, UnknownSchemaError, RegistryUnavailableError
            See :meth:`decode`.
        """
        return _subjects_by_name()[self._writer(data)["name"]]

    def decode(self, subject: str, data: bytes) -> dict[str, Any]:
        """Decode a record of any version into the newest version of its subject.

        Raises
        ------
        DecodeError
            If the bytes are not such a record.
        UnknownSchemaError
            If the id is known nowhere.
        RegistryUnavailableError
            If a schema registry is in use and does not answer (retriable).
        """
        writer = self._writer(data)
        reader = registry.latest(subject).parsed
        name = writer.get("name")
        if name != reader["name"]:
            raise UnknownSchemaError(f"the record is a {name}, not a {reader['name']}")
        buffer = BytesIO(data)
        buffer.seek(_HEADER.size)
        try:
            # Without a reader's schema nothing has to be resolved, which is twice as fast.
            other = None if writer == reader else reader
            record: dict[str, Any] = fastavro.schemaless_reader(buffer, writer, other)  # type: ignore[assignment]
        except Exception as error:  # fastavro raises many kinds on damaged bytes
            raise DecodeError(f"not a {name} record: {type(error).__name__}") from error
        if buffer.read(1):
            raise DecodeError(f"bytes are left over after the {name} record")
        return record

    def _writer(self, data: bytes) -> dict[str, Any]:
        if len(data) < _HEADER.size:
            raise DecodeError(f"{len(data)} bytes are too few for a record in the wire format")
        magic, schema_id = _HEADER.unpack_from(data)
        if magic != 0:
            raise DecodeError(f"the first byte is {magic:#04x}, not the wire format's 0x00")
        return self._ids.schema_of(schema_id)
