"""Records of the sink's topics as tests write them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from app.sink.dead_letter_rows import decode_dead_letter
from app.sink.records import Decoded, Record
from app.sink.sample_rows import decode_samples
from app.sink.status_rows import decode_status
from schemas import accepted, statuses, uploads
from schemas.accepted import AcceptedBatch
from schemas.codec import Codec
from schemas.columns import Dictionary
from schemas.topics import DEAD_LETTERS, SAMPLES, UPLOAD_STATUS
from schemas.uploads import UploadBatch
from tests.clickhouse.batches import NOON_MS, received

_CODEC = Codec()
_OFFSETS = count()


@dataclass(frozen=True, slots=True, order=True)
class LateWindow:
    """A window to compute again: size code, person, metric, bounds in epoch milliseconds."""

    size: int
    user_id: str
    metric: str
    start: int
    end: int


def record(topic: str, value: bytes, headers: Mapping[str, bytes] | None = None) -> Record:
    """Return a record at the next offset of partition 0."""
    return Record(topic, 0, next(_OFFSETS), NOON_MS, value, headers or {})


def applied_value(
    batch: UploadBatch, *, late: Sequence[LateWindow] = (), set_aside: Sequence[int] = ()
) -> bytes:
    """Return what a worker writes of a batch that it has applied."""
    users, metrics = Dictionary(), Dictionary()
    late_user = [users.code(window.user_id) for window in late]
    late_metric = [metrics.code(window.metric) for window in late]
    return accepted.encode(
        AcceptedBatch(
            "uploads",
            0,
            0,
            uploads.encode(batch, _CODEC),
            np.array(set_aside, np.int32),
            users.values,
            metrics.values,
            np.array(late_user, np.int32),
            np.array(late_metric, np.int32),
            np.array([window.size for window in late], np.int8),
            np.array([window.start for window in late], np.int64),
            np.array([window.end for window in late], np.int64),
            len(late),
        ),
        _CODEC,
    )


def applied(
    batch: UploadBatch, *, late: Sequence[LateWindow] = (), set_aside: Sequence[int] = ()
) -> Decoded:
    """Return a batch as the sink stores it."""
    value = applied_value(batch, late=late, set_aside=set_aside)
    return decode_samples(record(SAMPLES, value), _CODEC)


def declared(batch: UploadBatch) -> Decoded:
    """Return what a gateway declares of a batch."""
    return decode_status(record(UPLOAD_STATUS, statuses.encode(received(batch), _CODEC)), _CODEC)


def dead(batch: UploadBatch) -> Decoded:
    """Return a batch as a dead letter."""
    headers = {"vs-error": b"ValidationError: wrong", "vs-origin": b"uploads/0/7"}
    return decode_dead_letter(record(DEAD_LETTERS, uploads.encode(batch, _CODEC), headers), _CODEC)
