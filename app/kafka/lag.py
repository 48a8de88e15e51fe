"""Lag: what each consumer group of the deployment has not acknowledged yet."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from app.errors import KafkaUnavailableError
from app.kafka.admin import admin, existing
from app.kafka.clients import consumer_config
from app.settings import Settings
from schemas import topics

GROUPS: Final = {
    topics.WORKER: (topics.UPLOADS,),
    topics.RETRIES: tuple(topics.RETRY_TIERS),
    topics.SINK: (
        topics.SAMPLES,
        topics.WINDOWS,
        topics.ALERTS,
        topics.REJECTED,
        topics.UPLOAD_STATUS,
        topics.DEAD_LETTERS,
    ),
}
"""Consumer groups and the topics that each consumes."""
_TIMEOUT = 10.0
_ELECTING: Final = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition as one group has read it.

    Attributes
    ----------
    group, topic : str
        Names, without the deployment's prefix.
    partition : int
        The partition.
    committed : int
        Next offset that the group will be given; that of the oldest record if it never read.
    end : int
        Offset of the next record to be written.
    """

    group: str
    topic: str
    partition: int
    committed: int
    end: int

    @property
    def lag(self) -> int:
        """Records not acknowledged yet."""
        return max(self.end - self.committed, 0)


def lags(settings: Settings) -> list[PartitionLag]:
    """Return every partition of every group, as the broker knows it.

    Raises
    ------
    KafkaUnavailableError
        If the broker does not answer.
    """
    have = existing(settings)
    names = {name for consumed in GROUPS.values() for name in consumed if name in have}
    places = [(name, partition) for name in sorted(names) for partition in range(have[name])]
    client = admin(settings)  # kept: without it the answers would never come
    try:
        newest = _offsets(client, settings, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        oldest = _offsets(client, settings, places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        found = []
        for group, consumed in GROUPS.items():
            mine = [place for place in places if place[0] in consumed]
            committed = _committed(settings, group, mine)
            found += [
                PartitionLag(group, *place, max(committed[place], oldest[place]), newest[place])
                for place in mine
            ]
    except (KafkaException, TimeoutError) as error:
        raise KafkaUnavailableError(f"no answer from Kafka at {settings.bootstrap}") from error
    return found


_Places = list[tuple[str, int]]
_Offsets = dict[tuple[str, int], int]


def _offsets(
    client: AdminClient, settings: Settings, places: _Places, spec: OffsetSpec
) -> _Offsets:
    if not places:
        return {}
    asked = {TopicPartition(settings.topic(name), part): spec for name, part in places}
    answers = client.list_offsets(asked, request_timeout=_TIMEOUT)
    found = {(tp.topic, tp.partition): f.result(_TIMEOUT).offset for tp, f in answers.items()}
    return {(name, part): found[settings.topic(name), part] for name, part in places}


def _committed(settings: Settings, group: str, places: _Places) -> _Offsets:
    # A consumer that never joins asks: the administration client may crash while the group's
    # coordinator is being elected (librdkafka 2.16).
    consumer = Consumer(consumer_config(settings, group))
    asked = [TopicPartition(settings.topic(name), part) for name, part in places]
    try:
        answers = _patiently(lambda: consumer.committed(asked, timeout=_TIMEOUT)) if asked else []
    finally:
        consumer.close()
    return {place: answer.offset for place, answer in zip(places, answers, strict=True)}


def _patiently(question: Callable[[], list[TopicPartition]]) -> list[TopicPartition]:
    """Ask again while the group's coordinator is being elected."""
    deadline = time.monotonic() + _TIMEOUT
    while True:
        try:
            return question()
        except KafkaException as error:
            if error.args[0].code() not in _ELECTING or time.monotonic() > deadline:
                raise
        time.sleep(0.1)
