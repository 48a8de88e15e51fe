"""Records of the live topics, decoded once and asked per person when somebody watches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from schemas import accepted, topics, uploads, windows
from schemas.codec import Codec
from schemas.columns import Int64

Kind = Literal["samples", "windows", "alerts"]
KINDS: Final[tuple[Kind, ...]] = ("samples", "windows", "alerts")
TOPIC_OF: Final[dict[Kind, str]] = {
    "samples": topics.SAMPLES,
    "windows": topics.WINDOWS,
    "alerts": topics.ALERTS,
}
Alert = dict[str, Any]
"""One revision of an alert: the fields of ``schemas/avsc/alert``."""


class Samples:
    """The samples of one accepted batch, without the uploads that were set aside."""

    def __init__(self, batch: uploads.UploadBatch) -> None:
        self.batch = batch
        self._start = batch.series_start
        self._codes = {user: code for code, user in enumerate(batch.users)}

    def of(self, user: str) -> list[dict[str, Any]]:
        """Return a person's series: metric, device, received (ms), times (ms) and values."""
        code = self._codes.get(user)
        if code is None:
            return []
        mine = (self.batch.upload_user == code)[self.batch.series_upload]
        return [self._series(int(row)) for row in np.flatnonzero(mine)]

    def _series(self, row: int) -> dict[str, Any]:
        batch, begin, end = self.batch, int(self._start[row]), int(self._start[row + 1])
        upload = int(batch.series_upload[row])
        return {
            "metric": batch.metrics[batch.series_metric[row]],
            "device": batch.devices[batch.upload_device[upload]],
            "received": int(batch.received_ms[upload]),
            "times": batch.times[begin:end],
            "values": batch.values[begin:end],
        }

    def newest(self) -> Iterator[tuple[str, str, int, float]]:
        """Yield (user, metric, time in ms, value) of each series' newest sample."""
        batch, last = self.batch, self._start[1:] - 1
        user = batch.upload_user[batch.series_upload].tolist()
        metric, times, values = (
            batch.series_metric.tolist(),
            batch.times[last].tolist(),
            batch.values[last].tolist(),
        )
        for u, m, time, value in zip(user, metric, times, values, strict=True):
            yield batch.users[u], batch.metrics[m], time, value

    @property
    def uploads(self) -> int:
        """How many uploads."""
        return len(self.batch)

    @property
    def count(self) -> int:
        """How many samples."""
        return len(self.batch.times)

    @property
    def received_ms(self) -> Int64:
        """(N,) when a gateway took each upload."""
        return self.batch.received_ms


class Windows:
    """The rows of one window batch."""

    def __init__(self, batch: windows.WindowBatch) -> None:
        self.batch = batch
        self._codes = {user: code for code, user in enumerate(batch.users)}

    @cached_property
    def _mean(self) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self.batch.sum / np.maximum(self.batch.count, 1)
        return mean

    def of(self, user: str) -> list[dict[str, Any]]:
        """Return a person's rows as columns, one entry for each metric and window size."""
        code = self._codes.get(user)
        if code is None:
            return []
        batch, rows = self.batch, np.flatnonzero(self.batch.user == code)
        groups: dict[tuple[int, int], list[int]] = {}
        for row in rows.tolist():
            groups.setdefault((int(batch.metric[row]), int(batch.size[row])), []).append(row)
        return [self._columns(key, np.array(rows)) for key, rows in groups.items()]

    def _columns(self, key: tuple[int, int], rows: NDArray[np.int64]) -> dict[str, Any]:
        batch = self.batch
        return {
            "metric": batch.metrics[key[0]],
            "size": windows.SIZE_NAMES[key[1]],
            "start": batch.start[rows],
            "end": batch.end[rows],
            "count": batch.count[rows],
            "mean": self._mean[rows],
            "min": batch.min[rows],
            "max": batch.max[rows],
            "low": batch.expected_low[rows],
            "high": batch.expected_high[rows],
            "version": batch.version[rows],
        }

    def minutes(self) -> Iterator[tuple[str, str, int, float]]:
        """Yield (user, metric, start in ms, mean) of each one-minute window."""
        batch, rows = self.batch, np.flatnonzero(self.batch.size == windows.MINUTE)
        columns = (batch.user, batch.metric, batch.start, self._mean)
        for u, m, start, mean in zip(*(c[rows].tolist() for c in columns), strict=True):
            yield batch.users[u], batch.metrics[m], start, mean


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a live topic.

    Attributes
    ----------
    kind, partition, offset
        Where it stood.
    time_ms : int
        The record's timestamp, epoch milliseconds.
    size : int
        Its length in bytes, which is about what keeping it costs.
    body
        What it says.
    """

    kind: Kind
    partition: int
    offset: int
    time_ms: int
    size: int
    body: Samples | Windows | Alert = field(repr=False)


def decode(kind: Kind, data: bytes, codec: Codec) -> Samples | Windows | Alert:
    """Decode the value of a live topic's record.

    Raises
    ------
    DataError
        If the bytes are not such a record.
    """
    if kind == "alerts":
        return codec.decode("alert", data)
    if kind == "windows":
        return Windows(windows.decode(data, codec))
    applied = accepted.decode(data, codec)
    batch = uploads.decode(applied.batch, codec)
    if len(applied.set_aside):
        kept = np.ones(len(batch), np.bool_)
        kept[applied.set_aside] = False
        batch = batch.select(kept)
    return Samples(batch)
