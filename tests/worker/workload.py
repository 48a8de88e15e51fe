"""Seeded uploads, and the windows that a batch computation gives for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from schemas import accepted, uploads, windows
from schemas.codec import Codec
from schemas.columns import UUID as UUID_TYPE
from schemas.columns import Dictionary
from schemas.topics import SAMPLES, WINDOWS, partition_of
from schemas.uploads import UploadBatch
from schemas.windows import DAY, HOUR, HOUR_MS, MINUTE, MINUTE_MS
from tables.days import Calendar
from tables.layout import EPOCH_2020_MS

T0 = 1_795_428_000_000  # 2026-11-23T10:00:00Z
CODEC = Codec()


@dataclass(frozen=True)
class Upload:
    """One upload of one series."""

    upload_id: UUID
    user_id: str
    received_ms: int
    times: tuple[int, ...]
    values: tuple[float, ...]
    metric: str = "heart_rate"
    device_id: str = "watch"


def seeded_uploads(
    count: int, *, users: int, seed: int = 1, samples: int = 10, step_ms: int = 5_000
) -> list[Upload]:
    """Return uploads of consecutive samples, in the order of time, users in turn."""
    random = np.random.default_rng(seed)
    names = [str(UUID(bytes=random.bytes(16), version=4)) for _ in range(users)]
    made = []
    for number in range(count):
        turn = number // users
        start = T0 + turn * samples * step_ms
        made.append(
            Upload(
                UUID(bytes=random.bytes(16), version=4),
                names[number % users],
                T0 + 86_400_000 + number,
                tuple(range(start, start + samples * step_ms, step_ms)),
                tuple(np.round(random.normal(72, 4, samples), 1).tolist()),
            )
        )
    return made


def batch_of(group: list[Upload]) -> UploadBatch:
    """Return the columnar batch of some uploads."""
    users, devices, metrics = Dictionary(), Dictionary(), Dictionary()
    lengths = np.array([len(upload.times) for upload in group], np.int32)
    nothing = np.zeros(len(group), np.int32)
    user = np.array([users.code(upload.user_id) for upload in group], np.int32)
    device = np.array([devices.code(upload.device_id) for upload in group], np.int32)
    metric = np.array([metrics.code(upload.metric) for upload in group], np.int32)
    return UploadBatch(
        group[0].upload_id.bytes, users.values, devices.values, ["test"], metrics.values,
        np.frombuffer(b"".join(upload.upload_id.bytes for upload in group), UUID_TYPE),
        user, device, nothing,
        np.array([upload.received_ms for upload in group], np.int64),
        lengths, nothing, nothing,
        np.arange(len(group), dtype=np.int32), metric, lengths,
        np.concatenate([np.array(upload.times, np.int64) for upload in group]),
        np.concatenate([np.array(upload.values, np.float64) for upload in group]),
    )  # fmt: skip


def records_of(
    made: list[Upload], partitions: int, *, size: int = 5
) -> Iterator[tuple[int, bytes]]:
    """Yield (partition, record), uploads of one partition joined in their order."""
    waiting: dict[int, list[Upload]] = {}
    for upload in made:
        partition = partition_of(upload.user_id, partitions)
        group = waiting.setdefault(partition, [])
        group.append(upload)
        if len(group) == size:
            yield partition, uploads.encode(batch_of(waiting.pop(partition)), CODEC)
    for partition, group in waiting.items():
        yield partition, uploads.encode(batch_of(group), CODEC)


Key = tuple[str, str, int, int]
"""User, metric, window size and start."""
Facts = tuple[int, float, float, float, float, float, int]
"""Count, sum, min, max, first, last, version."""


class Outcome:
    """What a sink would have after reading the worker's topics: rows by version, samples once."""

    def __init__(self) -> None:
        self.samples: dict[tuple[str, str, str, int], tuple[int, float]] = {}
        self.rows: dict[Key, Facts] = {}
        self.late: set[tuple[str, str, int, int, int]] = set()

    def read(self, topic: str, value: bytes) -> None:
        """Take in a record of topic ``samples`` or ``windows``."""
        if topic.endswith(SAMPLES):
            self._take_samples(value)
        elif topic.endswith(WINDOWS):
            self._take_windows(value)

    def _take_samples(self, value: bytes) -> None:
        output = accepted.decode(value, CODEC)
        batch = uploads.decode(output.batch, CODEC)
        aside = set(output.set_aside.tolist())
        start = batch.series_start
        for series, upload in enumerate(batch.series_upload.tolist()):
            if upload in aside:
                continue
            user = batch.users[batch.upload_user[upload]]
            device = batch.devices[batch.upload_device[upload]]
            metric = batch.metrics[batch.series_metric[series]]
            rank = int(batch.received_ms[upload])
            for at in range(start[series], start[series + 1]):
                identity = (user, metric, device, int(batch.times[at]))
                self.samples[identity] = max(
                    self.samples.get(identity, (0, 0.0)), (rank, float(batch.values[at]))
                )
        for code, metric_code, size, begin, end in zip(
            output.late_user, output.late_metric, output.late_size, output.late_start,
            output.late_end, strict=True,
        ):  # fmt: skip
            self.late.add(
                (output.users[code], output.metrics[metric_code], int(size), int(begin), int(end))
            )

    def _take_windows(self, value: bytes) -> None:
        batch = windows.decode(value, CODEC)
        for row in range(len(batch)):
            key = (
                batch.users[batch.user[row]], batch.metrics[batch.metric[row]],
                int(batch.size[row]), int(batch.start[row]),
            )  # fmt: skip
            facts = (
                int(batch.count[row]), float(batch.sum[row]), float(batch.min[row]),
                float(batch.max[row]), float(batch.first[row]), float(batch.last[row]),
                int(batch.version[row]),
            )  # fmt: skip
            if key not in self.rows or facts[-1] >= self.rows[key][-1]:
                self.rows[key] = facts

    def settled(self) -> dict[Key, Facts]:
        """Return the rows after the late windows were computed again from the samples."""
        rows = dict(self.rows)
        for user, metric, size, begin, end in self.late:
            facts = facts_of(self.samples, user, metric, begin, end)
            key = (user, metric, size, begin)
            if facts and (key not in rows or facts[-1] >= rows[key][-1]):
                rows[key] = facts
        return rows


def facts_of(
    samples: dict[tuple[str, str, str, int], tuple[int, float]],
    user: str,
    metric: str,
    begin: int,
    end: int,
) -> Facts | None:
    """Return the window of the distinct samples in [begin, end)."""
    inside = sorted(
        (time, value, rank)
        for (who, what, _, time), (rank, value) in samples.items()
        if who == user and what == metric and begin <= time < end
    )
    if not inside:
        return None
    values = [value for _, value, _ in inside]
    version = sum(rank - EPOCH_2020_MS for *_, rank in inside)
    return len(values), sum(values), min(values), max(values), values[0], values[-1], version


def expected_rows(made: list[Upload], calendar: Calendar) -> dict[Key, Facts]:
    """Return all windows of the distinct samples of some uploads."""
    samples: dict[tuple[str, str, str, int], tuple[int, float]] = {}
    for upload in made:
        for time, value in zip(upload.times, upload.values, strict=True):
            identity = (upload.user_id, upload.metric, upload.device_id, time)
            samples[identity] = max(samples.get(identity, (0, 0.0)), (upload.received_ms, value))
    bounds = set()
    for user, metric, _, time in samples:
        minute, hour = time - time % MINUTE_MS, time - time % HOUR_MS
        bounds.add((user, metric, MINUTE, minute, minute + MINUTE_MS))
        bounds.add((user, metric, HOUR, hour, hour + HOUR_MS))
        bounds.add((user, metric, DAY, *calendar.day(time)))
    rows = {}
    for user, metric, size, begin, end in bounds:
        facts = facts_of(samples, user, metric, begin, end)
        assert facts is not None
        rows[user, metric, size, begin] = facts
    return rows
