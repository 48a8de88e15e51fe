"""The retry topics: delay lines that lead back to ``uploads``.

A record waits in its tier until its time has come and is then produced to ``uploads`` again, where
it is applied like any other: a retry that newer data has overtaken changes nothing, because values
are ranked by when a gateway first received them. The tiers are read by plain consumers and not by
Faust: waiting minutes inside a Faust agent would hold up every rebalance. A partition that waits
is paused, so that nothing spins and the group stays alive; the other partitions go on.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from agents.failures import NOT_BEFORE, longest_wait_ms, number_in
from app.errors import InvariantError, KafkaUnavailableError
from app.kafka.clients import consumer_config, producer_config
from app.kafka.effects import exit_unfinished
from app.settings import Settings
from schemas.topics import RETRIES, RETRY_TIERS, UPLOADS

_log = structlog.get_logger(__name__)
_AT_ONCE: Final = 500
_DELIVERY_SECONDS: Final = 30.0
_Place = tuple[str, int]
"""Topic, with the deployment's prefix, and partition."""


class RetryForwarder:
    """Moves due records from the retry topics to ``uploads``; a thread.

    Success means that ``uploads`` holds the record: the offset in the tier is committed after
    that, so a crash in between forwards a record twice, which changes nothing. While the broker
    is away it begins again every second; any other failure ends the process.

    Parameters
    ----------
    settings : Settings
        The deployment.
    on_forward : callable
        Called with the tier's name for every record that was forwarded.
    """

    def __init__(self, settings: Settings, on_forward: Callable[[str], None]) -> None:
        self._settings = settings
        self._on_forward = on_forward
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retries", daemon=True)
        self._due: dict[_Place, float] = {}
        self._tiers = {settings.topic(name): name for name in RETRY_TIERS}

    def start(self) -> None:
        """Begin to forward."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; what waits stays in its tier."""
        self._stopped.set()
        self._thread.join(5)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                try:
                    self._forward()
                except (KafkaException, KafkaUnavailableError) as error:
                    _log.warning("retries start again", error=str(error))
                    self._stopped.wait(1)
        except Exception as error:  # noqa: BLE001 - without this thread, retries would wait for ever
            exit_unfinished(error)

    def _forward(self) -> None:
        consumer = Consumer(consumer_config(self._settings, RETRIES))
        producer = Producer(producer_config(self._settings, delivery_seconds=_DELIVERY_SECONDS))
        try:
            consumer.subscribe(list(self._tiers), on_assign=self._start_afresh)
            while not self._stopped.is_set():
                self._resume_due(consumer)
                taken = [one for one in consumer.consume(_AT_ONCE, 0.2) if one.error() is None]
                self._forward_due(consumer, producer, taken)
        finally:
            consumer.close()

    def _start_afresh(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        # A partition that comes back may still be paused from before.
        self._due.clear()
        consumer.assign(places)
        consumer.resume(places)

    def _forward_due(
        self, consumer: Consumer, producer: Producer, taken: Sequence[Message]
    ) -> None:
        done: dict[_Place, int] = {}
        tiers: list[str] = []
        now = time.time()
        for message in taken:
            topic, partition, offset = _place(message)
            if (topic, partition) in self._due:
                continue  # it comes again after the one before it
            wait = self._due_at(message, self._tiers[topic]) - now
            if wait > 0:
                self._hold(consumer, TopicPartition(topic, partition, offset), wait)
                continue
            producer.produce(
                self._settings.topic(UPLOADS), value=message.value(), key=message.key(),
                partition=partition, headers=message.headers(), on_delivery=_raise_failure,
            )  # fmt: skip
            done[topic, partition] = offset + 1
            tiers.append(self._tiers[topic])
        if not done:
            return
        if producer.flush(_DELIVERY_SECONDS + 5):
            raise KafkaUnavailableError("retries were not acknowledged in time")
        offsets = [TopicPartition(*place, offset) for place, offset in done.items()]
        consumer.commit(offsets=offsets, asynchronous=False)
        for tier in tiers:
            self._on_forward(tier)

    def _due_at(self, message: Message, tier: str) -> float:
        """Return when a record is due, epoch seconds.

        No header keeps a record, and those behind it, for longer than its tier may.
        """
        _, written_ms = message.timestamp()
        asked_ms = number_in(_headers(message), NOT_BEFORE)
        return min(asked_ms, written_ms + longest_wait_ms(tier)) / 1000

    def _hold(self, consumer: Consumer, place: TopicPartition, wait: float) -> None:
        consumer.pause([place])
        consumer.seek(place)
        self._due[place.topic, place.partition] = time.monotonic() + wait

    def _resume_due(self, consumer: Consumer) -> None:
        now = time.monotonic()
        due = [place for place, at in self._due.items() if at <= now]
        for place in due:
            del self._due[place]
        if due:
            consumer.resume([TopicPartition(*place) for place in due])


def _place(message: Message) -> tuple[str, int, int]:
    # A consumed message always has these; the library's types allow for others.
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise InvariantError("a consumed record has no place")
    return topic, partition, offset


def _headers(message: Message) -> Mapping[str, bytes | None]:
    return dict(message.headers() or ())  # type: ignore[arg-type]


def _raise_failure(error: object, _: Message) -> None:
    if error is not None:
        raise KafkaUnavailableError(f"a retry was not forwarded: {error}")
