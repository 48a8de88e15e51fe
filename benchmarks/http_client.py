"""A keep-alive HTTP connection that costs its process little, for generating load.

A general client costs more a request than the servers that are measured. This one writes bytes
that were rendered beforehand and reads answers that announce their length, which is what both
servers send.
"""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_END: Final = b"\r\n\r\n"
_STATUS: Final = slice(9, 12)

Answered = Callable[["Connection", int, bytes, float], None]
"""Told the connection, the status, the body and the seconds that an answer took."""


class Connection(asyncio.Protocol):
    """One connection with at most one request under way.

    Parameters
    ----------
    answered : callable
        Told each answer; it may send the next request at once.
    lost : callable
        Told when the server closed the connection, with a request under way or not.
    """

    def __init__(self, answered: Answered, lost: Callable[["Connection"], None]) -> None:
        self._answered = answered
        self._lost = lost
        self._buffer = b""
        self._sent = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how makes no matter
        """Tell that it is gone."""
        self._transport = None
        self._lost(self)

    def send(self, request: bytes) -> None:
        """Send a whole request; the answer is told to ``answered``."""
        assert self._transport is not None
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Tell the answer once it is whole."""
        self._buffer = buffer = self._buffer + data if self._buffer else data
        head = buffer.find(_END)
        if head < 0:
            return
        length = _LENGTH.search(buffer, 0, head + 2)
        assert length is not None, "an answer without its length"
        start = head + len(_END)
        if len(buffer) < start + int(length[1]):
            return
        self._buffer = b""
        self._answered(self, int(buffer[_STATUS]), buffer[start:], time.perf_counter() - self._sent)

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()


async def connect(
    address: tuple[str, int],
    answered: Answered,
    lost: Callable[[Connection], None] = lambda _: None,
) -> Connection:
    """Open a connection to a host and port."""
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Connection(answered, lost), *address
    )
    return connection
