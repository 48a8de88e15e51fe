"""TCP links between processes that can be cut, refused and stalled."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, Literal, TypeVar

T = TypeVar("T")
State = Literal["open", "refuse", "stall"]
_CHUNK: Final = 64 << 10
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: closing sends RST
_TRAP_BYTES: Final = 1_000


class Link:
    """One listening port that leads to one address.

    Made by :meth:`Switchboard.link`. Methods may be called from any thread.

    Attributes
    ----------
    port : int
        Where it listens on the loopback address.
    cut : int
        Connections that it has cut so far.
    """

    def __init__(self, board: "Switchboard", host: str, port: int) -> None:
        self._board = board
        self._target = host, port
        self._state: State = "open"
        self._flows = asyncio.Event()
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._trap: Callable[[], None] | None = None
        self.port = 0
        self.cut = 0

    async def listen(self, port: int) -> None:
        """Begin to listen; 0: on any free port. Runs in the board's loop."""
        self._flows.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    def set_state(self, state: State) -> None:
        """Open the link, refuse connections, or let no byte pass.

        ``refuse`` also resets the connections that there are; ``stall`` keeps them, and takes new
        ones, but delivers nothing until the link is opened again.
        """
        self._board.run(self._switch(state))

    def reset(self) -> None:
        """Reset every connection; new ones are possible at once."""
        self._board.run(self._reset())

    def trap(self, sprung: Callable[[], None]) -> None:
        """Call ``sprung`` once, when half of a larger piece towards the target has been passed on.

        It is called in the board's thread and must be quick.
        """
        self._trap = sprung

    def disarm(self) -> None:
        """Forget a trap that was not sprung."""
        self._trap = None

    async def close(self) -> None:
        """Close everything. Runs in the board's loop."""
        if self._server is not None:
            self._server.close()
        await self._reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _switch(self, state: State) -> None:
        self._state = state
        if state == "stall":
            self._flows.clear()
        else:
            self._flows.set()
        if state == "refuse":
            await self._reset()

    async def _reset(self) -> None:
        pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            self.cut += 1
            for writer in pair:
                _abort(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (a coroutine runs in a task)
        self._tasks.add(task)
        try:
            await self._join(reader, writer)
        finally:
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._state == "refuse":
            _abort(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target, limit=_CHUNK)
        except OSError:
            _abort(writer)
            return
        pair = writer, far_writer
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._pump(reader, far_writer, outward=True),
                self._pump(far_reader, writer, outward=False),
            )
        except OSError:
            pass
        finally:
            self._pairs.discard(pair)
            for one in pair:
                _abort(one)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, outward: bool
    ) -> None:
        while data := await reader.read(_CHUNK):
            if not self._flows.is_set():
                await self._flows.wait()
            if outward and self._trap is not None and len(data) > _TRAP_BYTES:
                sprung, self._trap = self._trap, None
                half = len(data) // 2
                writer.write(data[:half])
                await writer.drain()
                sprung()
                data = data[half:]
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()


class Switchboard:
    """Links, served by an event loop in a thread of its own: load must not slow them down."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._links: list[Link] = []
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the board's loop and return its result."""
        done: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(10)

    def link(self, port: int, host: str = "127.0.0.1", *, listen: int = 0) -> Link:
        """Return a new link to ``host:port``; it listens on ``listen``, by default any free port.

        Raises
        ------
        OSError
            When it cannot listen there.
        """
        link = Link(self, host, port)
        self.run(link.listen(listen))
        self._links.append(link)
        return link

    def close(self) -> None:
        """Close every link and end the thread."""
        for link in self._links:
            self.run(link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    transport = writer.transport
    raw = transport.get_extra_info("socket")
    if raw is not None and not transport.is_closing():
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
