"""Rejected samples: in the answer to the sender, and as records of topic ``rejected-samples``."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import orjson

from app.gateway.documents import Times, Values
from app.gateway.validation import CheckedUpload, Rejection
from schemas.codec import Codec

SUBJECT: Final = "rejected_samples"
TEXT_LENGTH: Final = 64
"""Most characters of a metric, unit, time or value that are kept as sent."""

SAMPLES_PER_RECORD: Final = 2_000


def _each(upload: CheckedUpload) -> Iterator[tuple[Rejection, int]]:
    """Yield every rejected sample with its index, by series and index."""
    series: dict[int, list[Rejection]] = {}
    for rejection in upload.rejections:
        series.setdefault(rejection.series, []).append(rejection)
    for rejections in series.values():
        pairs = [(index, r) for r in rejections for index in r.indices.tolist()]
        pairs.sort(key=lambda pair: pair[0])
        yield from ((rejection, index) for index, rejection in pairs)


def entries(upload: CheckedUpload) -> list[dict[str, Any]]:
    """Return what the answer says of each rejected sample; without its value."""
    return [
        {"series": r.series, "index": index, "reason": r.reason, "detail": r.detail}
        for r, index in _each(upload)
    ]


def records(upload: CheckedUpload, codec: Codec) -> Iterator[bytes]:
    """Yield the records of topic ``rejected-samples``, of bounded size, that keep the samples."""
    document = upload.document
    samples: list[dict[str, Any]] = []
    for rejection, index in _each(upload):
        series = document.series[rejection.series]
        samples.append(
            {
                "series": rejection.series,
                "index": index,
                "metric": series.metric[:TEXT_LENGTH],
                "unit": series.unit[:TEXT_LENGTH],
                "time": _as_sent(series.times, index),
                "value": _as_sent(series.values, index),
                "reason": rejection.reason,
                "detail": rejection.detail,
            }
        )
        if len(samples) == SAMPLES_PER_RECORD:
            yield _record(upload, samples, codec)
            samples = []
    if samples:
        yield _record(upload, samples, codec)


def _record(upload: CheckedUpload, samples: list[dict[str, Any]], codec: Codec) -> bytes:
    document = upload.document
    return codec.encode(
        SUBJECT,
        {
            "upload_id": document.upload_id,
            "user_id": document.user_id,
            "device_id": document.device_id,
            "source": document.source,
            "received_ms": upload.received_ms,
            "samples": samples,
        },
    )


def _as_sent(column: Times | Values, index: int) -> str:
    """Return one time or value as text; empty when there is none."""
    if index >= len(column):
        return ""
    item = column[index]
    if isinstance(item, str):
        return item[:TEXT_LENGTH]
    if isinstance(item, list | dict):
        return type(item).__name__  # as deep as it may be, it is no time and no number
    if isinstance(item, np.generic):
        return repr(item.item())
    return orjson.dumps(item).decode()[:TEXT_LENGTH]
