"""The Faust table behind the people's states, written by our own producer.

Faust gives no way to wait for the changelog record of a table write, so the changelog is written
by the worker (outputs first, then the changelog, then the source offset), and Faust recovers the
table from it as from its own.
"""

from collections import OrderedDict
from collections.abc import Callable

import faust

from schemas.codec import Codec
from schemas.topics import STATE_TABLE
from tables.days import Calendar
from tables.people import Person, pack, unpack_person

_MARK = b"@"


def mark_key(topic: str, partition: int) -> bytes:
    """Return the changelog key of a source partition's next expected offset."""
    return b"%s%s/%d" % (_MARK, topic.encode(), partition)


class StateTable:
    """People by user id, and the marks of the source partitions.

    Parameters
    ----------
    app : faust.App
        The worker's application.
    codec : Codec
        For the packed states.
    partitions : int
        Partitions of the changelog: as many as the source topic has.
    cached : int
        Most people who are kept unpacked beside their packed form.
    """

    def __init__(self, app: faust.App, codec: Codec, *, partitions: int, cached: int) -> None:
        self._codec = codec
        self._cached = cached
        self._unpacked: OrderedDict[bytes, tuple[bytes, Person]] = OrderedDict()
        self.table = app.Table(
            STATE_TABLE,
            partitions=partitions,
            key_type=bytes,  # bytes are left as they are
            value_type=bytes,
        )

    def __len__(self) -> int:
        """Return the number of keys: people and marks."""
        return len(self._data)

    @property
    def _data(self) -> dict[bytes, bytes]:
        # The memory store's own dictionary: a write through the table would be sent to the
        # changelog a second time, unconfirmed.
        data: dict[bytes, bytes] = self.table.data.data  # type: ignore[attr-defined]
        return data

    def person(self, user_id: str, newcomer: Callable[[], Calendar]) -> Person:
        """Return a person's state; a new one in the calendar given when there is none."""
        key = user_id.encode()
        packed = self._data.get(key)
        if packed is None:
            return Person(newcomer())
        held = self._unpacked.get(key)
        # Recovery replaces the packed bytes: what was unpacked from others is stale.
        if held is not None and held[0] is packed:
            self._unpacked.move_to_end(key)
            return held[1]
        return unpack_person(packed, self._codec)

    def pack(self, person: Person) -> bytes:
        """Return a person's packed form."""
        return pack(person, self._codec)

    def keep(self, user_id: str, packed: bytes, person: Person, partition: int) -> None:
        """Put a person's state in the table, once the changelog holds its packed form."""
        key = user_id.encode()
        self._put(key, packed, partition)
        self._unpacked[key] = (packed, person)
        self._unpacked.move_to_end(key)
        while len(self._unpacked) > self._cached:
            self._unpacked.popitem(last=False)

    def mark(self, topic: str, partition: int) -> int | None:
        """Return the next expected offset of a source partition, None when it has none yet."""
        packed = self._data.get(mark_key(topic, partition))
        return None if packed is None else int.from_bytes(packed, "big")

    def keep_mark(self, topic: str, partition: int, offset: int) -> None:
        """Put a mark in the table, once the changelog holds it."""
        self._put(mark_key(topic, partition), pack_mark(offset), partition)

    def _put(self, key: bytes, value: bytes, partition: int) -> None:
        self._data[key] = value
        # By this Faust forgets the keys of partitions that went to another worker.
        self.table.data._key_partition[key] = partition  # type: ignore[attr-defined]  # noqa: SLF001


def pack_mark(offset: int) -> bytes:
    """Return the changelog value of a mark."""
    return offset.to_bytes(8, "big")
