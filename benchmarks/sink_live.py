"""Live uploads for the sink's benchmark, and when they were stored."""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Consumer, Producer, TopicPartition

from app.embedded.process import Deadline
from app.errors import ServerFailedError
from app.kafka.clients import consumer_config, producer_config
from app.settings import Settings
from benchmarks.sink_workload import Shape, Workload
from schemas import statuses
from schemas.codec import Codec
from schemas.topics import SAMPLES, UPLOAD_STATUS

_EVERY_SECONDS: Final = 0.1
_UPLOADS: Final = 20
_USERS: Final = 300
_SAMPLES: Final = 60
_WARM_SECONDS: Final = 180.0
_LAST_SECONDS: Final = 120.0


class Live:
    """Writes a record of live uploads ten times a second, and reads when each was stored.

    Parameters
    ----------
    settings : Settings
        The deployment.
    partitions : int
        How many its topics have.
    """

    def __init__(self, settings: Settings, partitions: int) -> None:
        self._settings = settings
        self._partitions = partitions
        now_ms = time.time_ns() // 1_000_000
        shape = Shape(0, _USERS, _SAMPLES, _UPLOADS, now_ms // 60_000 * 60_000, seed=4)
        self._workload = Workload(shape, partitions)
        self._producer = Producer(producer_config(settings, delivery_seconds=60))
        self._stored: dict[bytes, float] = {}
        self._ended = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._reader.join()

    def warm_up(self, check: Callable[[], None]) -> None:
        """Wait until an upload has been stored; ``check`` raises when the sink has ended."""
        sent = [self._send(partition)[0] for partition in range(self._partitions)]
        self._wait(sent, _WARM_SECONDS, check)

    def run(self, seconds: float, *, beside: Sequence[tuple[int, bytes]] = ()) -> list[float]:
        """Return the delay in seconds of every live record of a while.

        Parameters
        ----------
        seconds : float
            How long records are written.
        beside : sequence of (partition, value)
            Other records, written meanwhile at an even pace.
        """
        steps = max(1, round(seconds / _EVERY_SECONDS))
        began = time.monotonic()
        received: dict[bytes, float] = {}
        for step in range(steps):
            batch_id, received_ms = self._send(step % self._partitions)
            received[batch_id] = received_ms / 1000
            part = slice(step * len(beside) // steps, (step + 1) * len(beside) // steps)
            for partition, value in beside[part]:
                self._producer.produce(self._settings.topic(SAMPLES), value, partition=partition)
            self._producer.poll(0)
            time.sleep(max(0.0, began + (step + 1) * _EVERY_SECONDS - time.monotonic()))
        self._wait(list(received), _LAST_SECONDS, lambda: None)
        return [self._stored[batch_id] - at for batch_id, at in received.items()]

    def _send(self, partition: int) -> tuple[bytes, int]:
        now_ms = time.time_ns() // 1_000_000
        batch = self._workload.batch(partition, _UPLOADS, received_ms=now_ms)
        self._producer.produce(
            self._settings.topic(SAMPLES), self._workload.record(batch), partition=partition
        )
        self._producer.poll(0)
        return batch.batch_id, now_ms

    def _wait(self, sent: list[bytes], seconds: float, check: Callable[[], None]) -> None:
        deadline = Deadline(seconds)
        while not all(batch_id in self._stored for batch_id in sent):
            check()
            if deadline.passed:
                raise ServerFailedError(f"live uploads were not stored within {seconds:g} s")
            time.sleep(0.05)

    def _read(self) -> None:
        codec = Codec()
        consumer = Consumer(consumer_config(self._settings, "bench-live"))
        topic = self._settings.topic(UPLOAD_STATUS)
        consumer.assign([TopicPartition(topic, p, 0) for p in range(self._partitions)])
        try:
            while not self._ended.is_set():
                message = consumer.poll(0.1)
                if message is None or message.error() is not None:
                    continue
                status = statuses.decode(message.value() or b"", codec)
                if status.stage == "stored":
                    self._stored.setdefault(status.batch_id, message.timestamp()[1] / 1000)
        finally:
            consumer.close()
