"""``GET /v1/live``: opens live connections and the channels that they ask for."""

import asyncio
from typing import Final

from aiohttp import web

from app.errors import OverloadedError
from app.live import access
from app.live.access import COOKIE, check_origin, covered
from app.live.channels import (
    AlertsChannel,
    Channel,
    OverviewChannel,
    PersonChannel,
    PipelineChannel,
)
from app.live.connection import Connection
from app.live.hub import Hub
from app.live.outbox import Outbox
from app.live.protocol import MESSAGE_MAX_BYTES, SUBPROTOCOL, Close, Subscribe
from app.live.store import Store
from app.live.system import System
from app.security import Claims, TokenVerifier
from app.settings import Settings

_READY_SECONDS: Final = 3.0
_WRITE_AHEAD_BYTES: Final = 64 << 10
"""What may wait in a connection's buffer before its pump does."""


class LiveEndpoint:
    """Holds what live connections share.

    Parameters
    ----------
    settings, verifier, hub, store, system
        What the channels show, and who may see it.
    """

    def __init__(
        self,
        settings: Settings,
        verifier: TokenVerifier,
        hub: Hub,
        store: Store,
        system: System,
    ) -> None:
        self._settings, self._verifier = settings, verifier
        self._hub, self._store, self._system = hub, store, system
        self._open: set[Connection] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection.

        Raises
        ------
        PermissionDeniedError
            If a page of another origin connects.
        OverloadedError
            When there are as many connections as are allowed.
        """
        check_origin(request)
        if len(self._open) >= self._settings.live_connections_max:
            raise OverloadedError("there are as many live connections as this gateway serves")
        ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            max_msg_size=MESSAGE_MAX_BYTES,
            writer_limit=_WRITE_AHEAD_BYTES,
            timeout=self._settings.live_slow_seconds,
        )
        await ws.prepare(request)
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            return ws  # the client has gone already
        connection = Connection(
            ws,
            Outbox(ws, transport, self._settings.live_slow_seconds, self._hub.metrics),
            settings=self._settings,
            metrics=self._hub.metrics,
            cookie=request.cookies.get(COOKIE),
            verify=lambda token: access.reader(self._verifier, token),
            open_channel=self._channel,
            when_ready=lambda: self._hub.ready(_READY_SECONDS),
            companions=lambda: len(self._open),
        )
        self._open.add(connection)
        self._hub.attach(connection)
        try:
            await connection.run()
        finally:
            self._hub.detach(connection)
            self._open.discard(connection)
        return ws

    async def close(self) -> None:
        """End all connections; clients are told to come again."""
        await asyncio.gather(
            *(c.close(Close.GOING_AWAY, "the gateway stops") for c in list(self._open)),
            return_exceptions=True,
        )

    def _channel(self, claims: Claims, command: Subscribe) -> Channel:
        if command.person is not None:
            claims.require_user(command.person)
            points = self._settings.live_points_max
            return PersonChannel(self._hub, self._store, command.person, points)
        users = covered(claims)
        if command.channel == "alerts":
            return AlertsChannel(self._hub, users)
        if command.channel == "pipeline":
            return PipelineChannel(self._hub, self._system, users)
        return OverviewChannel(self._hub, users)
