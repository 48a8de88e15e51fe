"""The state as it stands in the changelog: written by our own producer, read by our own reader.

Beside the people the changelog holds, for each partition of the source, the offset of the next
record to apply: written behind the people of the same flush. So a state that was read is never
older than its mark says; it may be newer by an interrupted flush, and applying a record again
changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

import structlog
from confluent_kafka import Message

from app.errors import InvariantError
from app.kafka.state_log import Latest, StateLog
from app.settings import Settings
from schemas.codec import Codec
from schemas.topics import STATE_CHANGELOG
from tables.days import Calendar
from tables.packing import pack_people, unpack_people
from tables.state import State

_log = structlog.get_logger(__name__)
_MARK: Final = b"@"
_AT_ONCE: Final = 1_000
_UNDER_WAY: Final = 8_000
"""People whose states may wait for the broker at a time: bounds the producer's memory."""
Submit = Callable[[str, bytes, int, bytes | None], Awaitable["asyncio.Future[Message]"]]


class WrittenState:
    """Reads and writes the changelog.

    Parameters
    ----------
    settings : Settings
        The deployment.
    codec : Codec
        For the records.
    state : State
        What is read into, and written from.
    calendar_of : callable
        Returns a person's days by user id.
    submit : coroutine function
        Hands a record (topic, value, partition, key) to the producer; its result is a future
        that ends with the broker's acknowledgement.
    """

    def __init__(
        self,
        settings: Settings,
        codec: Codec,
        state: State,
        *,
        calendar_of: Callable[[str], Calendar],
        submit: Submit,
    ) -> None:
        self._log = StateLog(settings)
        self._codec = codec
        self._state = state
        self._calendar_of = calendar_of
        self._submit = submit
        self._marks: dict[tuple[str, int], int] = {}
        self._positions: dict[int, int] = {}
        self._known: set[int] = set()

    def mark(self, topic: str, partition: int) -> int | None:
        """Return the next expected offset of a source partition, None when it has none yet."""
        return self._marks.get((topic, partition))

    def knows(self, partitions: Iterable[int]) -> bool:
        """Whether the state of all these partitions is known."""
        return self._known.issuperset(partitions)

    def doubt(self, *, keep: Iterable[int]) -> None:
        """After a rebalance: forget the partitions that are not kept, and trust none."""
        self._known.clear()
        lost = set(self._positions).difference(keep)
        self._state.drop_partitions(lost)
        for partition in lost:
            del self._positions[partition]
        self._marks = {place: at for place, at in self._marks.items() if place[1] not in lost}

    async def learn(self, partitions: Iterable[int]) -> None:
        """Read what of these partitions is not known yet.

        Raises
        ------
        KafkaUnavailableError
            If the broker does not answer.
        DecodeError
            If a newer program has written the state.
        """
        unknown = set(partitions) - self._known
        if not unknown:
            return
        for partition in sorted(unknown):  # one after the other: what was read takes memory
            position = self._positions.get(partition, 0)
            latest, end = await asyncio.to_thread(self._log.read, partition, position)
            await self._take(partition, latest)
            self._positions[partition] = end
            self._known.add(partition)
            if latest:
                _log.info("state read", partition=partition, keys=len(latest))

    async def _take(self, partition: int, latest: Latest) -> None:
        people: list[tuple[str, bytes]] = []
        for key, value in latest.items():
            if key.startswith(_MARK):
                topic, _, number = key[1:].decode().rpartition("/")
                if value is not None and int(number) == partition:
                    self._marks[topic, partition] = int.from_bytes(value, "big")
            elif value is not None:
                people.append((key.decode(), value))
        for first in range(0, len(people), _AT_ONCE):
            part = people[first : first + _AT_ONCE]
            unpack_people(self._state, partition, part, self._codec)
            for user_id, _ in part:  # it may have changed while nobody had the partition
                self._state.set_calendar(user_id, self._calendar_of(user_id))
            await asyncio.sleep(0)  # heartbeats go on

    async def write(self, offsets: Mapping[tuple[str, int], int]) -> int:
        """Write everybody who has changed, then the next offsets of source partitions.

        When it returns, the broker has acknowledged all of it.

        Returns
        -------
        int
            Number of people written.

        Raises
        ------
        KafkaUnavailableError
            If the broker did not acknowledge in time.
        InvariantError
            If somebody else has written to a partition meanwhile.
        """
        state = self._state
        users = state.dirty.nonzero()[0].tolist()
        sends: list[asyncio.Future[Message]] = []
        written: list[Message] = []
        for first in range(0, len(users), _AT_ONCE):
            part = users[first : first + _AT_ONCE]
            for user, packed in zip(part, pack_people(state, part, self._codec), strict=True):
                key = state.user_ids[user].encode()
                partition = int(state.partition[user])
                sends.append(await self._submit(STATE_CHANGELOG, packed, partition, key))
            await asyncio.sleep(0)  # heartbeats go on
            if len(sends) > _UNDER_WAY:
                written += await asyncio.gather(*sends)
                sends.clear()
        for (topic, partition), offset in offsets.items():
            value = offset.to_bytes(8, "big")
            key = mark_key(topic, partition)
            sends.append(await self._submit(STATE_CHANGELOG, value, partition, key))
        self._note([*written, *await asyncio.gather(*sends)])
        state.dirty[users] = False
        self._marks.update(offsets)
        return len(users)

    def _note(self, written: list[Message]) -> None:
        """Move the positions on; what lies between our own records is another's."""
        count: dict[int, int] = {}
        behind: dict[int, int] = {}
        for message in written:
            partition, offset = message.partition(), message.offset()
            if partition is None or offset is None:
                raise InvariantError("an acknowledged record has no place")
            count[partition] = count.get(partition, 0) + 1
            behind[partition] = max(behind.get(partition, 0), offset + 1)
        for partition, end in behind.items():
            expected = self._positions[partition] + count[partition]
            if end != expected:
                raise InvariantError(
                    f"partition {partition} of the changelog ends at {end}, not {expected}: "
                    "another worker writes to it"
                )
            self._positions[partition] = end


def mark_key(topic: str, partition: int) -> bytes:
    """Return the changelog key of a source partition's next expected offset."""
    return b"%s%s/%d" % (_MARK, topic.encode(), partition)
