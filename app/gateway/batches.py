"""Joining checked uploads of one partition into a record of topic ``uploads``."""

import uuid
from collections.abc import Sequence
from itertools import chain

import numpy as np

from app.gateway.documents import uuid_bytes
from app.gateway.validation import CheckedUpload
from schemas.columns import F64, I32, I64, UUID, Dictionary, Int32
from schemas.statuses import StatusBatch
from schemas.uploads import UploadBatch


def join(uploads: Sequence[CheckedUpload]) -> UploadBatch:
    """Return the uploads as one batch, in their order, under a new random id."""
    users, devices, sources, metrics = (Dictionary() for _ in range(4))
    documents = [upload.document for upload in uploads]
    series = [one for upload in uploads for one in upload.series]
    return UploadBatch(
        batch_id=uuid.uuid4().bytes,
        upload_ids=np.frombuffer(uuid_bytes("".join([d.upload_id for d in documents])), UUID),
        upload_user=_int32([users.code(d.user_id) for d in documents]),
        upload_device=_int32([devices.code(d.device_id) for d in documents]),
        upload_source=_int32([sources.code(d.source) for d in documents]),
        received_ms=np.array([u.received_ms for u in uploads], I64),
        accepted=_int32([u.accepted for u in uploads]),
        rejected=_int32([u.rejected for u in uploads]),
        repeated=_int32([u.repeated for u in uploads]),
        series_upload=_int32(
            list(chain.from_iterable([[n] * len(u.series) for n, u in enumerate(uploads)]))
        ),
        series_metric=_int32([metrics.code(one.metric) for one in series]),
        series_length=_int32([one.times.size for one in series]),
        times=np.concatenate([np.empty(0, I64), *(one.times for one in series)]),
        values=np.concatenate([np.empty(0, F64), *(one.values for one in series)]),
        users=users.values,
        devices=devices.values,
        sources=sources.values,
        metrics=metrics.values,
    )


def received(batch: UploadBatch, at_ms: int) -> StatusBatch:
    """Return the status that says that the broker has acknowledged a batch."""
    none = np.zeros(len(batch), I32)
    return StatusBatch(
        batch_id=batch.batch_id,
        stage="received",
        at_ms=at_ms,
        reason="",
        users=batch.users,
        upload_ids=batch.upload_ids,
        upload_user=batch.upload_user,
        received_ms=batch.received_ms,
        accepted=batch.accepted,
        rejected=batch.rejected,
        repeated=batch.repeated,
        duplicate=none,
        late=none,
    )


def _int32(values: list[int]) -> Int32:
    return np.array(values, I32)
