"""Joining concurrent uploads of a partition into one record, acknowledged as one."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog
from confluent_kafka import Message

from app.errors import KafkaUnavailableError, OverloadedError, VitalstreamError
from app.gateway import rejections
from app.gateway.batches import join, received
from app.gateway.broker import Broker
from app.gateway.clock import Clock
from app.gateway.statuses import StatusCache
from app.gateway.validation import CheckedUpload
from app.kafka.clients import ConfirmedProducer
from app.logs import where
from app.metrics import GatewayMetrics
from app.settings import Settings
from schemas import statuses, uploads
from schemas.codec import Codec
from schemas.topics import REJECTED, UPLOAD_STATUS, UPLOADS, partition_of

_log = structlog.get_logger(__name__)
_BATCH_MAX_UPLOADS: Final = 2_000


@dataclass(slots=True)
class _Partition:
    """Uploads that wait for company, and how many records of the partition are under way."""

    waiting: list[tuple[CheckedUpload, asyncio.Future[None]]] = field(default_factory=list)
    samples: int = 0
    under_way: int = 0
    timer: asyncio.TimerHandle | asyncio.Handle | None = None


class Coalescer:
    """Writes uploads to Kafka, several of one partition in one record.

    An upload for an idle partition is sent at once, with those that arrived in the same turn of
    the event loop. While a record of the partition is under way, uploads wait for company, at most
    ``settings.coalesce_ms``.

    Parameters
    ----------
    settings, codec, producer, broker, cache, metrics, clock
        What it works with. The outcome of an acknowledged upload is put into ``cache``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        codec: Codec,
        producer: ConfirmedProducer,
        broker: Broker,
        cache: StatusCache,
        metrics: GatewayMetrics,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._codec = codec
        self._producer = producer
        self._broker = broker
        self._cache = cache
        self._metrics = metrics
        self._clock = clock
        self._partitions = [_Partition() for _ in range(settings.partitions)]
        self._tasks: set[asyncio.Task[None]] = set()
        self.uploads = 0
        self.samples = 0

    async def write(self, upload: CheckedUpload) -> None:
        """Write an upload and its rejected samples; return when the broker has acknowledged both.

        Raises
        ------
        OverloadedError
            If too many uploads or samples wait already: nothing was taken.
        KafkaUnavailableError
            If the broker is away or did not acknowledge in time. The upload may still be written;
            it is safe to send it again.
        """
        self._broker.require()
        size = upload.document.samples
        if (
            self.uploads >= self._settings.max_in_flight_uploads
            or self.samples + size > self._settings.max_in_flight_samples
        ):
            raise OverloadedError("too many uploads wait for Kafka; nothing was taken")
        self._count(1, size)
        try:
            done = asyncio.get_running_loop().create_future()
            self._add(
                partition_of(upload.document.user_id, self._settings.partitions), upload, done
            )
            await done
        finally:
            self._count(-1, -size)

    async def drain(self) -> None:
        """Send what waits and return when all of it was answered, one way or the other."""
        for number in range(len(self._partitions)):
            self._flush(number)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _count(self, uploads_: int, samples: int) -> None:
        self.uploads += uploads_
        self.samples += samples
        self._metrics.in_flight_uploads.set(self.uploads)
        self._metrics.in_flight_samples.set(self.samples)

    def _add(self, number: int, upload: CheckedUpload, done: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        partition = self._partitions[number]
        partition.waiting.append((upload, done))
        partition.samples += upload.accepted
        if (
            partition.samples >= self._settings.batch_max_samples
            or len(partition.waiting) >= _BATCH_MAX_UPLOADS
        ):
            self._flush(number)
        elif partition.timer is None:
            if partition.under_way:
                delay = self._settings.coalesce_ms / 1000
                partition.timer = loop.call_later(delay, self._flush, number)
            else:
                partition.timer = loop.call_soon(self._flush, number)

    def _flush(self, number: int) -> None:
        partition = self._partitions[number]
        if partition.timer is not None:
            partition.timer.cancel()
            partition.timer = None
        if not partition.waiting:
            return
        waiting, partition.waiting, partition.samples = partition.waiting, [], 0
        partition.under_way += 1
        task = asyncio.create_task(self._send(number, waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(
        self, number: int, waiting: list[tuple[CheckedUpload, asyncio.Future[None]]]
    ) -> None:
        failure: VitalstreamError | None = None
        try:
            await self._produce(number, [upload for upload, _ in waiting])
        except KafkaUnavailableError as error:
            self._broker.failed()
            failure = error
        except VitalstreamError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a defect; whoever waits must be told
            failure = VitalstreamError("the uploads could not be written")
            failure.__cause__ = error
            _log.error("a batch could not be written", **where(error))
        finally:
            self._partitions[number].under_way -= 1
        for _, done in waiting:
            if done.done():  # its client went away
                continue
            if failure is None:
                done.set_result(None)
            else:
                done.set_exception(failure)

    async def _produce(self, number: int, checked: list[CheckedUpload]) -> None:
        batch = join(checked)
        record = uploads.encode(batch, self._codec)
        with self._metrics.produce_seconds.time():
            acknowledged = [self._producer.submit(UPLOADS, record, partition=number)]
            acknowledged += [
                self._producer.submit(REJECTED, value, key=u.document.user_id, partition=number)
                for u in checked
                if u.rejected
                for value in rejections.records(u, self._codec)
            ]
            await _all(acknowledged)
        self._metrics.batch_uploads.observe(len(batch))
        status = received(batch, self._clock.now_ms())
        self._cache.apply(status)
        self._announce(status, number)

    def _announce(self, status: statuses.StatusBatch, number: int) -> None:
        """Write the status; the answer to the client does not wait for it, nor depend on it."""
        try:
            future = self._producer.submit(
                UPLOAD_STATUS,
                statuses.encode(status, self._codec),
                key=status.key,
                partition=number,
            )
        except OverloadedError:
            self._metrics.statuses_lost.inc()
            return
        future.add_done_callback(self._announced)

    def _announced(self, future: "asyncio.Future[Message]") -> None:
        if future.cancelled() or future.exception() is not None:
            self._metrics.statuses_lost.inc()


async def _all(futures: "list[asyncio.Future[Message]]") -> None:
    """Wait for all; raise the first failure once every one has ended."""
    results = await asyncio.gather(*futures, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
