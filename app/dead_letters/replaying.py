"""Producing dead letters again."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from agents.failures import ATTEMPT, ERROR_CHAIN, FIRST_FAILED, ORIGIN, REPLAYED_FROM
from app.dead_letters.audit import Audit
from app.dead_letters.letters import MOST_AT_ONCE, DeadLetter, Place, groups
from app.errors import DataError, DeadLetterError, KafkaUnavailableError
from app.kafka.clients import producer_config
from app.settings import Settings
from schemas import statuses
from schemas.codec import Codec
from schemas.topics import DEAD_LETTERS, UPLOAD_STATUS, UPLOADS

_CARRIED: Final = (ERROR_CHAIN, ORIGIN, FIRST_FAILED)
_TIMEOUT: Final = 20.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast: at most ``rate`` letters a second; a clock and a way to wait, for tests."""

    rate: float = float("inf")
    clock: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep

    @property
    def at_once(self) -> int:
        """Letters that may go out together: those of a second at most."""
        return int(min(MOST_AT_ONCE, max(1.0, self.rate)))


def replay(
    settings: Settings,
    letters: Iterable[DeadLetter],
    audit: Audit,
    codec: Codec,
    pace: Pace | None = None,
) -> Iterator[Place]:
    """Produce dead letters to where they failed, and yield the place of each that is there.

    The originals stay where they are. Each is marked as replayed after the broker has acknowledged
    it: whoever is interrupted goes on with those that are still open, and what was produced but
    not marked is produced a second time, which counts nothing twice.

    Parameters
    ----------
    settings : Settings
        The deployment.
    letters : iterable of DeadLetter
        Which; taken as they are needed.
    audit : Audit
        Where it is written down.
    codec : Codec
        For letters whose key has to be found in them.
    pace : Pace, optional
        How fast; as fast as the broker takes them by default.

    Raises
    ------
    DeadLetterError
        If a letter cannot be produced again.
    KafkaUnavailableError
        If the broker does not acknowledge.
    ClickHouseUnavailableError, QueryError
        If the mark cannot be written. What was yielded before is done.
    """
    pace = pace or Pace()
    producer = Producer(producer_config(settings, delivery_seconds=_TIMEOUT))
    started, sent = pace.clock(), 0
    for group in groups(letters, pace.at_once):
        early = started + sent / pace.rate - pace.clock()
        if early > 0:
            pace.wait(early)
        _produce(settings, producer, group, codec)
        places = [letter.place for letter in group]
        audit.note("replayed", places)
        sent += len(group)
        yield from places


def _produce(
    settings: Settings, producer: Producer, letters: Sequence[DeadLetter], codec: Codec
) -> None:
    failures: list[KafkaError] = []

    def report(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    for letter in letters:
        place = letter.place
        headers: list[tuple[str, str | bytes | None]] = [
            (name, letter.headers[name]) for name in _CARRIED if name in letter.headers
        ]
        came_from = f"{place.topic}/{place.partition}/{place.offset}".encode()
        headers += [(ATTEMPT, b"0"), (REPLAYED_FROM, came_from)]
        try:
            producer.produce(
                settings.topic(_target(place)), value=letter.value, key=_key(letter, codec),
                partition=place.partition, headers=headers, on_delivery=report,
            )  # fmt: skip
        except KafkaException as error:
            raise KafkaUnavailableError(f"Kafka did not take {place}: {error}") from error
    if producer.flush(_TIMEOUT + 5) or failures:
        why = failures[0].str() if failures else "no acknowledgement in time"
        raise KafkaUnavailableError(f"Kafka did not take the records: {why}")


def _target(place: Place) -> str:
    return UPLOADS if place.topic == DEAD_LETTERS else place.topic


def _key(letter: DeadLetter, codec: Codec) -> bytes | None:
    """Return the key of a record of a compacted topic, which takes none without.

    Raises
    ------
    DeadLetterError
        If it cannot be found in the record.
    """
    if letter.place.topic != UPLOAD_STATUS:
        return None
    try:
        return statuses.decode(letter.value, codec).key
    except DataError as error:
        raise DeadLetterError(f"{letter.place} does not decode: it cannot be replayed") from error
