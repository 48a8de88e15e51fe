"""The retry topics: delay lines that lead back to ``uploads``.

A record waits in its tier until its time has come and is then produced to ``uploads`` again, where
it is applied like any other: a retry that newer data has overtaken changes nothing, because values
are ranked by when a gateway first received them. The tiers are read by plain consumers and not by
Faust: waiting minutes inside a Faust agent would hold up every rebalance. A partition that waits
is paused, so that nothing spins and the group stays alive.
"""

import threading
import time
from collections.abc import Callable

import structlog
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from agents.failures import NOT_BEFORE
from app.errors import InvariantError, KafkaUnavailableError
from app.kafka.clients import consumer_config, producer_config
from app.settings import Settings
from schemas.topics import RETRIES, RETRY_TIERS, UPLOADS

_log = structlog.get_logger(__name__)


class RetryForwarder:
    """Moves due records from the retry topics to ``uploads``; a thread.

    Success means that ``uploads`` holds the record: the offset in the tier is committed after
    that, so a crash in between forwards a record twice, which changes nothing.

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
        self._due: dict[tuple[str, int], float] = {}
        self._tiers = {settings.topic(name): name for name in RETRY_TIERS}

    def start(self) -> None:
        """Begin to forward."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; what waits stays in its tier."""
        self._stopped.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            consumer = Consumer(consumer_config(self._settings, RETRIES))
            producer = Producer(producer_config(self._settings, delivery_seconds=30))
            try:
                consumer.subscribe(list(self._tiers), on_assign=self._start_afresh)
                while not self._stopped.is_set():
                    self._forward_next(consumer, producer)
            except (KafkaException, KafkaUnavailableError) as error:
                _log.warning("retries start again", error=str(error))
                self._stopped.wait(1)
            finally:
                consumer.close()

    def _start_afresh(self, _: Consumer, __: list[TopicPartition]) -> None:
        self._due.clear()

    def _forward_next(self, consumer: Consumer, producer: Producer) -> None:
        self._resume_due(consumer)
        message = consumer.poll(0.2)
        if message is None or message.error():
            return
        wait = _not_before_ms(message) / 1000 - time.time()
        if wait > 0:
            self._hold(consumer, message, wait)
            return
        place = _place(message)
        _produce(producer, self._settings.topic(UPLOADS), place.partition, message)
        consumer.commit(message=message, asynchronous=False)
        self._on_forward(self._tiers[place.topic])

    def _hold(self, consumer: Consumer, message: Message, wait: float) -> None:
        place = _place(message)
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


def _place(message: Message) -> TopicPartition:
    # A consumed message always has these; the library's types allow for others.
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        raise InvariantError("a consumed record has no place")
    return TopicPartition(topic, partition, offset)


def _produce(producer: Producer, topic: str, partition: int, message: Message) -> None:
    failure: list[str] = []

    def report(error: object, _: Message) -> None:
        if error is not None:
            failure.append(str(error))

    producer.produce(
        topic, value=message.value(), key=message.key(), partition=partition,
        headers=message.headers(), on_delivery=report,
    )  # fmt: skip
    if producer.flush(35) or failure:
        raise KafkaUnavailableError(f"a retry was not forwarded: {failure or 'no answer'}")


def _not_before_ms(message: Message) -> int:
    headers = dict(message.headers() or [])
    return int(headers.get(NOT_BEFORE, b"0") or b"0")
