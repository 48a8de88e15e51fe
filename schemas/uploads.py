"""Upload batches: the records of topic ``uploads`` as columns in memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import DecodeError, ValidationError
from schemas.codec import Codec
from schemas.columns import (
    F64,
    I32,
    I64,
    UUID,
    Float64,
    Int32,
    Int64,
    Uuids,
    check_codes,
    squeeze,
    unpack,
    unsqueeze,
)

SUBJECT = "upload_batch"
PLAIN, PLANES = "plain", "planes-lz4"
_INT32 = (
    "upload_user",
    "upload_device",
    "upload_source",
    "accepted",
    "rejected",
    "repeated",
    "series_upload",
    "series_metric",
    "series_length",
)


@dataclass(frozen=True, slots=True)
class UploadBatch:
    """The uploads of one partition that arrived together: N uploads, S series, T samples.

    Attributes
    ----------
    batch_id : bytes
        16 random bytes.
    users, devices, sources, metrics : list of str
        Dictionaries that the codes point into.
    upload_ids : (N,) V16
        UUIDs.
    upload_user, upload_device, upload_source : (N,) int32
        Codes into the dictionaries.
    received_ms : (N,) int64
        When a gateway first took the upload, epoch milliseconds: the rank of its values. Of two
        values of one identity the one received later counts; of two received in the same
        millisecond, the greater.
    accepted, rejected, repeated : (N,) int32
        Counts of samples: accepted by the gateway (repeated ones included), rejected by it, and
        accepted ones that a later one of the same upload and identity replaced.
    series_upload : (S,) int32
        Row number of the upload of each series; ascending.
    series_metric : (S,) int32
        Codes into ``metrics``.
    series_length : (S,) int32
        Counts of samples; an upload has at most one series of a metric.
    times : (T,) int64
        Epoch milliseconds, strictly ascending within a series.
    values : (T,) float64
        In the metric's canonical unit; finite.
    """

    batch_id: bytes
    users: list[str]
    devices: list[str]
    sources: list[str]
    metrics: list[str]
    upload_ids: Uuids
    upload_user: Int32
    upload_device: Int32
    upload_source: Int32
    received_ms: Int64
    accepted: Int32
    rejected: Int32
    repeated: Int32
    series_upload: Int32
    series_metric: Int32
    series_length: Int32
    times: Int64
    values: Float64

    def __len__(self) -> int:
        """Return the number of uploads."""
        return len(self.upload_ids)

    @property
    def series_start(self) -> Int64:
        """(S + 1,) positions of each series' first sample, and the end of the last."""
        start = np.zeros(len(self.series_length) + 1, np.int64)
        np.cumsum(self.series_length, out=start[1:])
        return start

    def select(self, uploads: NDArray[np.bool_]) -> "UploadBatch":
        """Return a batch of some of the uploads, with the same id and dictionaries.

        Parameters
        ----------
        uploads : (N,) bool
            Which uploads to keep.
        """
        series = uploads[self.series_upload]
        samples = np.repeat(series, self.series_length)
        renumbered = (np.cumsum(uploads) - 1).astype(np.int32)
        return UploadBatch(
            self.batch_id,
            self.users,
            self.devices,
            self.sources,
            self.metrics,
            self.upload_ids[uploads],
            self.upload_user[uploads],
            self.upload_device[uploads],
            self.upload_source[uploads],
            self.received_ms[uploads],
            self.accepted[uploads],
            self.rejected[uploads],
            self.repeated[uploads],
            renumbered[self.series_upload[series]],
            self.series_metric[series],
            self.series_length[series],
            self.times[samples],
            self.values[samples],
        )


def encode(batch: UploadBatch, codec: Codec) -> bytes:
    """Write a batch as a record of topic ``uploads``."""
    record: dict[str, Any] = {name: getattr(batch, name) for name in UploadBatch.__slots__}
    for name in ("upload_ids", "received_ms", *_INT32):
        record[name] = record[name].tobytes()
    # Steps between instants are all alike where a device measures evenly.
    record["times"] = squeeze(np.diff(batch.times, prepend=0))
    record["values"] = squeeze(batch.values)
    record["packing"] = PLANES
    return codec.encode(SUBJECT, record)


def decode(data: bytes, codec: Codec) -> UploadBatch:
    """Read a record of topic ``uploads`` and check that it keeps its contract.

    Columns may be views of the record's bytes: read-only.

    Raises
    ------
    DecodeError
        If the bytes are not an upload batch.
    UnknownSchemaError, RegistryUnavailableError
        See :meth:`schemas.codec.Codec.decode`.
    ValidationError
        If its columns contradict each other.
    """
    record = codec.decode(SUBJECT, data)
    record["upload_ids"] = unpack(record["upload_ids"], UUID, "upload_ids")
    for name in _INT32:
        record[name] = unpack(record[name], I32, name)
    record["received_ms"] = unpack(record["received_ms"], I64, "received_ms")
    record["times"], record["values"] = _samples(record.pop("packing"), record)
    batch = UploadBatch(**record)
    _validate(batch)
    return batch


def _samples(packing: str, record: dict[str, Any]) -> tuple[Int64, Float64]:
    if packing == PLANES:
        [steps] = unsqueeze(record["times"], 1, "times")
        [values] = unsqueeze(record["values"], 1, "values")
        return np.cumsum(steps), values.view(np.float64)
    if packing == PLAIN:
        return unpack(record["times"], I64, "times"), unpack(record["values"], F64, "values")
    raise DecodeError(f"upload batch: no packing is called {packing!r}")


def _validate(batch: UploadBatch) -> None:
    n, s = len(batch.upload_ids), len(batch.series_upload)
    for name in ("upload_user", "upload_device", "upload_source", "received_ms", "accepted"):
        _require(len(getattr(batch, name)) == n, f"{name} has not one entry an upload")
    _require(len(batch.rejected) == n == len(batch.repeated), "counts have not one entry an upload")
    _require(len(batch.series_metric) == s == len(batch.series_length), "series columns differ")
    _require(len(batch.times) == len(batch.values), "times and values differ in length")
    check_codes(batch.upload_user, len(batch.users), "upload_user")
    check_codes(batch.upload_device, len(batch.devices), "upload_device")
    check_codes(batch.upload_source, len(batch.sources), "upload_source")
    check_codes(batch.series_metric, len(batch.metrics), "series_metric")
    check_codes(batch.series_upload, n, "series_upload")
    _require(bool((np.diff(batch.series_upload) >= 0).all()), "series_upload does not ascend")
    _require(bool((batch.series_length > 0).all()), "a series is empty")
    _require(int(batch.series_length.sum()) == len(batch.times), "series_length does not add up")
    _require(bool(np.isfinite(batch.values).all()), "a value is not finite")
    if len(batch.times) > 1:
        ascends = np.diff(batch.times) > 0
        ascends[batch.series_start[1:-1] - 1] = True  # a new series may start anywhere
        _require(bool(ascends.all()), "times do not ascend within a series")
    kept = np.bincount(batch.series_upload, weights=batch.series_length, minlength=n)
    _require(bool((kept == batch.accepted - batch.repeated).all()), "accepted does not add up")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValidationError(f"upload batch: {message}")
