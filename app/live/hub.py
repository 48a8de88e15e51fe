"""The hub: what the feed brings goes into rings and the overview, and wakes the connections."""

import asyncio
import contextlib
import secrets
from typing import Protocol

from app.live.metrics import LiveMetrics
from app.live.news import Assigned, CaughtUp, News, Stream
from app.live.overview import Overview
from app.live.protocol import now_ms
from app.live.rates import Rates
from app.live.records import KINDS, Record
from app.live.ring import Ring
from app.settings import Settings
from schemas.topics import partition_of


class Listener(Protocol):
    """Somebody to wake when there is news."""

    def wake(self) -> None:
        """Look at the rings again, soon."""


class Hub:
    """Shared by all live connections of a gateway; used in its event loop alone.

    Attributes
    ----------
    rings : dict
        The last records of each live topic's partition; empty before the feed reads.
    epoch : str
        Names the topics that positions refer to; empty before the feed has caught up.
    instance : str
        Names this process: positions in the overview hold nowhere else.
    overview, rates
        What the pages show of everyone.
    metrics : LiveMetrics
        Told what is kept and sent.
    """

    def __init__(self, settings: Settings, metrics: LiveMetrics) -> None:
        self._settings = settings
        self.metrics = metrics
        self._listeners: set[Listener] = set()
        self._trimmed_ms = 0
        self._ring_bytes = settings.live_ring_bytes
        self._assigned = ""
        self._ready = asyncio.Event()
        self.rings: dict[Stream, Ring] = {}
        self.partitions = 0
        self.epoch = ""
        self.instance = secrets.token_hex(6)
        self.overview = Overview(settings.live_people_max)
        self.rates = Rates()

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self._listeners)

    def attach(self, listener: Listener) -> None:
        """Wake ``listener`` from now on."""
        self._listeners.add(listener)
        self.metrics.connections.set(len(self._listeners))

    def detach(self, listener: Listener) -> None:
        """Wake it no more."""
        self._listeners.discard(listener)
        self.metrics.connections.set(len(self._listeners))

    def streams_of(self, user: str) -> list[Stream]:
        """Return the partitions that carry a person's records; none before the feed reads."""
        if not self.partitions:
            return []
        partition = partition_of(user, self.partitions)
        return [(kind, partition) for kind in KINDS]

    def alert_streams(self) -> list[Stream]:
        """Return the partitions of topic ``alerts``."""
        return [("alerts", partition) for partition in range(self.partitions)]

    def since(self, stream: Stream, offset: int) -> list[Record]:
        """Return the records of a partition from an offset on, oldest first."""
        return self.rings[stream].since(offset)

    async def ready(self, seconds: float) -> None:
        """Wait until the feed has caught up, but not longer than some seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ready.wait()

    def publish(self, item: News) -> None:
        """Take what the feed read, or where it reads from now on."""
        if isinstance(item, Assigned):
            self._assign(item)
        elif isinstance(item, CaughtUp):
            self.epoch = self._assigned
            self.partitions = sum(kind == "samples" for kind, _ in self.rings)
            self.rates.begin()
            self._ready.set()
        else:
            for record in item:
                if self.rings[record.kind, record.partition].append(record):
                    self.overview.apply(record)
                    self.rates.add(record)
            self._trim()
        self.wake()

    def wake(self) -> None:
        """Have all connections look for news."""
        for listener in self._listeners:
            listener.wake()

    def _assign(self, assigned: Assigned) -> None:
        same = assigned.epoch == self._assigned
        self._assigned = assigned.epoch
        if not same:
            self.epoch, self.partitions = "", 0
            self._ready.clear()
        self._ring_bytes = self._settings.live_ring_bytes // len(assigned.offsets)
        rings = {}
        for stream, offset in assigned.offsets.items():
            known = self.rings.get(stream) if same else None
            # A ring goes on where it is unless the feed has left records out.
            rings[stream] = known if known and known.next >= offset else Ring(offset)
        self.rings = rings

    def _trim(self) -> None:
        now = now_ms()
        if now - self._trimmed_ms < 1_000:
            return
        self._trimmed_ms = now
        total = 0
        for ring in self.rings.values():
            ring.trim(
                before_ms=now - int(self._settings.live_ring_seconds * 1000),
                records=self._settings.live_ring_records,
                size=self._ring_bytes,
            )
            total += ring.bytes
        self.metrics.ring_bytes.set(total)
        self.metrics.people.set(len(self.overview))
