"""A Faust transport whose rewinds never overlap a fetched batch that is still being delivered.

Faust 0.15 resumes its fetcher for the changelogs before it rewinds the source partitions after a
rebalance. A fetch that ends meanwhile is dropped record by record, because the streams trust the
rewind to bring the records again; but the delivery loop then goes on with the rest of the old
fetch, and the rewound records are taken for repetitions. One to sixty records are lost without a
word. Here a rewind first makes the delivery loop give its batch up, waits until it has, and only
then moves the read position. :mod:`app.kafka.guard` would notice if that ever failed.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from faust.transport.drivers import aiokafka as driver


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


class SeekSafeTransport(driver.Transport):
    """Faust's aiokafka transport with :class:`SeekSafeConsumer`."""

    Consumer = SeekSafeConsumer
