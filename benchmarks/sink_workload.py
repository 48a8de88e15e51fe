"""What the sink's benchmark stores: records of topic ``samples``, made before the clock starts."""

import uuid
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas import accepted, uploads
from schemas.accepted import AcceptedBatch
from schemas.codec import Codec
from schemas.columns import Int8, Int32, Int64
from schemas.topics import partition_of
from schemas.uploads import UploadBatch
from schemas.windows import DAY, HOUR, HOUR_MS, MINUTE, MINUTE_MS

STEP_MS: Final = 1000
_LENGTHS: Final = {MINUTE: MINUTE_MS, HOUR: HOUR_MS, DAY: 24 * HOUR_MS}
_DELAY_MS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Shape:
    """A workload.

    Attributes
    ----------
    uploads : int
        How many there are.
    users : int
        Whose they are, in turn.
    samples : int
        Samples of an upload: heart rates, a second apart.
    uploads_a_record : int
        Uploads that share a record.
    start_ms : int
        The first instant, epoch milliseconds.
    late : bool
        Whether the worker asks for every window of theirs to be computed from storage.
    seed : int
        Makes people, upload ids and values.
    """

    uploads: int
    users: int
    samples: int
    uploads_a_record: int
    start_ms: int
    late: bool = False
    seed: int = 1


class Workload:
    """Makes the records of a shape, the same for its seed; each call goes on where the last ended.

    Parameters
    ----------
    shape : Shape
        The workload.
    partitions : int
        How many the topic has.
    """

    def __init__(self, shape: Shape, partitions: int) -> None:
        self._shape = shape
        self._codec = Codec()
        self._random = np.random.default_rng(shape.seed)
        names = [
            str(uuid.UUID(bytes=self._random.bytes(16), version=4)) for _ in range(shape.users)
        ]
        places = np.array([partition_of(name, partitions) for name in names])
        self._people = [
            [names[who] for who in np.flatnonzero(places == partition)]
            for partition in range(partitions)
        ]
        self._turns = [0] * partitions

    def everything(self) -> list[list[UploadBatch]]:
        """Return all uploads of the shape as batches, by partition: people in turn."""
        size = self._shape.uploads_a_record
        made = []
        for partition, people in enumerate(self._people):
            count = self._shape.uploads * len(people) // self._shape.users
            sizes = [min(size, count - first) for first in range(0, count, size)]
            made.append([self.batch(partition, n) for n in sizes])
        return made

    def batch(self, partition: int, n: int, *, received_ms: int | None = None) -> UploadBatch:
        """Return the next ``n`` uploads of a partition.

        They were received two seconds after their last sample, or at ``received_ms``.
        """
        people, shape = self._people[partition], self._shape
        number = np.arange(self._turns[partition], self._turns[partition] + n)
        self._turns[partition] += n
        who, turn = number % len(people), number // len(people)
        present, user = np.unique(who, return_inverse=True)
        start = shape.start_ms + turn * shape.samples * STEP_MS
        times = start[:, None] + np.arange(shape.samples) * STEP_MS
        # Heart rates as devices report them: whole beats that wander by a few a second.
        wander = np.cumsum(self._random.integers(-1, 2, (n, shape.samples)), axis=1)
        values = np.clip(60 + who[:, None] % 40 + wander, 40, 180).astype(np.float64)
        nothing = np.zeros(n, np.int32)
        lengths = np.full(n, shape.samples, np.int32)
        received = times[:, -1] + _DELAY_MS if received_ms is None else np.full(n, received_ms)
        return UploadBatch(
            batch_id=self._random.bytes(16),
            users=[people[one] for one in present],
            devices=[f"watch-{one}" for one in present],
            sources=["benchmark"],
            metrics=["heart_rate"],
            upload_ids=np.frombuffer(self._random.bytes(16 * n), "V16"),
            upload_user=user.astype(np.int32),
            upload_device=user.astype(np.int32),
            upload_source=nothing,
            received_ms=received.astype(np.int64),
            accepted=lengths,
            rejected=nothing,
            repeated=nothing,
            series_upload=np.arange(n, dtype=np.int32),
            series_metric=nothing,
            series_length=lengths,
            times=times.ravel().astype(np.int64),
            values=values.ravel(),
        )

    def record(self, batch: UploadBatch) -> bytes:
        """Return what a worker writes of a batch that it has applied."""
        user, size, start, end = _late(batch) if self._shape.late else _none()
        return accepted.encode(
            AcceptedBatch(
                source_topic="uploads",
                source_partition=0,
                source_offset=0,
                batch=uploads.encode(batch, self._codec),
                set_aside=np.zeros(0, np.int32),
                users=batch.users,
                metrics=batch.metrics,
                late_user=user,
                late_metric=np.zeros(len(user), np.int32),
                late_size=size,
                late_start=start,
                late_end=end,
                late_samples=len(batch.times) if self._shape.late else 0,
            ),
            self._codec,
        )


def _none() -> tuple[Int32, Int8, Int64, Int64]:
    return np.zeros(0, np.int32), np.zeros(0, np.int8), np.zeros(0, np.int64), np.zeros(0, np.int64)


def _late(batch: UploadBatch) -> tuple[Int32, Int8, Int64, Int64]:
    """Return every window that the samples touch: people, sizes, starts, ends."""
    who = np.repeat(batch.upload_user[batch.series_upload], batch.series_length)
    parts = []
    for size, length in _LENGTHS.items():
        found = np.unique(np.column_stack((who, batch.times // length)), axis=0)
        parts.append((found[:, 0], np.full(len(found), size), found[:, 1] * length, length))
    user = np.concatenate([part[0] for part in parts]).astype(np.int32)
    sizes = np.concatenate([part[1] for part in parts]).astype(np.int8)
    start = np.concatenate([part[2] for part in parts])
    end = np.concatenate([part[2] + part[3] for part in parts])
    return user, sizes, start, end
