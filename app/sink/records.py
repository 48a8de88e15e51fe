"""What the sink reads and writes: Kafka records, and the rows that they become."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from app.errors import ValidationError
from schemas.columns import Int64, Uuids
from schemas.statuses import StatusBatch

Rows = Mapping[str, pa.Table]
"""Rows to insert, by table; inserted in this order."""


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record as it was delivered.

    Attributes
    ----------
    topic : str
        Its topic, without the deployment's prefix.
    partition, offset : int
        Its place.
    timestamp_ms : int
        When it was written, epoch milliseconds.
    value : bytes
        Its value.
    headers : mapping
        Its headers.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    value: bytes
    headers: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a record asks for.

    Attributes
    ----------
    record : Record
        The record.
    rows : Rows
        What is inserted first.
    late : pyarrow.Table or None
        Windows to compute again once these rows are in; schema
        :data:`app.sink.late_requests.LATE_WINDOWS`.
    then : Rows
        What is inserted after that.
    stored : StatusBatch or None
        What is told once everything is in.
    """

    record: Record
    rows: Rows
    late: pa.Table | None = None
    then: Rows = field(default_factory=dict)
    stored: StatusBatch | None = None

    @property
    def size(self) -> int:
        """Number of rows."""
        return sum(rows.num_rows for rows in (*self.rows.values(), *self.then.values()))


UUID16 = pa.binary(16)
"""Arrow's type of a UUID column."""
MILLISECONDS = pa.timestamp("ms", "UTC")
"""Arrow's type of an instant."""


def parse_uuids(texts: list[str], what: str) -> Uuids:
    """Return UUIDs as 16 bytes each, big-endian.

    Raises
    ------
    ValidationError
        If one is no UUID; the message does not quote it.
    """
    try:
        joined = b"".join(_uuid_bytes(text) for text in texts)
    except ValueError as error:
        raise ValidationError(f"a {what} is no UUID") from error
    return np.frombuffer(joined, "V16")


def _uuid_bytes(text: str) -> bytes:
    digits = text.replace("-", "")
    if len(digits) != 32:
        raise ValueError("not 32 digits")
    return bytes.fromhex(digits)


def uuid_column(values: Uuids) -> pa.Array:
    """Return an Arrow column of UUIDs, shape (n,) from dtype ``V16``."""
    data = pa.py_buffer(np.ascontiguousarray(values).tobytes())
    return pa.Array.from_buffers(UUID16, len(values), [None, data])


def instants(values: Int64) -> pa.Array:
    """Return an Arrow column of instants from epoch milliseconds."""
    return pa.array(values, MILLISECONDS)


def coded(codes: NDArray[np.int32], dictionary: list[str]) -> pa.DictionaryArray:
    """Return a column of strings as codes into a dictionary."""
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, pa.int32()), pa.array(dictionary, pa.string())
    )


def known(values: NDArray[np.float64]) -> pa.Array:
    """Return a column of floats whose NaN are null."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def joined(tables: list[pa.Table]) -> pa.Table:
    """Return the rows of several tables as one, its dictionaries made one too."""
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def table_of(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Return rows of Python values as a table.

    Raises
    ------
    ValidationError
        If a value does not fit its column; the message does not quote it.
    """
    try:
        return pa.Table.from_pylist(rows, schema)
    except (pa.ArrowException, TypeError, OverflowError, ValueError) as error:
        raise ValidationError(f"a value does not fit its column: {type(error).__name__}") from error
