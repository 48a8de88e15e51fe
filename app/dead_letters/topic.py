"""Reading the dead-letter topic."""

import time
from collections.abc import Iterator
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from app.dead_letters.letters import DeadLetter, Place
from app.errors import KafkaUnavailableError
from app.kafka.clients import consumer_config
from app.settings import Settings
from schemas.topics import DEAD_LETTERS

_TIMEOUT: Final = 20.0
_NO_SUCH_PARTITION: Final = (
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - librdkafka's own names
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)


def read_topic(settings: Settings, *, since_ms: int = 0) -> Iterator[DeadLetter]:
    """Yield the dead letters that stood in the topic when it began, partition by partition.

    What is written meanwhile, a replay that failed again for one, is not among them.

    Parameters
    ----------
    settings : Settings
        The deployment.
    since_ms : int
        Oldest time of writing, epoch milliseconds.

    Raises
    ------
    KafkaUnavailableError
        If the broker does not answer.
    """
    consumer = Consumer(consumer_config(settings, "dlq-reader"))
    try:
        for first, end in _spans(settings, consumer, since_ms):
            consumer.assign([first])
            yield from _until(consumer, end)
    except KafkaException as error:
        raise KafkaUnavailableError(f"no answer from Kafka at {settings.bootstrap}") from error
    finally:
        consumer.close()


def read_place(settings: Settings, place: Place) -> DeadLetter | None:
    """Return the dead letter at a place of the topic, or None when there is none any more.

    Raises
    ------
    KafkaUnavailableError
        If the broker does not answer.
    """
    topic = TopicPartition(settings.topic(DEAD_LETTERS), place.partition, place.offset)
    consumer = Consumer(consumer_config(settings, "dlq-reader"))
    try:
        low, high = consumer.get_watermark_offsets(topic, timeout=_TIMEOUT)
        if low <= place.offset < high:
            consumer.assign([topic])
            return next(_until(consumer, place.offset + 1), None)
    except KafkaException as error:
        if error.args[0].code() not in _NO_SUCH_PARTITION:
            raise KafkaUnavailableError(f"no answer from Kafka at {settings.bootstrap}") from error
    finally:
        consumer.close()
    return None


def _spans(
    settings: Settings, consumer: Consumer, since_ms: int
) -> list[tuple[TopicPartition, int]]:
    name = settings.topic(DEAD_LETTERS)
    found = consumer.list_topics(name, timeout=_TIMEOUT).topics.get(name)
    partitions = sorted(found.partitions) if found is not None else []
    asked = [TopicPartition(name, partition, since_ms) for partition in partitions]
    firsts = consumer.offsets_for_times(asked, timeout=_TIMEOUT) if asked else []
    spans = []
    for first in firsts:
        low, end = consumer.get_watermark_offsets(first, timeout=_TIMEOUT)
        if first.offset >= 0 and end > low:  # negative: nothing is as young
            spans.append((TopicPartition(name, first.partition, max(first.offset, low)), end))
    return spans


def _until(consumer: Consumer, end: int) -> Iterator[DeadLetter]:
    """Yield from the one partition assigned, as far as an offset.

    Raises
    ------
    KafkaUnavailableError
        If no record comes for a while.
    """
    deadline = time.monotonic() + _TIMEOUT
    while True:
        message = consumer.poll(0.2)
        [here] = consumer.position(consumer.assignment())
        if message is not None and message.error() is None:
            if (message.offset() or 0) < end:
                yield _letter(message)
            deadline = time.monotonic() + _TIMEOUT  # whoever takes them may take long
        if here.offset >= end:
            return
        if time.monotonic() > deadline:
            raise KafkaUnavailableError("Kafka gives no more records")


def _letter(message: Message) -> DeadLetter:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    _, written_ms = message.timestamp()
    value = message.value()
    return DeadLetter(
        Place(DEAD_LETTERS, int(message.partition() or 0), int(message.offset() or 0)),
        int(written_ms),
        value if isinstance(value, bytes) else b"",
        {name: text if isinstance(text, bytes) else b"" for name, text in pairs},
    )
