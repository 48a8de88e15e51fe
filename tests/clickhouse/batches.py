"""Upload batches as tests write them: an upload is a few lines, the columns follow."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import numpy as np

from schemas.columns import Dictionary
from schemas.statuses import StatusBatch
from schemas.uploads import UploadBatch
from schemas.windows import MINUTE_MS

EPOCH_MS = 1_577_836_800_000
"""2020-01-01Z, from which versions of windows count."""
NOON_MS = 1_795_435_200_000
"""2026-11-23T12:00Z."""


@dataclass(frozen=True)
class Upload:
    """One upload of one metric: samples as (milliseconds after noon, value)."""

    user: UUID
    samples: Sequence[tuple[int, float]]
    upload_id: UUID = field(default_factory=uuid4)
    device: str = "watch"
    metric: str = "heart_rate"
    received_ms: int = NOON_MS + MINUTE_MS
    repeated: int = 0


def batch_of(uploads: Sequence[Upload]) -> UploadBatch:
    """Return uploads as one batch."""
    users, devices, metrics = Dictionary(), Dictionary(), Dictionary()
    lengths = [len(upload.samples) for upload in uploads]
    return UploadBatch(
        batch_id=uuid4().bytes,
        users=_values(users, [str(upload.user) for upload in uploads]),
        devices=_values(devices, [upload.device for upload in uploads]),
        sources=["test"],
        metrics=_values(metrics, [upload.metric for upload in uploads]),
        upload_ids=np.frombuffer(b"".join(upload.upload_id.bytes for upload in uploads), "V16"),
        upload_user=np.array([users.code(str(upload.user)) for upload in uploads], np.int32),
        upload_device=np.array([devices.code(upload.device) for upload in uploads], np.int32),
        upload_source=np.zeros(len(uploads), np.int32),
        received_ms=np.array([upload.received_ms for upload in uploads], np.int64),
        accepted=np.array([len(u.samples) + u.repeated for u in uploads], np.int32),
        rejected=np.zeros(len(uploads), np.int32),
        repeated=np.array([upload.repeated for upload in uploads], np.int32),
        series_upload=np.arange(len(uploads), dtype=np.int32),
        series_metric=np.array([metrics.code(upload.metric) for upload in uploads], np.int32),
        series_length=np.array(lengths, np.int32),
        times=np.array([NOON_MS + at for u in uploads for at, _ in u.samples], np.int64),
        values=np.array([value for u in uploads for _, value in u.samples], np.float64),
    )


def received(batch: UploadBatch) -> StatusBatch:
    """Return what a gateway declares of a batch."""
    none = np.zeros(len(batch), np.int32)
    return StatusBatch(
        batch.batch_id,
        "received",
        int(batch.received_ms.max()),
        "",
        batch.users,
        batch.upload_ids,
        batch.upload_user,
        batch.received_ms,
        batch.accepted,
        batch.rejected,
        batch.repeated,
        none,
        none,
    )


def _values(dictionary: Dictionary, values: Sequence[str]) -> list[str]:
    for value in values:
        dictionary.code(value)
    return dictionary.values
