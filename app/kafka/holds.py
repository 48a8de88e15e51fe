"""Topic ``holds``: which consumer groups were stopped, and that an operator let them go on.

A record is a small JSON document, keyed by the group; nothing is ever deleted, so the topic is also
the record of who did what, when and why. The last record of a group says whether it is held.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import orjson
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from app.errors import ConfigurationError, KafkaUnavailableError
from app.kafka.clients import consumer_config, producer_config
from app.settings import Settings
from schemas.topics import Topic, partition_of

HOLDS: Final = "holds"
HOLDS_TOPIC: Final = Topic(
    HOLDS,
    "consumer group",
    "",
    "groups that were stopped, and who let them go on (JSON)",
    {"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": str(1 << 20)},
)
_TIMEOUT: Final = 20.0


@dataclass(frozen=True, slots=True)
class Hold:
    """A group was stopped, or may go on.

    Attributes
    ----------
    group : str
        Consumer group, without the deployment's prefix.
    action : str
        ``held`` or ``resumed``.
    at_ms : int
        When, epoch milliseconds.
    by : str
        The process that stopped, or the operator.
    reason : str
        Why, in words.
    uploads, dead : int
        Uploads in the window, and how many of them were going to the dead letters.
    kinds : mapping of str to int
        These by class of their error.
    """

    group: str
    action: Literal["held", "resumed"]
    at_ms: int
    by: str
    reason: str
    uploads: int = 0
    dead: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Part of the uploads that went to the dead letters; 0 for none."""
        return self.dead / self.uploads if self.uploads else 0.0


def encode(hold: Hold) -> bytes:
    """Return the value of its record."""
    return orjson.dumps(asdict(hold))


def holds(settings: Settings, group: str) -> list[Hold]:
    """Return all holds of a group and all permissions to go on, the oldest first.

    Raises
    ------
    ConfigurationError
        If the topic does not exist.
    KafkaUnavailableError
        If the broker does not answer.
    """
    consumer = Consumer(consumer_config(settings, "holds-reader"))
    try:
        return [hold for hold in _read(settings, consumer, group) if hold.group == group]
    except KafkaException as error:
        if error.args[0].code() in _MISSING:
            raise ConfigurationError(
                f"there is no topic {settings.topic(HOLDS)}: run vitalstream topics create"
            ) from error
        raise KafkaUnavailableError(f"no answer from Kafka at {settings.bootstrap}") from error
    finally:
        consumer.close()


def standing(settings: Settings, group: str) -> Hold | None:
    """Return why a group is held, or None when it is not.

    A hold stands until an operator lets the group go on, or while its ratio is above the limit in
    force: a limit that is raised lifts what is within it.

    Raises
    ------
    ConfigurationError, KafkaUnavailableError
        As :func:`holds`.
    """
    last = next(reversed(holds(settings, group)), None)
    if last is None or last.action == "resumed" or last.ratio <= settings.dead_ratio_limit:
        return None
    return last


def resume(settings: Settings, group: str, *, by: str, reason: str) -> None:
    """Let a group go on; its processes notice within seconds.

    Raises
    ------
    KafkaUnavailableError
        If the broker does not acknowledge.
    """
    hold = Hold(group, "resumed", time.time_ns() // 1_000_000, by, reason)
    failures: list[KafkaError] = []

    def report(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer(producer_config(settings, delivery_seconds=_TIMEOUT))
    producer.produce(
        settings.topic(HOLDS), encode(hold), key=group,
        partition=partition_of(group, settings.partitions), on_delivery=report,
    )  # fmt: skip
    if producer.flush(_TIMEOUT + 5) or failures:
        why = failures[0].str() if failures else "no acknowledgement in time"
        raise KafkaUnavailableError(f"Kafka did not take the permission to go on: {why}")


_MISSING: Final = (
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - librdkafka's own names
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART,
)


def _read(settings: Settings, consumer: Consumer, group: str) -> list[Hold]:
    place = TopicPartition(
        settings.topic(HOLDS), partition_of(group, settings.partitions), OFFSET_BEGINNING
    )
    low, end = consumer.get_watermark_offsets(place, timeout=_TIMEOUT)
    consumer.assign([place])
    found: list[Hold] = []
    deadline = time.monotonic() + _TIMEOUT
    here = low
    while here < end:
        for message in consumer.consume(100, 0.2):
            if message.error() is None:
                here = (message.offset() or 0) + 1
                found.extend(_decoded(message.value()))
        if time.monotonic() > deadline:
            raise KafkaUnavailableError("Kafka gives no more records")
    return found


def _decoded(value: Any) -> list[Hold]:  # noqa: ANN401 - bytes, as the library does not know
    # A record that is none says nothing about any group.
    try:
        document = orjson.loads(value)
        return [Hold(**document)]
    except (orjson.JSONDecodeError, TypeError):
        return []
