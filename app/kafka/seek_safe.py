"""A Faust transport whose rewinds never overlap a fetched batch that is still being delivered.

Faust 0.15 resumes its fetcher for the changelogs before it rewinds the source partitions after a
rebalance. A fetch that ends meanwhile is dropped record by record, because the streams trust the
rewind to bring the records again; but the delivery loop then goes on with the rest of the old
fetch, and the rewound records are taken for repetitions. One to sixty records are lost without a
word. Here a rewind first makes the delivery loop give its batch up, waits until it has, and only
then moves the read position. :mod:`app.kafka.guard` would notice if that ever failed.

Nor does aiokafka rewind a partition of which nothing was ever committed: what was dropped there
would stay unread. Here it goes back to its beginning.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver
from faust.types import TP


class SeekSafeConsumer(driver.Consumer):
    """A consumer that is either delivering a fetched batch or rewinding, never both."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's own
        super().__init__(*args, **kwargs)
        self._delivery = asyncio.Lock()
        self._deliverer: asyncio.Task[Any] | None = None
        self._rewinds_wanted = 0

    async def getmany(self, timeout: float) -> AsyncIterator[Any]:
        """Fetch and deliver records, giving the batch up as soon as a rewind is wanted."""
        # Waiting for the flow with the lock held would keep a rewind waiting: the flow only
        # resumes after it.
        if not self.flow_active:
            await self.wait(self.can_resume_flow.wait())
        if self._rewind_wanted():
            await asyncio.sleep(0.01)
            return
        async with self._delivery:
            if not self.flow_active:
                return
            self._deliverer = asyncio.current_task()
            try:
                async for item in super().getmany(timeout):
                    if self._rewind_wanted():
                        break
                    yield item
                    if self._rewind_wanted():
                        break
            finally:
                self._deliverer = None

    def _rewind_wanted(self) -> bool:
        return self._rewinds_wanted > 0

    async def perform_seek(self) -> None:
        """Rewind all source partitions to their committed offsets."""
        if self._deliverer is asyncio.current_task():
            await super().perform_seek()
            return
        self._rewinds_wanted += 1
        # Lets the delivery loop give up the record that it waits to hand over.
        self.suspend_flow.set()
        try:
            async with self._delivery:
                await super().perform_seek()
        finally:
            self._rewinds_wanted -= 1

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Move to the committed offsets; where there is none, to the oldest record."""
        committed = await super().seek_to_committed()
        # Faust reads its changelogs by offsets of its own.
        changelogs = cast("TableManager", self.app.tables).changelog_topics
        fresh = [
            place
            for place, offset in committed.items()
            if not offset and place.topic not in changelogs
        ]
        if fresh:
            thread = self._thread
            consumer = thread._ensure_consumer()  # noqa: SLF001 - Faust offers no other way
            await thread.call_thread(_seek_to_beginning, consumer, fresh)
        return committed


async def _seek_to_beginning(consumer: Any, places: Sequence[TP]) -> None:  # noqa: ANN401 - aiokafka's
    """Move to the oldest records, in the consumer's thread."""
    # Another rebalance may have taken some away meanwhile.
    here = [place for place in places if place in consumer.assignment()]
    if here:
        await consumer.seek_to_beginning(*here)


class SeekSafeTransport(driver.Transport):
    """Faust's aiokafka transport with :class:`SeekSafeConsumer`."""

    Consumer = SeekSafeConsumer
