"""A door before a server: open, closed (connections are refused) or stuck (nothing moves)."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from app.embedded.ports import free_port


class Door:
    """Forwards TCP connections to a server, in a thread of its own.

    Parameters
    ----------
    url : str
        The server behind it.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._moving = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self.url = f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Let everything through, what was stuck too."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(5)

    def close(self) -> None:
        """Cut every connection and refuse new ones."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)

    def stick(self) -> None:
        """Let no byte through, and say nothing, as a server that was stopped."""
        self._loop.call_soon_threadsafe(self._moving.clear)

    @contextlib.contextmanager
    def running(self) -> Iterator["Door"]:
        """Open it, and take it away at the end."""
        self._thread.start()
        self.open()
        try:
            yield self
        finally:
            self.close()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
            self._loop.close()

    async def _open(self) -> None:
        self._moving.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._enter, "127.0.0.1", self._port)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        try:
            there = await asyncio.open_connection(self._target.hostname, self._target.port)
            try:
                await asyncio.gather(self._pass(reader, there[1]), self._pass(there[0], writer))
            finally:
                there[1].close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._passing.discard(task)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._moving.wait()
            writer.write(data)
            await writer.drain()
        writer.close()
