"""Filling topics with the workload: one upload a record, or the product's columnar batches."""

from collections.abc import Iterator
from uuid import UUID

import numpy as np
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from numpy.typing import NDArray

from app.bench.drain import Backlog
from benchmarks.workload import LEVELS, Turn, Workload
from schemas.codec import Codec
from schemas.columns import UUID as UUID_TYPE
from schemas.topics import partition_of
from schemas.uploads import UploadBatch, encode

_JOINED = 20_000


class Loader:
    """Makes topics and fills them.

    Parameters
    ----------
    bootstrap : str
        The broker.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})

    def create(self, topic: str, partitions: int, **config: str) -> None:
        """Make a topic."""
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config)
        self._admin.create_topics([new], operation_timeout=20)[topic].result(20)

    def delete(self, prefix: str) -> None:
        """Delete every topic whose name begins with ``prefix``, and so free their disk space."""
        names = [
            name for name in self._admin.list_topics(timeout=20).topics if name.startswith(prefix)
        ]
        for future in (
            self._admin.delete_topics(names, operation_timeout=20).values() if names else ()
        ):
            future.result(20)

    def singles(self, workload: Workload, uploads: int, topic: str) -> Backlog:
        """Fill an existing topic with one upload a record, keyed by the person.

        Records are what a device sends as ``application/avro``: schema ``upload`` in the
        Confluent wire format, samples as packed columns.
        """
        codec, names = Codec(), workload.names()
        partition = [partition_of(name, workload.partitions) for name in names]
        filling = _Filling(self._bootstrap, topic, workload.partitions)
        for turn in workload.turns(uploads):
            for row, person in enumerate(turn.people.tolist()):
                times = turn.times[row].tobytes()
                series = [
                    {"metric": name, "unit": LEVELS[name][0], "times": times,
                     "values": turn.values[row, number].tobytes()}
                    for number, name in enumerate(workload.metrics)
                ]  # fmt: skip
                record = {
                    "upload_id": str(UUID(bytes=turn.ids[row].tobytes())),
                    "user_id": names[person], "device_id": "watch", "source": "bench",
                    "series": series,
                }  # fmt: skip
                value = codec.encode("upload", record)
                filling.add(partition[person], value, 1, names[person].encode())
        return filling.finish()

    def batches(self, workload: Workload, uploads: int, topic: str, *, per_record: int) -> Backlog:
        """Fill an existing topic with the product's columnar batches.

        Parameters
        ----------
        workload : Workload
            The uploads.
        uploads : int
            How many of them.
        topic : str
            The topic, full name.
        per_record : int
            Most uploads in a record; always of one partition, in the order of the workload.
        """
        codec, names = Codec(), workload.names()
        placed = np.array([partition_of(name, workload.partitions) for name in names])
        filling = _Filling(self._bootstrap, topic, workload.partitions)
        for turn in _joined(workload.turns(uploads)):
            for number in range(workload.partitions):
                rows = np.flatnonzero(placed[turn.people] == number)
                for start in range(0, len(rows), per_record):
                    chosen = rows[start : start + per_record]
                    value = encode(_batch(workload, turn, chosen, names), codec)
                    filling.add(number, value, len(chosen))
        return filling.finish()


def _joined(turns: Iterator[Turn]) -> Iterator[Turn]:
    """Join turns, so that few records end with them: with few people a turn is short."""
    waiting: list[Turn] = []
    for turn in turns:
        waiting.append(turn)
        if sum(len(one.people) for one in waiting) >= _JOINED:
            yield _one(waiting)
            waiting.clear()
    if waiting:
        yield _one(waiting)


def _one(turns: list[Turn]) -> Turn:
    columns = zip(
        *((t.people, t.ids, t.received_ms, t.times, t.values) for t in turns), strict=True
    )
    return Turn(*map(np.concatenate, columns))


class _Filling:
    """A topic that is being filled, and how many uploads lie before each offset."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._topic = topic
        self._counts: list[list[int]] = [[0] for _ in range(partitions)]
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": 20,
                "message.max.bytes": 8 << 20,
                "queue.buffering.max.kbytes": 256 << 10,
                "log_level": 2,
            }
        )

    def add(self, partition: int, value: bytes, uploads: int, key: bytes | None = None) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value, key, partition)
                break
            except BufferError:
                self._producer.poll(0.05)
        self._producer.poll(0)
        self._counts[partition].append(uploads)

    def finish(self) -> Backlog:
        self._producer.flush(60)
        before = tuple(np.cumsum(np.array(counts, np.int64)) for counts in self._counts)
        return Backlog(self._topic, before)


def _batch(
    workload: Workload, turn: Turn, rows: NDArray[np.int64], names: list[str]
) -> UploadBatch:
    n, m, samples = len(rows), len(workload.metrics), workload.samples
    nothing = np.zeros(n, np.int32)
    people, user = np.unique(turn.people[rows], return_inverse=True)
    return UploadBatch(
        batch_id=turn.ids[rows[0]].tobytes(),
        users=[names[person] for person in people.tolist()],
        devices=["watch"],
        sources=["bench"],
        metrics=list(workload.metrics),
        upload_ids=np.ascontiguousarray(turn.ids[rows]).view(UUID_TYPE)[:, 0],
        upload_user=user.astype(np.int32),
        upload_device=nothing,
        upload_source=nothing,
        received_ms=turn.received_ms[rows],
        accepted=np.full(n, m * samples, np.int32),
        rejected=nothing,
        repeated=nothing,
        series_upload=np.repeat(np.arange(n, dtype=np.int32), m),
        series_metric=np.tile(np.arange(m, dtype=np.int32), n),
        series_length=np.full(n * m, samples, np.int32),
        times=np.repeat(turn.times[rows], m, axis=0).ravel(),
        values=turn.values[rows].ravel(),
    )
