"""Upload statuses: the records of topic ``upload-status`` as columns in memory."""

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np

from schemas.codec import Codec
from schemas.columns import (
    I32,
    I64,
    UUID,
    Int32,
    Int64,
    Uuids,
    check_codes,
    pack_columns,
    same_length,
    unpack_columns,
)

SUBJECT = "upload_status"
Stage = Literal["received", "processed", "stored", "retrying", "failed"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
_TYPES: Final[dict[str, np.dtype[Any]]] = {
    "upload_ids": UUID,
    "upload_user": I32,
    "received_ms": I64,
    "accepted": I32,
    "rejected": I32,
    "repeated": I32,
    "duplicate": I32,
    "late": I32,
}


@dataclass(frozen=True, slots=True)
class StatusBatch:
    """How far N uploads of one batch have come; see ``schemas/avsc/upload_status``."""

    batch_id: bytes
    stage: Stage
    at_ms: int
    reason: str
    users: list[str]
    upload_ids: Uuids
    upload_user: Int32
    received_ms: Int64
    accepted: Int32
    rejected: Int32
    repeated: Int32
    duplicate: Int32
    late: Int32

    @property
    def key(self) -> bytes:
        """The record's key: one record of each batch and stage outlives compaction."""
        return b"%s-%s" % (self.batch_id.hex().encode(), self.stage.encode())


def encode(status: StatusBatch, codec: Codec) -> bytes:
    """Write it as a record of topic ``upload-status``."""
    record: dict[str, Any] = {name: getattr(status, name) for name in StatusBatch.__slots__}
    pack_columns(record, _TYPES)
    return codec.encode(SUBJECT, record)


def decode(data: bytes, codec: Codec) -> StatusBatch:
    """Read a record of topic ``upload-status``.

    Raises
    ------
    DecodeError
        If the bytes are not a status batch, or its columns contradict each other.
    UnknownSchemaError, RegistryUnavailableError
        See :meth:`schemas.codec.Codec.decode`.
    """
    record = codec.decode(SUBJECT, data)
    unpack_columns(record, _TYPES)
    same_length(record, _TYPES)
    status = StatusBatch(**record)
    check_codes(status.upload_user, len(status.users), "upload_user")
    return status
