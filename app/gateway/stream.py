"""``GET /v1/stream``: uploads as WebSocket messages, each acknowledged after the broker did.

Text messages are JSON, binary ones Avro uploads in the wire format::

    client  {"type": "auth", "token": …}     first, within 10 s, unless an Authorization header
                                             came with the request; again before the token expires
    server  {"type": "hello", "max_in_flight": N}
    client  an upload, as for POST /v1/uploads
    server  {"type": "ack", "upload_id": …, …}     the body of the 202
    server  {"type": "error", "upload_id": …, "status": …, "problem": {…}}

Acknowledgements come in any order. With N uploads unacknowledged the server reads no further. A
client keeps what is not acknowledged and sends it again on its next connection: upload ids make
that harmless. Errors with status 429 or 503 are to be sent again, others would fail again.

Close codes: 4401 authentication, 4408 no authentication in time, 1001 the server stops, 1009 a
message is too large.
"""

import asyncio
import contextlib
import time
from typing import Any, Final

import orjson
import structlog
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from app.errors import VitalstreamError
from app.gateway.access import claims_of, verified
from app.gateway.documents import (
    UploadDocument,
    parse_json,
    upload_of_avro,
    upload_of_json,
    uuid_of,
)
from app.gateway.problems import Problem, internal, problem_of, unavailable
from app.gateway.services import SERVICES, Services
from app.gateway.uploads import outcome_of
from app.logs import where
from app.security import Claims

_log = structlog.get_logger(__name__)
AUTH_SECONDS: Final = 10.0
HEARTBEAT_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 2.0
CLOSE_UNAUTHENTICATED: Final = 4401
CLOSE_AUTH_TIMEOUT: Final = 4408
_DATA: Final = (WSMsgType.TEXT, WSMsgType.BINARY)


async def stream(request: web.Request) -> web.WebSocketResponse:
    """Serve one connection until it ends."""
    services = request.app[SERVICES]
    if services.stopping:
        raise unavailable("The gateway is stopping; another one will answer.")
    token = None
    if "Authorization" in request.headers:
        claims_of(request, services.verifier)
        token = request.headers["Authorization"].partition(" ")[2].strip()
    socket = web.WebSocketResponse(
        heartbeat=HEARTBEAT_SECONDS,
        max_msg_size=services.settings.max_body_bytes,
        timeout=CLOSE_SECONDS,
    )
    if not socket.can_prepare(request):
        raise Problem("malformed", "This address speaks WebSocket only.")
    await socket.prepare(request)
    connection = _Connection(socket, services, token)
    services.streams.add(connection.stop)
    services.metrics.stream_connections.set(len(services.streams))
    try:
        await connection.serve()
    finally:
        services.streams.discard(connection.stop)
        services.metrics.stream_connections.set(len(services.streams))
    return socket


class _Connection:
    """One client: its token, its window, and the uploads under way."""

    def __init__(
        self, socket: web.WebSocketResponse, services: Services, token: str | None
    ) -> None:
        self._socket = socket
        self._services = services
        self._token = token
        self._window = asyncio.Semaphore(services.settings.stream_window)
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._stopping = False

    async def serve(self) -> None:
        """Read uploads until the connection closes or is stopped, and wait for those under way."""
        self._reading = asyncio.create_task(self._read())
        try:
            await self._reading
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            if self._tasks:
                await asyncio.wait(self._tasks)
        if self._stopping:
            await self._socket.close(code=WSCloseCode.GOING_AWAY, message=b"the gateway stops")

    def stop(self) -> None:
        """Read no more; the connection closes when everything under way was answered."""
        self._stopping = True
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        if self._token is None and not await self._first_message():
            return
        window = self._services.settings.stream_window
        await self._tell({"type": "hello", "max_in_flight": window})
        more = True
        while more:
            await self._window.acquire()
            message = await self._socket.receive()
            more = message.type in _DATA and await self._take(message)

    async def _first_message(self) -> bool:
        """Wait for the token; False when the connection was closed for want of it."""
        try:
            message = await self._socket.receive(timeout=AUTH_SECONDS)
        except TimeoutError:
            await self._socket.close(code=CLOSE_AUTH_TIMEOUT, message=b"no token in time")
            return False
        document: Any = None
        if message.type is WSMsgType.TEXT:
            with contextlib.suppress(Problem):
                document = parse_json(message.data)
        if message.type is WSMsgType.TEXT and _is_auth(document):
            return await self._authenticate(document)
        await self._socket.close(code=CLOSE_UNAUTHENTICATED, message=b"the token comes first")
        return False

    async def _authenticate(self, document: dict[str, Any]) -> bool:
        token = document.get("token")
        try:
            verified(token if isinstance(token, str) else "", self._services.verifier)
        except Problem as problem:
            await self._refuse(None, problem)
            await self._socket.close(code=CLOSE_UNAUTHENTICATED, message=b"the token does not hold")
            return False
        self._token = token
        return True

    async def _take(self, message: WSMessage) -> bool:
        """Begin with a message, which holds a place in the window; False: no more are read."""
        services, size = self._services, len(message.data)
        document: Any = None
        try:
            if message.type is WSMsgType.TEXT:
                document = parse_json(message.data)
                if _is_auth(document):
                    self._window.release()
                    return await self._authenticate(document)
            # Verified for every upload: the token may expire while the connection is open.
            claims = verified(self._token or "", services.verifier)
            if message.type is WSMsgType.TEXT:
                upload = upload_of_json(document, services.settings)
            else:
                upload = upload_of_avro(message.data, services.codec, services.settings)
            services.bodies.take(size)
        except VitalstreamError as error:
            self._window.release()
            problem = problem_of(error)
            await self._refuse(_upload_id(document), problem)
            if problem.kind != "unauthenticated":
                return True
            await self._socket.close(code=CLOSE_UNAUTHENTICATED, message=b"the token has expired")
            return False
        task = asyncio.create_task(self._upload(upload, claims, size))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _upload(self, upload: UploadDocument, claims: Claims, size: int) -> None:
        services = self._services
        try:
            await self._admit(claims)
            answer = await services.intake.take(upload, claims)
            services.metrics.answered("stream", outcome_of(answer))
            await self._tell({"type": "ack"} | answer)
        except VitalstreamError as error:
            await self._refuse(upload.upload_id, problem_of(error))
        except Exception as error:  # noqa: BLE001 - a defect; the client must be told
            _log.error("an upload failed", **where(error))
            await self._refuse(upload.upload_id, internal())
        finally:
            services.bodies.release(size)
            self._window.release()

    async def _admit(self, claims: Claims) -> None:
        """Wait for the subject's turn; the place in the window stays taken meanwhile."""
        take = self._services.limiter.take
        while (wait := take(claims.subject, time.monotonic())) > 0:  # noqa: ASYNC110 - a rate
            await asyncio.sleep(wait)

    async def _refuse(self, upload_id: str | None, problem: Problem) -> None:
        self._services.metrics.answered("stream", problem.kind)
        await self._tell(
            {
                "type": "error",
                "upload_id": upload_id,
                "status": problem.status,
                "problem": problem.document,
            }
        )

    async def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionError):  # it will be sent again on the next one
            await self._socket.send_str(orjson.dumps(message).decode())


def _is_auth(document: object) -> bool:
    return isinstance(document, dict) and document.get("type") == "auth"


def _upload_id(document: object) -> str | None:
    found = uuid_of(document.get("upload_id")) if isinstance(document, dict) else None
    return str(found) if found else None
