"""Producers and consumers of confluent-kafka with the settings that the promises need."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.errors import KafkaUnavailableError, OverloadedError
from app.settings import Settings

Headers = Sequence[tuple[str, bytes]]


def common_config(settings: Settings) -> dict[str, Any]:
    """Return what every client of librdkafka is given."""
    return {
        "bootstrap.servers": settings.bootstrap,
        "client.id": "vitalstream",
        "socket.keepalive.enable": True,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 1_000,
        "topic.metadata.refresh.interval.ms": 60_000,
        # Failures reach the caller through delivery reports and poll; no lines on stderr.
        "log_level": 2,
    }


def producer_config(settings: Settings, *, delivery_seconds: float) -> dict[str, Any]:
    """Return the settings of a producer whose acknowledgements are durable.

    Idempotent, acknowledged by all in-sync replicas, partitioned like the Java clients, with
    a bounded queue.
    """
    return common_config(settings) | {
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 1,
        "message.max.bytes": 8 << 20,
        "delivery.timeout.ms": int(delivery_seconds * 1000),
        "queue.buffering.max.messages": 100_000,
        "queue.buffering.max.kbytes": 256 << 10,
    }


def consumer_config(settings: Settings, group: str) -> dict[str, Any]:
    """Return the settings of a consumer that commits only when told to.

    Parameters
    ----------
    settings : Settings
        The deployment.
    group : str
        Its consumer group, without the deployment's prefix. Readers that assign partitions
        themselves pass a name too; nothing is committed for them.
    """
    return common_config(settings) | {
        "group.id": settings.topic(group),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "fetch.message.max.bytes": 16 << 20,
        "fetch.wait.max.ms": 20,
        "queued.max.messages.kbytes": 64 << 10,
    }


class ConfirmedProducer:
    """Produces records and tells when the broker has acknowledged them; for one event loop.

    Delivery reports are collected by a thread of its own. What a success does not mean: that any
    consumer has seen the record.

    Parameters
    ----------
    settings : Settings
        The deployment; topic names are prefixed here.
    delivery_seconds : float, optional
        Longest wait for an acknowledgement, ``settings.produce_timeout_seconds`` by default.
    """

    def __init__(self, settings: Settings, *, delivery_seconds: float | None = None) -> None:
        self._settings = settings
        self._producer = Producer(
            producer_config(
                settings, delivery_seconds=delivery_seconds or settings.produce_timeout_seconds
            )
        )
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="delivery-reports", daemon=True)
        self._thread.start()

    def submit(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | str | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> asyncio.Future[Message]:
        """Hand a record to the producer; the future ends with the broker's answer.

        Records submitted one after the other for one partition are written in that order.

        Raises
        ------
        OverloadedError
            If the producer's bounded queue is full: nothing was taken.
        """
        future: asyncio.Future[Message] = self._loop.create_future()

        def report(error: KafkaError | None, message: Message) -> None:
            self._loop.call_soon_threadsafe(_settle, future, error, message)

        try:
            self._producer.produce(
                self._settings.topic(topic),
                value=value,
                key=key,
                partition=-1 if partition is None else partition,
                headers=list(headers) if headers else None,
                on_delivery=report,
            )
        except BufferError as error:
            raise OverloadedError("the queue to Kafka is full") from error
        return future

    def post(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        lost: Callable[[], None],
    ) -> None:
        """Hand over a record that nobody waits for.

        Cheaper than :meth:`submit`: the event loop does not hear of it.

        Parameters
        ----------
        lost : callable
            Called, in another thread, if the broker does not acknowledge the record in time.

        Raises
        ------
        OverloadedError
            If the producer's bounded queue is full: nothing was taken.
        """

        def report(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                lost()

        try:
            self._producer.produce(
                self._settings.topic(topic),
                value=value,
                key=key,
                partition=-1 if partition is None else partition,
                on_delivery=report,
            )
        except BufferError as error:
            raise OverloadedError("the queue to Kafka is full") from error

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | str | None = None,
        partition: int | None = None,
        headers: Headers | None = None,
    ) -> Message:
        """Produce a record and wait until the broker has acknowledged it.

        Raises
        ------
        KafkaUnavailableError
            If it did not within the time allowed. The record may still be written.
        OverloadedError
            If the producer's bounded queue is full: nothing was taken.
        """
        return await self.submit(topic, value, key=key, partition=partition, headers=headers)

    @property
    def waiting(self) -> int:
        """Records that wait for the broker's acknowledgement."""
        return len(self._producer)

    async def close(self, timeout: float = 5.0) -> None:
        """Wait for what was submitted, at most ``timeout`` seconds, and stop."""
        await asyncio.to_thread(self._producer.flush, timeout)
        self._stopped.set()
        await asyncio.to_thread(self._thread.join, timeout)

    def _poll(self) -> None:
        while not self._stopped.is_set():
            self._producer.poll(0.1)


def _settle(future: asyncio.Future[Message], error: KafkaError | None, message: Message) -> None:
    if future.done():  # its waiter was cancelled
        return
    if error is None:
        future.set_result(message)
    else:
        cause = KafkaException(error)
        failure = KafkaUnavailableError(f"Kafka did not acknowledge: {error.str()}")
        failure.__cause__ = cause
        future.set_exception(failure)
