"""Choosing dead letters."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from app.clickhouse.client import ClickHouse
from app.dead_letters.audit import State, states
from app.dead_letters.letters import DeadLetter, Place, groups
from app.dead_letters.table import read_row, read_table
from app.dead_letters.topic import read_place, read_topic
from app.errors import ClickHouseUnavailableError, DeadLetterError
from app.settings import Settings
from schemas.codec import Codec
from schemas.topics import DEAD_LETTERS


@dataclass(frozen=True, slots=True)
class Found:
    """A dead letter and its state; None when ClickHouse cannot tell."""

    letter: DeadLetter
    state: State | None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters are meant; each part that is None leaves the choice to the others.

    Attributes
    ----------
    error : str or None
        A text in its errors, whatever the case.
    since_ms, until_ms : int or None
        When it was written, epoch milliseconds; ``until_ms`` is exclusive.
    user : str or None
        A person of whom it holds an upload, as far as it decodes.
    topic : str or None
        Where it stands.
    state : State or None
        What was done with it last.
    """

    error: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    user: str | None = None
    topic: str | None = None
    state: State | None = None

    @property
    def chooses(self) -> bool:
        """Whether anything but the state is asked for."""
        return any(
            part is not None
            for part in (self.error, self.since_ms, self.until_ms, self.user, self.topic)
        )

    def takes(self, letter: DeadLetter, codec: Codec) -> bool:
        """Whether it takes a letter, its state aside."""
        return (
            (self.error is None or letter.says(self.error))
            and (self.since_ms is None or letter.written_ms >= self.since_ms)
            and (self.until_ms is None or letter.written_ms < self.until_ms)
            and (self.topic is None or letter.place.topic == self.topic)
            and (self.user is None or letter.concerns(self.user, codec))
        )


def select(
    settings: Settings, database: ClickHouse, codec: Codec, selection: Selection
) -> Iterator[Found]:
    """Yield dead letters that stood there when it began, those of the worker first.

    While ClickHouse is away, those of the worker are found all the same, without their states.

    Parameters
    ----------
    settings : Settings
        The deployment.
    database : ClickHouse
        The reader.
    codec : Codec
        To find people in them.
    selection : Selection
        Which.

    Raises
    ------
    KafkaUnavailableError
        If the broker does not answer.
    ClickHouseUnavailableError
        If ClickHouse does not answer and is needed: a state or another topic was asked for.
    QueryError
        If it refuses.
    """
    needed = selection.state is not None or selection.topic not in (None, DEAD_LETTERS)
    told = needed or database.ping()
    since_ms = selection.since_ms or 0
    letters: list[Iterator[DeadLetter]] = []
    if selection.topic in (None, DEAD_LETTERS):
        letters.append(read_topic(settings, since_ms=since_ms))
    if told and selection.topic != DEAD_LETTERS:
        letters.append(read_table(database, since_ms=since_ms))
    taken = (one for one in chain(*letters) if selection.takes(one, codec))
    for group in groups(taken):
        places = [letter.place for letter in group]
        known: dict[Place, State] = states(database, places) if told else {}
        for letter in group:
            state = known.get(letter.place)
            if selection.state is None or state is selection.state:
                yield Found(letter, state)


def find(settings: Settings, database: ClickHouse, place: Place) -> DeadLetter:
    """Return the dead letter at a place; from ClickHouse when it has left the topic.

    Raises
    ------
    DeadLetterError
        If there is none.
    KafkaUnavailableError, ClickHouseUnavailableError, QueryError
        If a server that is needed does not answer.
    """
    letter = read_place(settings, place) if place.topic == DEAD_LETTERS else None
    if letter is None:
        try:
            letter = read_row(database, place)
        except ClickHouseUnavailableError as error:
            raise ClickHouseUnavailableError(f"{place} is not in Kafka, and {error}") from error
    if letter is None:
        raise DeadLetterError(f"there is no dead letter at {place}")
    return letter
