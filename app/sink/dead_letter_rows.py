"""Dead letters: of topic ``uploads-dlq``, and records that could not be stored."""

from typing import Final

import pyarrow as pa

from agents.failures import ATTEMPT, ERROR, ERROR_CHAIN, FIRST_FAILED, ORIGIN, describe
from app.errors import DataError
from app.sink.records import MILLISECONDS, UUID16, Decoded, Record, parse_uuids, table_of
from schemas import accepted, uploads
from schemas.codec import Codec
from schemas.topics import DEAD_LETTERS, SAMPLES
from schemas.uploads import UploadBatch

_SCHEMA: Final = pa.schema(
    {
        "topic": pa.string(),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "failed_at": MILLISECONDS,
        "first_failed_at": MILLISECONDS,
        "attempts": pa.uint32(),
        "error": pa.string(),
        "detail": pa.string(),
        "origin_topic": pa.string(),
        "origin_partition": pa.int32(),
        "origin_offset": pa.int64(),
        "user_ids": pa.list_(UUID16),
        "upload_ids": pa.list_(UUID16),
        "accepted": pa.list_(pa.uint32()),
        "received_ats": pa.list_(MILLISECONDS),
        "payload": pa.binary(),
    }
)
TABLE: Final = "dead_letters_data"


def decode_dead_letter(record: Record, codec: Codec) -> Decoded:
    """Return what a record of topic ``uploads-dlq`` asks for; whatever it holds, it is kept."""
    headers = {name: value.decode(errors="replace") for name, value in record.headers.items()}
    reason = headers.get(ERROR, "")
    origin = _origin(headers.get(ORIGIN, ""))
    return Decoded(
        record,
        {
            TABLE: _row(
                record,
                codec,
                error=reason.partition(":")[0] or "unknown",
                detail=headers.get(ERROR_CHAIN, reason),
                attempts=_number(headers.get(ATTEMPT)) or 0,
                first_failed_at=_number(headers.get(FIRST_FAILED)),
                origin=origin,
            )
        },
    )


def unstorable(record: Record, error: BaseException, codec: Codec) -> Decoded:
    """Return what is kept of a record that cannot be stored, instead of its rows."""
    return Decoded(
        record,
        {
            TABLE: _row(
                record,
                codec,
                error=type(error).__name__,
                detail=describe(error),
                attempts=1,
                first_failed_at=record.timestamp_ms,
                origin=(record.topic, record.partition, record.offset),
            )
        },
    )


def uploads_in(topic: str, value: bytes, codec: Codec) -> UploadBatch | None:
    """Return the uploads that a dead letter holds, or None as far as it does not decode."""
    try:
        if topic == SAMPLES:
            return uploads.decode(accepted.decode(value, codec).batch, codec)
        return uploads.decode(value, codec) if topic == DEAD_LETTERS else None
    except DataError:
        return None


def _row(
    record: Record,
    codec: Codec,
    *,
    error: str,
    detail: str,
    attempts: int,
    first_failed_at: int | None,
    origin: tuple[str, int, int],
) -> pa.Table:
    row = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "failed_at": record.timestamp_ms,
        "first_failed_at": first_failed_at,
        "attempts": attempts,
        "error": error,
        "detail": detail,
        "origin_topic": origin[0],
        "origin_partition": origin[1],
        "origin_offset": origin[2],
        "payload": record.value,
    }
    return table_of([row | _uploads(record, codec)], _SCHEMA)


def _uploads(record: Record, codec: Codec) -> dict[str, list[bytes] | list[int]]:
    batch = uploads_in(record.topic, record.value, codec)
    try:
        users = None if batch is None else parse_uuids(batch.users, "user id")
    except DataError:
        users = None
    if batch is None or users is None:
        return {"user_ids": [], "upload_ids": [], "accepted": [], "received_ats": []}
    return {
        "user_ids": [users[code].tobytes() for code in batch.upload_user],
        "upload_ids": [upload_id.tobytes() for upload_id in batch.upload_ids],
        "accepted": batch.accepted.tolist(),
        "received_ats": batch.received_ms.tolist(),
    }


def _origin(text: str) -> tuple[str, int, int]:
    topic, _, place = text.partition("/")
    partition, _, offset = place.partition("/")
    found = _number(partition), _number(offset)
    if None in found:
        return topic, -1, -1
    return topic, found[0] or 0, found[1] or 0


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
