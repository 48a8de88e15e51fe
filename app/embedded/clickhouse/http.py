"""The ClickHouse HTTP interface: ``/`` runs statements, ``/ping`` and ``/replicas_status`` answer.

A request takes a slot and works in one of the server's threads. Results of formats that can be
joined go out block by block; the others are made whole, up to a limit. When a reader goes away its
query is stopped.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from aiohttp import web

from app.embedded.clickhouse import reply
from app.embedded.clickhouse.auth import Authenticator, Role
from app.embedded.clickhouse.encodings import encoder
from app.embedded.clickhouse.engine import Engine
from app.embedded.clickhouse.formats import content_type
from app.embedded.clickhouse.policy import max_query_bytes
from app.embedded.clickhouse.request import Call, query_id, understand
from app.embedded.clickhouse.slots import WORKERS, Slots
from app.embedded.clickhouse.work import Inserting, Reading, Server
from app.errors import OverloadedError, QueryError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_FIRST_BYTES = 1 << 20  # a result up to here gets a Content-Length and a complete summary
_NEXT_BYTES = 256 * 1024
_SEND_SECONDS = 30  # a client that takes nothing for so long is given up


class Interface:
    """Handles the requests of one server.

    Parameters
    ----------
    server
        The engine with its gate and its limits.
    authenticator
        Knows the accounts.
    """

    def __init__(self, server: Server, authenticator: Authenticator) -> None:
        self._server = server
        self._engine: Engine = server.engine
        self._authenticator = authenticator
        self._slots = Slots()
        self._threads = ThreadPoolExecutor(WORKERS, "clickhouse")

    def application(self) -> web.Application:
        """Return the routes."""
        application = web.Application(client_max_size=0)
        application.router.add_get("/ping", _ok)
        application.router.add_get("/replicas_status", _ok)
        application.router.add_get("/", self.handle)
        application.router.add_post("/", self.handle)
        return application

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Run the request's statement."""
        headers = {
            "X-ClickHouse-Server-Display-Name": "vitalstream",
            "X-ClickHouse-Query-Id": query_id(request),
            "X-ClickHouse-Timezone": self._engine.timezone,
        }
        framed = request.query.get("compress") == "1"
        try:
            role = self._authenticator.authenticate(request)
            call = await understand(request, max_query_bytes(role))
            if not call.sql:
                return web.Response(text="Ok.\n", headers=headers)
            async with self._slots.take(role):
                if call.insert is not None:
                    return await self._insert(call, role, headers)
                return await self._read(request, call, role, headers)
        except (QueryError, OverloadedError) as error:
            return reply.error_response(error, self._engine.version, headers, framed=framed)

    async def _insert(self, call: Call, role: Role, headers: dict[str, str]) -> web.Response:
        tag = uuid.uuid4().hex
        inserting = Inserting(self._server, call, role, tag)
        try:
            await self._work(inserting.begin)
            async for piece in call.data:
                await self._work(inserting.append, piece)
            statistics = await self._work(inserting.finish)
        finally:
            await self._work(inserting.close)
        return web.Response(headers={**headers, "X-ClickHouse-Summary": reply.summary(statistics)})

    async def _read(
        self, request: web.Request, call: Call, role: Role, headers: dict[str, str]
    ) -> web.StreamResponse:
        encoding, encode = encoder(call.accept_encoding, framed=call.switch("compress"))
        tag = uuid.uuid4().hex
        reading = Reading(self._server, call, role, tag, encode)
        headers = {
            **headers,
            "X-ClickHouse-Format": reading.format,
            "Content-Type": content_type(reading.format),
        }
        if encoding:
            headers["Content-Encoding"] = encoding
        stops = tag if role is Role.READER or call.is_select else None
        try:
            if call.switch("wait_end_of_query"):
                data, done = await self._work(reading.fetch_all, stops=stops), True
            else:
                data, done = await self._work(reading.fetch, _FIRST_BYTES, stops=stops)
            headers["X-ClickHouse-Summary"] = reply.summary(reading.statistics)
            if done:
                return web.Response(body=data, headers=headers)
            return await self._send(request, reading, data, headers, stops)
        finally:
            await self._work(reading.close)

    async def _send(
        self,
        request: web.Request,
        reading: Reading,
        data: bytes,
        headers: dict[str, str],
        stops: str | None,
    ) -> web.StreamResponse:
        """Send a result piece by piece; an error on the way becomes its last bytes."""
        mark = reply.exception_tag()
        response = web.StreamResponse(headers={**headers, "X-ClickHouse-Exception-Tag": mark})
        await response.prepare(request)
        done = False
        try:
            await _write(response, data)
            while not done:
                data, done = await self._work(reading.fetch, _NEXT_BYTES, stops=stops)
                await _write(response, data)
            await response.write_eof()
        except QueryError as error:
            block = reply.exception_block(error, self._engine.version, mark)
            await _write(response, reading.encode_error(block))
            if request.transport is not None:
                request.transport.close()  # without the end mark: the result is not whole
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        return response

    async def _work(
        self, call: Callable[..., _T], *arguments: object, stops: str | None = None
    ) -> _T:
        """Run ``call`` in a thread; it always ends before this returns.

        When the request is cancelled, the query tagged ``stops`` is killed first.
        """
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._threads, call, *arguments)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            while not future.done():
                if stops is not None:
                    await asyncio.to_thread(self._engine.kill, stops)
                await asyncio.wait([future], timeout=0.1)
            with contextlib.suppress(QueryError):
                future.result()
            raise

    async def stop(self) -> None:
        """Stop every query and wait until the threads are idle."""
        await asyncio.to_thread(self._engine.kill)
        await asyncio.to_thread(self._threads.shutdown)


async def _ok(_: web.Request) -> web.Response:
    return web.Response(text="Ok.\n")


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(_SEND_SECONDS):
        if data:
            await response.write(data)
