"""Joining concurrent uploads of a partition into one record, acknowledged as one."""

import asyncio
import math
from dataclasses import dataclass, field
from functools import lru_cache
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
_PATIENCE: Final = 4
"""How many times longer uploads wait while the broker is slow to answer the record before."""

_ANNOUNCED_MAX: Final = 10_000
"""Most statuses that are remembered as written here and not yet read back."""

_partition_of = lru_cache(maxsize=50_000)(partition_of)


@dataclass(slots=True)
class _Partition:
    """Uploads that wait for company, and the records of the partition that have left.

    ``seen`` of the uploads were waiting when that was last looked at; ``since`` is when the first
    began to wait and ``left`` when a record left last, in seconds of the loop's clock.
    """

    waiting: list[tuple[CheckedUpload, asyncio.Future[None]]] = field(default_factory=list)
    samples: int = 0
    seen: int = 0
    since: float = 0.0
    left: float = -math.inf
    under_way: int = 0
    timer: asyncio.TimerHandle | asyncio.Handle | None = None


class Coalescer:
    """Writes uploads to Kafka, several of one partition in one record.

    An upload for an idle partition is sent at once, with those that arrived in the same turn of
    the event loop. While a record of the partition is under way, or just was, uploads wait for
    company: ``settings.coalesce_ms``, and as long again whenever more have come meanwhile, up to
    ``settings.coalesce_busy_ms``, and up to four times that as long as the broker has not answered
    the record before. So records grow with the load, and an upload that stays alone never waits
    longer than ``coalesce_ms``.

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
        self._step = settings.coalesce_ms / 1000
        self._busy = settings.coalesce_busy_ms / 1000
        self._tasks: set[asyncio.Task[None]] = set()
        self._announced: set[bytes] = set()
        self.uploads = 0
        self.samples = 0
        metrics.in_flight_uploads.set_function(lambda: self.uploads)
        metrics.in_flight_samples.set_function(lambda: self.samples)

    def submit(self, upload: CheckedUpload) -> asyncio.Future[None]:
        """Write an upload and its rejected samples.

        Returns
        -------
        asyncio.Future
            Ends when the broker has acknowledged both; with KafkaUnavailableError if it did not in
            time. The upload may still be written then; it is safe to send it again.

        Raises
        ------
        OverloadedError
            If too many uploads or samples wait already: nothing was taken.
        KafkaUnavailableError
            If the broker is known to be away: nothing was taken.
        """
        self._broker.require()
        size = upload.document.samples
        if (
            self.uploads >= self._settings.max_in_flight_uploads
            or self.samples + size > self._settings.max_in_flight_samples
        ):
            raise OverloadedError("too many uploads wait for Kafka; nothing was taken")
        self.uploads += 1
        self.samples += size
        done = asyncio.get_running_loop().create_future()
        self._add(_partition_of(upload.document.user_id, len(self._partitions)), upload, done)
        return done

    def announced(self, key: bytes) -> bool:
        """Whether a status is one that this gateway has written, read back for the first time.

        Its own cache knows it. Safe to call from any thread.
        """
        try:
            self._announced.remove(key)
        except KeyError:
            return False
        return True

    async def drain(self) -> None:
        """Send what waits and return when all of it was answered, one way or the other."""
        for number in range(len(self._partitions)):
            self._flush(number)
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _add(self, number: int, upload: CheckedUpload, done: asyncio.Future[None]) -> None:
        partition = self._partitions[number]
        partition.waiting.append((upload, done))
        partition.samples += upload.accepted
        if (
            partition.samples >= self._settings.batch_max_samples
            or len(partition.waiting) >= _BATCH_MAX_UPLOADS
        ):
            self._flush(number)
        elif partition.timer is None:
            loop = asyncio.get_running_loop()
            now = loop.time()
            if partition.under_way or now - partition.left < self._step:
                partition.seen, partition.since = 1, now
                partition.timer = loop.call_later(self._step, self._look, number)
            else:
                partition.timer = loop.call_soon(self._flush, number)

    def _look(self, number: int) -> None:
        """Send what waits, unless company came since the last look: then there may come more."""
        loop, partition = asyncio.get_running_loop(), self._partitions[number]
        came, partition.seen = len(partition.waiting) - partition.seen, len(partition.waiting)
        patience = _PATIENCE * self._busy if partition.under_way else self._busy
        if not came or loop.time() + self._step > partition.since + patience:
            self._flush(number)
        else:
            partition.timer = loop.call_later(self._step, self._look, number)

    def _flush(self, number: int) -> None:
        partition = self._partitions[number]
        if partition.timer is not None:
            partition.timer.cancel()
            partition.timer = None
        if not partition.waiting:
            return
        waiting, partition.waiting, partition.samples = partition.waiting, [], 0
        partition.under_way += 1
        partition.left = asyncio.get_running_loop().time()
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
            self.uploads -= len(waiting)
            self.samples -= sum([upload.document.samples for upload, _ in waiting])
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
        self._note(checked)
        status = received(batch, self._clock.now_ms())
        self._cache.apply(status)
        self._announce(status, number)

    def _note(self, checked: list[CheckedUpload]) -> None:
        metrics = self._metrics
        metrics.batch_uploads.observe(len(checked))
        metrics.samples.labels("accepted").inc(sum([upload.accepted for upload in checked]))
        metrics.samples.labels("repeated").inc(sum([upload.repeated for upload in checked]))
        for upload in checked:
            for rejection in upload.rejections:
                count = len(rejection.indices)
                metrics.rejected_samples.labels(rejection.reason).inc(count)

    def _announce(self, status: statuses.StatusBatch, number: int) -> None:
        """Write the status; the answer to the client does not wait for it, nor depend on it."""
        if len(self._announced) < _ANNOUNCED_MAX:
            self._announced.add(status.key)
        try:
            self._producer.post(
                UPLOAD_STATUS,
                statuses.encode(status, self._codec),
                key=status.key,
                partition=number,
                lost=self._metrics.statuses_lost.inc,
            )
        except OverloadedError:
            self._metrics.statuses_lost.inc()


async def _all(futures: "list[asyncio.Future[Message]]") -> None:
    """Wait for all; raise the first failure once every one has ended."""
    if len(futures) == 1:
        await futures[0]
        return
    results = await asyncio.gather(*futures, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
