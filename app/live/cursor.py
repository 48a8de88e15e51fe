"""A subscription's place in the rings of several partitions."""

from collections.abc import Sequence

from app.live.hub import Hub
from app.live.news import Stream
from app.live.records import Record


class Cursor:
    """The next offset of each partition that a subscription follows.

    Its text is a position of the live protocol: offsets that every gateway understands under the
    same epoch, so that a browser may resume at another gateway, or at this one after a restart.
    """

    def __init__(self, hub: Hub, streams: Sequence[Stream]) -> None:
        self._hub = hub
        self._streams = list(streams)
        self._next = [hub.rings[stream].next for stream in streams]
        self.epoch = hub.epoch

    def __str__(self) -> str:
        """Return the position."""
        return ".".join(map(str, self._next))

    def move_to(self, position: str) -> bool:
        """Go to a position; False, going nowhere, when the rings do not hold all from there on."""
        try:
            offsets = [int(part) for part in position.split(".")]
        except ValueError:
            return False
        if len(offsets) != len(self._streams):
            return False
        for stream, offset in zip(self._streams, offsets, strict=True):
            # Beyond the newest record is fine: this gateway may have started a moment ago.
            if offset < self._hub.rings[stream].floor:
                return False
        self._next = offsets
        return True

    @property
    def lost(self) -> bool:
        """Whether records from here on are no longer in the rings, or are of other topics."""
        return self.epoch != self._hub.epoch or any(
            offset < self._hub.rings[stream].floor
            for stream, offset in zip(self._streams, self._next, strict=True)
        )

    def take(self, kind: str) -> list[Record]:
        """Return the records of the partitions of one kind from here on, and go past them."""
        found: list[Record] = []
        for index, stream in enumerate(self._streams):
            if stream[0] == kind:
                found += self._hub.since(stream, self._next[index])
                self._next[index] = max(self._next[index], self._hub.rings[stream].next)
        return found

    def pass_by(self, record: Record) -> None:
        """Go past one record."""
        index = self._streams.index((record.kind, record.partition))
        self._next[index] = record.offset + 1

    def ahead(self, kind: str) -> list[Record]:
        """Return the records of one kind from here on without going past them."""
        found: list[Record] = []
        for stream, offset in zip(self._streams, self._next, strict=True):
            if stream[0] == kind:
                found += self._hub.since(stream, offset)
        return found
