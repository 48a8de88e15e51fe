"""The live feed: a thread that reads samples, windows and alerts of all partitions from Kafka.

It belongs to no consumer group and commits nothing: every gateway reads everything, from a little
before now, so that browsers of a gateway that has just started can resume where they were.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from app.errors import DataError, KafkaUnavailableError
from app.kafka.clients import consumer_config
from app.live.metrics import LiveMetrics
from app.live.news import Assigned, CaughtUp, News, Stream
from app.live.places import spans_since, topics_now
from app.live.records import KINDS, TOPIC_OF, Kind, Record, decode
from app.settings import Settings
from schemas.codec import Codec

_log = logging.getLogger(__name__)

_TAKE: Final = 500
_BACKOFF_MAX: Final = 5.0
_PROBE_SECONDS: Final = 1.0
_LOST = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT})  # noqa: SLF001  (the library's public names)
_REASSIGN = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)


class Feed:
    """Reads the live topics and hands what it read to the event loop.

    The loop's handler runs to its end before more is read: what waits in between is bounded. A
    broker that is away is waited for. A feed that has fallen behind by more than the rings hold
    leaves records out and says so by a new :class:`Assigned`.

    Parameters
    ----------
    settings : Settings
        The deployment.
    codec : Codec
        Decodes records.
    metrics : LiveMetrics
        Told what is read.
    publish : callable
        Called in the event loop with an :class:`Assigned`, with the records just read in the
        order of each partition, and once with :class:`CaughtUp` after each assignment.
    """

    def __init__(
        self,
        settings: Settings,
        codec: Codec,
        metrics: LiveMetrics,
        publish: Callable[[News], None],
    ) -> None:
        self._settings, self._codec = settings, codec
        self._metrics, self._publish = metrics, publish
        self._kinds: dict[str, Kind] = {settings.topic(TOPIC_OF[kind]): kind for kind in KINDS}
        self._stopped = threading.Event()
        self._lost = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lag = 0
        self._measured = 0.0
        self._behind: dict[Stream, int] = {}
        self._current = False

    @property
    def connected(self) -> bool:
        """Whether the feed has caught up with its topics and the broker answers."""
        return self._current and not self._lost.is_set()

    @property
    def lag_records(self) -> int:
        """Records in Kafka that were not read yet, at the last measurement."""
        return self._lag

    def start(self) -> None:
        """Start reading; handlers run in the event loop that is running now."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="live-feed", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Stop reading and wait until the thread has ended."""
        self._stopped.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        config = consumer_config(self._settings, "vitalstream-live") | {
            "error_cb": self._failed,
            "auto.offset.reset": "error",
        }
        consumer = Consumer(config)
        backoff = 0.25
        try:
            while not self._stopped.is_set():
                try:
                    self._assign(consumer)
                    backoff = 0.25
                    self._read(consumer)
                except (KafkaException, KafkaUnavailableError, TimeoutError) as error:
                    self._current = False
                    self._metrics.feed_connected.set(0)
                    _log.warning("live feed: %s; trying again in %.1f s", error, backoff)
                    self._stopped.wait(backoff)
                    backoff = min(2 * backoff, _BACKOFF_MAX)
        finally:
            consumer.close()

    def _failed(self, error: KafkaError) -> None:
        if error.code() in _LOST:
            self._lost.set()
            self._metrics.feed_connected.set(0)

    def _assign(self, consumer: Consumer) -> None:
        """Assign all partitions, from ``live_ring_seconds`` ago on."""
        epoch, partitions = topics_now(self._settings, list(self._kinds))
        since_ms = int((time.time() - self._settings.live_ring_seconds) * 1000)
        spans = spans_since(consumer, list(self._kinds), partitions, since_ms)
        offsets: dict[Stream, int] = {}
        self._behind = {}
        for (topic, partition), (start, end) in spans.items():
            stream = self._kinds[topic], partition
            offsets[stream] = start
            if end > start:
                self._behind[stream] = end
        consumer.assign([TopicPartition(*place, start) for place, (start, _) in spans.items()])
        self._lost.clear()
        self._current = False
        self._hand_over(Assigned(epoch, offsets))
        self._notice_caught_up()

    def _read(self, consumer: Consumer) -> None:
        """Read until stopped, or until the partitions have to be assigned anew."""
        while not self._stopped.is_set():
            first = consumer.poll(0.25)
            messages = [first] if first is not None else []
            if messages:
                messages += consumer.consume(_TAKE, timeout=0)
            records = []
            for message in messages:
                error = message.error()
                if error is None:
                    records += self._decode(message)
                elif error.code() in _REASSIGN:
                    _log.warning("live feed: %s", error.str())
                    self._metrics.feed_restarts.inc()
                    return
            if records:
                self._hand_over(records)
            if self._behind:
                self._advance(messages)
            if self._lost.is_set():
                self._probe(consumer)
            if self._measure(consumer) and records and self._too_late(records):
                self._metrics.feed_restarts.inc()
                return

    def _advance(self, messages: Sequence[Message]) -> None:
        """See which of the partitions have been read to the end that they had at first."""
        for message in messages:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if message.error() is None and topic and partition is not None and offset is not None:
                stream = self._kinds[topic], partition
                if offset + 1 >= self._behind.get(stream, 0):
                    self._behind.pop(stream, None)
        self._notice_caught_up()

    def _notice_caught_up(self) -> None:
        if not self._behind and not self._current:
            self._hand_over(CaughtUp())
            self._current = True
            self._metrics.feed_connected.set(1)

    def _decode(self, message: Message) -> list[Record]:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None  # noqa: S101  (a record without an error has a place)
        assert partition is not None  # noqa: S101
        assert offset is not None  # noqa: S101
        kind, data = self._kinds[topic], message.value() or b""
        self._metrics.feed_records.labels(kind).inc()
        try:
            body = decode(kind, data, self._codec)
        except DataError as error:
            self._metrics.feed_unreadable.labels(kind).inc()
            _log.warning("live feed: %s-%d@%d: %s", kind, partition, offset, error)
            return []
        return [Record(kind, partition, offset, message.timestamp()[1], len(data), body)]

    def _hand_over(self, item: News) -> None:
        """Run the handler in the loop and wait for it: this is the feed's backpressure."""
        assert self._loop is not None  # noqa: S101  (start sets it)
        done = threading.Event()

        def run() -> None:
            try:
                self._publish(item)
            finally:
                done.set()

        try:
            self._loop.call_soon_threadsafe(run)
        except RuntimeError:  # the loop has ended before the feed was stopped
            self._stopped.set()
            return
        while not done.wait(0.25) and not self._stopped.is_set():
            pass

    def _probe(self, consumer: Consumer) -> None:
        """See whether a broker that was lost answers again."""
        try:
            consumer.list_topics(next(iter(self._kinds)), timeout=_PROBE_SECONDS)
        except KafkaException:
            return
        self._lost.clear()
        self._metrics.feed_connected.set(int(self._current))

    def _measure(self, consumer: Consumer) -> bool:
        """Measure the lag, once a second; whether it was done and records were waiting."""
        now = time.monotonic()
        if now - self._measured < 1:
            return False
        self._measured = now
        lag = 0
        for position in consumer.position(consumer.assignment()):
            high = consumer.get_watermark_offsets(position, cached=True)[1]
            if position.offset >= 0:
                lag += max(high - position.offset, 0)
        self._lag = lag
        self._metrics.feed_lag.set(lag)
        return lag > 0

    def _too_late(self, records: Sequence[Record]) -> bool:
        """Whether more lies between the feed and now than the rings may hold."""
        age = time.time() - records[-1].time_ms / 1000
        return age > 2 * self._settings.live_ring_seconds
