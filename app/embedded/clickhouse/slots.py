"""How many requests run, and how many may wait."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from app.embedded.clickhouse.auth import Role
from app.errors import OverloadedError

WORKERS = 4
_READERS = WORKERS - 1  # readers never keep the sink waiting
_WAITING = 64
_PATIENCE_SECONDS = 10.0


class Slots:
    """Admits requests, in order of arrival."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(WORKERS)
        self._readers = asyncio.Semaphore(_READERS)
        self._waiting = 0

    @contextlib.asynccontextmanager
    async def take(self, role: Role) -> AsyncIterator[None]:
        """Hold a slot.

        Raises
        ------
        OverloadedError
            When too many wait already, or none becomes free in time.
        """
        if self._waiting >= _WAITING:
            raise OverloadedError(f"{_WAITING} requests are waiting already")
        async with contextlib.AsyncExitStack() as stack:
            self._waiting += 1
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    if role is Role.READER:
                        await stack.enter_async_context(self._readers)
                    await stack.enter_async_context(self._all)
            except TimeoutError:
                message = f"no slot became free in {_PATIENCE_SECONDS:g} seconds"
                raise OverloadedError(message) from None
            finally:
                self._waiting -= 1
            yield
