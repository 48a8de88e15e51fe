"""The sending side of a live connection."""

import asyncio
import logging
from typing import Any

from aiohttp import WSMsgType, web

from app.live.metrics import LiveMetrics
from app.live.protocol import Close, encode

_log = logging.getLogger(__name__)


class Outbox:
    """Sends one message after the other; nothing waits here but the message being sent.

    Parameters
    ----------
    ws : WebSocketResponse
        The prepared WebSocket.
    transport : asyncio.Transport
        What carries it: aborted under a client that takes nothing.
    seconds : float
        How long a client may take to accept a message.
    metrics : LiveMetrics
        Told what is sent and closed.
    """

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        seconds: float,
        metrics: LiveMetrics,
    ) -> None:
        self._ws, self._transport = ws, transport
        self._seconds, self._metrics = seconds, metrics
        self._sending = asyncio.Lock()

    async def send(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Send a message, in the order of the calls.

        What a success does not mean: that the client has it.

        Raises
        ------
        ConnectionError
            If the client is gone, or was cut off because it took nothing for too long.
        """
        message = encode(kind, **fields)
        self._metrics.messages.labels(kind).inc()
        try:
            async with asyncio.timeout(self._seconds), self._sending:
                await self._ws.send_frame(message, WSMsgType.TEXT)
        except TimeoutError:
            self._metrics.closed.labels(str(int(Close.ABNORMAL))).inc()
            _log.info("live connection cut off: the client takes nothing")
            self._transport.abort()
            raise ConnectionResetError("the client takes nothing") from None

    async def close(self, code: Close, reason: str) -> None:
        """End the conversation with a reason."""
        self._metrics.closed.labels(str(int(code))).inc()
        await self._ws.close(code=code, message=reason.encode()[:120])
