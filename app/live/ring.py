"""The last records of one topic's partition, for subscribers that reconnect."""

from collections import deque

from app.live.records import Record


class Ring:
    """Records of one partition in offset order, bounded in number, bytes and age.

    Attributes
    ----------
    floor : int
        Every record from this offset on is here.
    next : int
        The offset after the newest record that was read.
    bytes : int
        Sum of the records' sizes.
    """

    __slots__ = ("_records", "bytes", "floor", "next")

    def __init__(self, start: int) -> None:
        self._records: deque[Record] = deque()
        self.floor = self.next = start
        self.bytes = 0

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._records)

    def append(self, record: Record) -> bool:
        """Add the newest record; False for one that was read before, which changes nothing."""
        if record.offset < self.next:
            return False
        self._records.append(record)
        self.bytes += record.size
        self.next = record.offset + 1
        return True

    def trim(self, *, before_ms: int, records: int, size: int) -> None:
        """Drop the oldest records that are too old or too many.

        Parameters
        ----------
        before_ms : int
            Records with an earlier timestamp go, unless a later one stands before them.
        records, size : int
            Most records, and most bytes, that stay.
        """
        kept = self._records
        while kept and (len(kept) > records or self.bytes > size or kept[0].time_ms < before_ms):
            gone = kept.popleft()
            self.bytes -= gone.size
            self.floor = gone.offset + 1

    def since(self, offset: int) -> list[Record]:
        """Return the records from an offset on, oldest first; ``offset`` is at least the floor."""
        if offset >= self.next:
            return []
        found: list[Record] = []
        for record in reversed(self._records):
            if record.offset < offset:
                break
            found.append(record)
        found.reverse()
        return found
