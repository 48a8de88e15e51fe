"""Window batches: the records of topic ``windows`` as columns in memory."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from schemas.codec import Codec
from schemas.columns import (
    F64,
    I8,
    I32,
    I64,
    U64,
    Float64,
    Int8,
    Int32,
    Int64,
    UInt64,
    check_codes,
    pack_columns,
    same_length,
    unpack_columns,
)

SUBJECT = "window_batch"
MINUTE: Final = 0
HOUR: Final = 1
DAY: Final = 2
SIZE_NAMES: Final = ("1m", "1h", "1d")
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
_TYPES: Final[dict[str, np.dtype[Any]]] = {
    "user": I32,
    "metric": I32,
    "size": I8,
    "start": I64,
    "end": I64,
    "count": I64,
    "sum": F64,
    "sum_sq": F64,
    "min": F64,
    "max": F64,
    "first": F64,
    "last": F64,
    "version": U64,
    "expected_low": F64,
    "expected_high": F64,
    "emitted_ms": I64,
}


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """W window rows; the fields are those of ``schemas/avsc/window_batch``.

    ``users`` and ``metrics`` are dictionaries, all other fields columns of shape (W,).
    """

    users: list[str]
    metrics: list[str]
    user: Int32
    metric: Int32
    size: Int8
    start: Int64
    end: Int64
    count: Int64
    sum: Float64
    sum_sq: Float64
    min: Float64
    max: Float64
    first: Float64
    last: Float64
    version: UInt64
    expected_low: Float64
    expected_high: Float64
    emitted_ms: Int64

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.user)


def encode(batch: WindowBatch, codec: Codec) -> bytes:
    """Write a batch as a record of topic ``windows``."""
    record: dict[str, Any] = {name: getattr(batch, name) for name in WindowBatch.__slots__}
    pack_columns(record, _TYPES)
    return codec.encode(SUBJECT, record)


def decode(data: bytes, codec: Codec) -> WindowBatch:
    """Read a record of topic ``windows``.

    Raises
    ------
    DecodeError
        If the bytes are not a window batch, or its columns contradict each other.
    UnknownSchemaError, RegistryUnavailableError
        See :meth:`schemas.codec.Codec.decode`.
    """
    record = codec.decode(SUBJECT, data)
    unpack_columns(record, _TYPES)
    same_length(record, _TYPES)
    batch = WindowBatch(**record)
    check_codes(batch.user, len(batch.users), "user")
    check_codes(batch.metric, len(batch.metrics), "metric")
    check_codes(batch.size, len(SIZE_NAMES), "size")
    return batch
