"""Accepted batches: the records of topic ``samples``, from the worker to the sink."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from schemas.codec import Codec
from schemas.columns import (
    I8,
    I32,
    I64,
    Int8,
    Int32,
    Int64,
    check_codes,
    pack_columns,
    same_length,
    unpack_columns,
)
from schemas.windows import SIZE_NAMES

SUBJECT = "accepted_batch"
_TYPES: Final[dict[str, np.dtype[Any]]] = {
    "set_aside": I32,
    "late_user": I32,
    "late_metric": I32,
    "late_size": I8,
    "late_start": I64,
    "late_end": I64,
}


@dataclass(frozen=True, slots=True)
class AcceptedBatch:
    """An upload batch that the worker has applied, on its way to storage.

    Attributes
    ----------
    source_topic, source_partition, source_offset
        Where the batch stood.
    batch : bytes
        The upload batch record, unchanged; :func:`schemas.uploads.decode` reads it.
    set_aside : (K,) int32
        Row numbers of uploads that went to a retry or dead-letter topic: not to be stored.
    users, metrics : list of str
        Dictionaries of the late windows.
    late_user, late_metric : (L,) int32
        Codes into them.
    late_size : (L,) int8
        ``schemas.windows.MINUTE``, ``HOUR`` or ``DAY``.
    late_start, late_end : (L,) int64
        Bounds of windows that must be computed again from stored samples, once the samples of
        this batch are stored; epoch milliseconds, the end exclusive.
    late_samples : int
        How many samples of the batch were older than the live horizon.
    """

    source_topic: str
    source_partition: int
    source_offset: int
    batch: bytes
    set_aside: Int32
    users: list[str]
    metrics: list[str]
    late_user: Int32
    late_metric: Int32
    late_size: Int8
    late_start: Int64
    late_end: Int64
    late_samples: int


def encode(accepted: AcceptedBatch, codec: Codec) -> bytes:
    """Write it as a record of topic ``samples``."""
    record: dict[str, Any] = {name: getattr(accepted, name) for name in AcceptedBatch.__slots__}
    pack_columns(record, _TYPES)
    return codec.encode(SUBJECT, record)


def decode(data: bytes, codec: Codec) -> AcceptedBatch:
    """Read a record of topic ``samples``.

    Raises
    ------
    DecodeError
        If the bytes are not an accepted batch, or its columns contradict each other.
    UnknownSchemaError, RegistryUnavailableError
        See :meth:`schemas.codec.Codec.decode`.
    """
    record = codec.decode(SUBJECT, data)
    unpack_columns(record, _TYPES)
    same_length(record, [name for name in _TYPES if name != "set_aside"])
    accepted = AcceptedBatch(**record)
    check_codes(accepted.late_user, len(accepted.users), "late_user")
    check_codes(accepted.late_metric, len(accepted.metrics), "late_metric")
    check_codes(accepted.late_size, len(SIZE_NAMES), "late_size")
    return accepted
