"""One attempt to send an upload, over HTTP or over the WebSocket."""

import asyncio
import contextlib
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, Protocol

import aiohttp
import orjson

from app.chaos.journal import Sending

ATTEMPT_SECONDS: Final = 8.0
"""How long a device waits for an answer before it tries again."""
_AGAIN: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class UploadRefusedError(Exception):
    """The gateway answered that it will never take this upload."""


class Transport(Protocol):
    """A way to the gateway."""

    async def attempt(self, upload: Sending) -> dict[str, Any] | None:
        """Send once; return the acknowledgement, or None: send it again.

        Raises
        ------
        UploadRefusedError
            If sending it again is of no use.
        """

    async def close(self) -> None:
        """Let go of connections."""


class HttpTransport:
    """``POST /v1/uploads``.

    Parameters
    ----------
    session
        Shared by devices.
    gateway
        Base URL.
    token
        Bearer token of the device.
    failed
        Told why an attempt brought no acknowledgement.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        gateway: str,
        token: str,
        failed: Callable[[str], None],
    ) -> None:
        self._session, self._url = session, f"{gateway}/v1/uploads"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._failed = failed

    async def attempt(self, upload: Sending) -> dict[str, Any] | None:
        """See :class:`Transport`."""
        body = orjson.dumps(upload.body())
        try:
            async with self._session.post(self._url, data=body, headers=self._headers) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._failed(type(error).__name__)
            return None
        if answer.status == HTTPStatus.ACCEPTED:
            accepted: dict[str, Any] = orjson.loads(content)
            return accepted
        self._failed(f"HTTP {answer.status}")
        if answer.status in _AGAIN:
            return None
        raise UploadRefusedError(f"HTTP {answer.status} {content[:300].decode(errors='replace')}")

    async def close(self) -> None:
        """See :class:`Transport`; the session is not this object's."""


class StreamTransport:
    """``GET /v1/stream``: one connection, opened again when it breaks.

    What was not acknowledged when it broke is to be sent again.

    Parameters
    ----------
    session, gateway, token, failed
        As for :class:`HttpTransport`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        gateway: str,
        token: str,
        failed: Callable[[str], None],
    ) -> None:
        self._session = session
        self._url = f"{gateway}/v1/stream"
        self._token, self._failed = token, failed
        self._opening = asyncio.Lock()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[str, list[asyncio.Future[dict[str, Any] | None]]] = {}

    async def attempt(self, upload: Sending) -> dict[str, Any] | None:
        """See :class:`Transport`."""
        answer: asyncio.Future[dict[str, Any] | None] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                socket = await self._open()
                self._waiting.setdefault(upload.upload_id, []).append(answer)
                await socket.send_str(orjson.dumps(upload.body()).decode())
                return _acknowledged(await answer, self._failed)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._failed(type(error).__name__)
            await self._drop()  # an answer that did not come in time is not waited for
            return None
        finally:
            self._forget(upload.upload_id, answer)

    async def close(self) -> None:
        """See :class:`Transport`."""
        await self._drop()

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        async with self._opening:
            if self._socket is None or self._socket.closed:
                await self._drop()
                socket = await self._session.ws_connect(self._url, autoping=True)
                await socket.send_json({"type": "auth", "token": self._token})
                self._socket = socket
                self._reader = asyncio.create_task(self._read(socket))
            return self._socket

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take(orjson.loads(message.data))
        except (aiohttp.ClientError, OSError) as error:
            self._failed(type(error).__name__)
        finally:
            self._give_up()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] not in ("ack", "error"):
            return
        for answer in self._waiting.pop(message["upload_id"] or "", []):
            if not answer.done():
                answer.set_result(message)

    def _give_up(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for answer in (one for answers in waiting.values() for one in answers):
            if not answer.done():
                answer.set_result(None)

    def _forget(self, upload_id: str, answer: "asyncio.Future[dict[str, Any] | None]") -> None:
        others = [one for one in self._waiting.get(upload_id, []) if one is not answer]
        if others:
            self._waiting[upload_id] = others
        else:
            self._waiting.pop(upload_id, None)

    async def _drop(self) -> None:
        socket, self._socket = self._socket, None
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.wait([reader])
        if socket is not None:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with asyncio.timeout(1):
                    await socket.close()


def _acknowledged(
    message: dict[str, Any] | None, failed: Callable[[str], None]
) -> dict[str, Any] | None:
    if message is None:
        failed("connection closed")
        return None
    if message["type"] == "ack":
        return message
    failed(f"stream error {message['status']}")
    if message["status"] in _AGAIN:
        return None
    raise UploadRefusedError(f"{message['status']} {str(message['problem'])[:300]}")
