"""The dead-letter topic: reading it, and producing its records to ``uploads`` again."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from agents.failures import ATTEMPT, ERROR, ERROR_CHAIN, FIRST_FAILED, ORIGIN
from app.clickhouse.client import ClickHouse
from app.errors import DeadLetterError, KafkaUnavailableError
from app.kafka.clients import consumer_config, producer_config
from app.settings import Settings
from schemas.topics import DEAD_LETTERS, UPLOADS

REPLAYED_FROM: Final = "vs-replayed-from"
_CARRIED: Final = (ERROR_CHAIN, ORIGIN, FIRST_FAILED)
_TIMEOUT: Final = 20.0
_AT_ONCE: Final = 100
Place = tuple[int, int]
"""Partition and offset."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of the dead-letter topic.

    Attributes
    ----------
    partition, offset : int
        Its place.
    timestamp_ms : int
        When it was written there, epoch milliseconds.
    value : bytes
        The original bytes.
    headers : mapping of str to bytes
        What happened to it; see :mod:`agents.failures`.
    """

    partition: int
    offset: int
    timestamp_ms: int
    value: bytes
    headers: Mapping[str, bytes]

    @property
    def place(self) -> Place:
        """Partition and offset."""
        return self.partition, self.offset

    def text(self, header: str) -> str:
        """Return a header as text; empty when it is missing."""
        return self.headers.get(header, b"").decode(errors="replace")

    def matches(self, error: str | None) -> bool:
        """Whether a text is in its error or in the errors before, whatever the case."""
        said = f"{self.text(ERROR)} {self.text(ERROR_CHAIN)}"
        return error is None or error.casefold() in said.casefold()


def read_all(settings: Settings, *, since_ms: int = 0) -> Iterator[DeadLetter]:
    """Yield the dead letters that were there when it began, partition by partition.

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


def read_one(settings: Settings, place: Place) -> DeadLetter:
    """Return the dead letter at a place.

    Raises
    ------
    DeadLetterError
        If there is none.
    KafkaUnavailableError
        If the broker does not answer.
    """
    partition, offset = place
    topic = TopicPartition(settings.topic(DEAD_LETTERS), partition, offset)
    consumer = Consumer(consumer_config(settings, "dlq-reader"))
    try:
        low, high = consumer.get_watermark_offsets(topic, timeout=_TIMEOUT)
        if low <= offset < high:
            consumer.assign([topic])
            return next(_until(consumer, offset + 1))
    except KafkaException as error:
        if error.args[0].code() not in _NO_SUCH_PARTITION:
            raise KafkaUnavailableError(f"no answer from Kafka at {settings.bootstrap}") from error
    except StopIteration:
        pass
    finally:
        consumer.close()
    raise DeadLetterError(f"there is no dead letter at {partition}:{offset}")


def replay(settings: Settings, letters: Iterable[DeadLetter], marks: ClickHouse) -> Iterator[Place]:
    """Produce dead letters to ``uploads`` again, and yield the place of each that is there.

    The dead letters stay where they are and are marked as replayed. Nothing is counted twice: a
    sample that is known already changes nothing.

    Parameters
    ----------
    settings : Settings
        The deployment.
    letters : iterable of DeadLetter
        Which.
    marks : ClickHouse
        The writer, for the marks.

    Raises
    ------
    KafkaUnavailableError
        If the broker does not acknowledge.
    ClickHouseUnavailableError, QueryError
        If the mark cannot be written. What was yielded before is done.
    """
    producer = Producer(producer_config(settings, delivery_seconds=_TIMEOUT))
    waiting: list[DeadLetter] = []
    for letter in letters:
        waiting.append(letter)
        if len(waiting) == _AT_ONCE:
            yield from _replay(settings, producer, waiting, marks)
            waiting = []
    yield from _replay(settings, producer, waiting, marks)


def replayed(database: ClickHouse) -> set[Place]:
    """Return the places of dead letters that were replayed before."""
    rows = database.rows(
        "SELECT partition, offset FROM dead_letters WHERE topic = {topic:String} AND replays > 0",
        {"topic": DEAD_LETTERS},
    )
    return {(row["partition"], row["offset"]) for row in rows}


_NO_SUCH_PARTITION = (
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - librdkafka's own names
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)


def _replay(
    settings: Settings, producer: Producer, letters: list[DeadLetter], marks: ClickHouse
) -> Iterator[Place]:
    if not letters:
        return
    failures: list[KafkaError] = []

    def report(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    for letter in letters:
        headers: list[tuple[str, str | bytes | None]] = [
            (name, letter.headers[name]) for name in _CARRIED if name in letter.headers
        ]
        place = f"{DEAD_LETTERS}/{letter.partition}/{letter.offset}".encode()
        headers += [(ATTEMPT, b"0"), (REPLAYED_FROM, place)]
        producer.produce(
            settings.topic(UPLOADS), value=letter.value, partition=letter.partition,
            headers=headers, on_delivery=report,
        )  # fmt: skip
    if producer.flush(_TIMEOUT) or failures:
        why = failures[0].str() if failures else "no acknowledgement in time"
        raise KafkaUnavailableError(f"Kafka did not take the records: {why}")
    _mark(letters, marks)
    yield from (letter.place for letter in letters)


def _mark(letters: list[DeadLetter], marks: ClickHouse) -> None:
    now = datetime.now(UTC)
    rows = pa.table(
        {
            "topic": pa.array([DEAD_LETTERS] * len(letters), pa.string()),
            "partition": pa.array([letter.partition for letter in letters], pa.int32()),
            "offset": pa.array([letter.offset for letter in letters], pa.int64()),
            "replayed_at": pa.array([now] * len(letters), pa.timestamp("ms", "UTC")),
        }
    )
    marks.insert("dead_letter_replays_data", rows)


def _spans(
    settings: Settings, consumer: Consumer, since_ms: int
) -> Iterator[tuple[TopicPartition, int]]:
    name = settings.topic(DEAD_LETTERS)
    found = consumer.list_topics(name, timeout=_TIMEOUT).topics.get(name)
    partitions = sorted(found.partitions) if found is not None else []
    asked = [TopicPartition(name, partition, since_ms) for partition in partitions]
    firsts = consumer.offsets_for_times(asked, timeout=_TIMEOUT) if asked else []
    for first in firsts:
        low, end = consumer.get_watermark_offsets(first, timeout=_TIMEOUT)
        if first.offset >= 0 and end > low:  # negative: nothing is as young
            yield TopicPartition(name, first.partition, max(first.offset, low)), end


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
            deadline = time.monotonic() + _TIMEOUT
            if (message.offset() or 0) < end:
                yield _letter(message)
        if here.offset >= end:
            return
        if time.monotonic() > deadline:
            raise KafkaUnavailableError("Kafka gives no more records")


def _letter(message: Message) -> DeadLetter:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    _, timestamp_ms = message.timestamp()
    value = message.value()
    return DeadLetter(
        int(message.partition() or 0),
        int(message.offset() or 0),
        int(timestamp_ms),
        value if isinstance(value, bytes) else b"",
        {name: text if isinstance(text, bytes) else b"" for name, text in pairs},
    )
