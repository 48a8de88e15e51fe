"""Topic ``samples``: the samples of applied uploads, and the uploads themselves once stored."""

import time

import numpy as np
import pyarrow as pa

from agents.outputs import status_of
from app.errors import ValidationError
from app.sink.late_requests import LATE_WINDOWS
from app.sink.records import Decoded, Record, coded, instants, parse_uuids, uuid_column
from schemas import accepted, uploads
from schemas.accepted import AcceptedBatch
from schemas.codec import Codec
from schemas.columns import Int32, Int64, Uuids
from schemas.uploads import UploadBatch


def decode_samples(record: Record, codec: Codec) -> Decoded:
    """Return what a record of topic ``samples`` asks for.

    Raises
    ------
    DataError
        If it is none, or breaks the data contract.
    """
    applied = accepted.decode(record.value, codec)
    batch = _stored_uploads(applied, codec)
    now_ms = time.time_ns() // 1_000_000
    return Decoded(
        record,
        {"samples_data": sample_rows(batch)},
        late=_late(applied),
        then={"uploads_data": stored_rows(batch, now_ms)},
        stored=status_of(batch, "stored", at_ms=now_ms),
    )


def sample_rows(batch: UploadBatch) -> pa.Table:
    """Return the (T,) samples of a batch as rows of ``samples_data``.

    Raises
    ------
    ValidationError
        If a user id is no UUID.
    """
    users = parse_uuids(batch.users, "user id")
    upload = np.repeat(batch.series_upload, batch.series_length)
    return pa.table(
        {
            "user_id": uuid_column(users[batch.upload_user[upload]]),
            "metric": coded(np.repeat(batch.series_metric, batch.series_length), batch.metrics),
            "device_id": coded(batch.upload_device[upload], batch.devices),
            "time": instants(batch.times),
            "upload_id": uuid_column(batch.upload_ids[upload]),
            "value": pa.array(batch.values, pa.float64()),
            "received_at": instants(batch.received_ms[upload]),
            "source": coded(batch.upload_source[upload], batch.sources),
        }
    )


def stage_rows(
    stage: str,
    *,
    batch_id: bytes,
    user_ids: Uuids,
    upload_ids: Uuids,
    received_ms: Int64,
    counts: dict[str, Int32],
    devices: pa.Array,
    sources: pa.Array,
    reached_ms: int,
) -> pa.Table:
    """Return the (N,) uploads of a batch that reached a stage as rows of ``uploads_data``.

    ``counts`` holds the columns ``accepted``, ``rejected`` and ``repeated``.
    """
    n = len(upload_ids)
    return pa.table(
        {
            "user_id": uuid_column(user_ids),
            "upload_id": uuid_column(upload_ids),
            "stage": pa.array([stage] * n, pa.string()),
            "batch_id": uuid_column(np.frombuffer(batch_id * n, "V16")),
            "device_id": devices,
            "source": sources,
            "received_at": instants(received_ms),
            **{name: pa.array(column, pa.uint32()) for name, column in counts.items()},
            "reached_at": instants(np.full(n, reached_ms, np.int64)),
        }
    )


def stored_rows(batch: UploadBatch, now_ms: int) -> pa.Table:
    """Return the (N,) uploads of a batch that is stored as rows of ``uploads_data``.

    Raises
    ------
    ValidationError
        If a user id is no UUID.
    """
    return stage_rows(
        "stored",
        batch_id=batch.batch_id,
        user_ids=parse_uuids(batch.users, "user id")[batch.upload_user],
        upload_ids=batch.upload_ids,
        received_ms=batch.received_ms,
        counts={
            "accepted": batch.accepted,
            "rejected": batch.rejected,
            "repeated": batch.repeated,
        },
        devices=coded(batch.upload_device, batch.devices),
        sources=coded(batch.upload_source, batch.sources),
        reached_ms=now_ms,
    )


def _stored_uploads(applied: AcceptedBatch, codec: Codec) -> UploadBatch:
    batch = uploads.decode(applied.batch, codec)
    keep = np.ones(len(batch), bool)
    try:
        keep[applied.set_aside] = False
    except IndexError as error:
        raise ValidationError("an upload is set aside that the batch does not hold") from error
    return batch if keep.all() else batch.select(keep)


def _late(applied: AcceptedBatch) -> pa.Table | None:
    if not len(applied.late_user):
        return None
    users = parse_uuids(applied.users, "user id")
    metrics = pa.array(applied.metrics, pa.string())
    return pa.table(
        {
            "size": pa.array(applied.late_size, pa.int8()),
            "user_id": uuid_column(users[applied.late_user]),
            "metric": metrics.take(pa.array(applied.late_metric)),
            "window_start": instants(applied.late_start),
            "window_end": instants(applied.late_end),
        },
        schema=LATE_WINDOWS,
    )
