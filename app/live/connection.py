"""One live WebSocket connection: introduction, subscriptions, and a pump that sends."""

import asyncio
import math
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import WSMessage, WSMsgType, web

from app.errors import AuthenticationError, PermissionDeniedError, UnavailableError
from app.live import protocol
from app.live.channels import Channel
from app.live.metrics import LiveMetrics
from app.live.outbox import Outbox
from app.live.protocol import (
    Close,
    Init,
    MessageError,
    Ping,
    Subscribe,
    Unsubscribe,
    now_ms,
)
from app.live.throttle import Throttle
from app.security import Claims
from app.settings import Settings

_SILENT_PINGS: Final = 2.5
"""A client that answered nothing for so many ping intervals is gone."""

OpenChannel = Callable[[Claims, Subscribe], Channel]
Verify = Callable[[str], Claims]


class _Closing(Exception):  # noqa: N818 - the end of a conversation, not an error
    def __init__(self, code: Close, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(slots=True, eq=False)
class _Subscription:
    """One subscription; it is fed once ``ready``, and ``sent`` is the client's position.

    Its next data may be sent when the loop's clock shows ``due``.
    """

    sub_id: str
    channel: Channel
    sent: str = ""
    ready: bool = False
    due: float = 0.0


class Connection:
    """Talks to one client until either side ends it.

    Parameters
    ----------
    ws : WebSocketResponse
        The prepared WebSocket.
    outbox : Outbox
        Its sending side.
    settings : Settings
        Limits.
    metrics : LiveMetrics
        Told what is sent and closed.
    cookie : str or None
        The session cookie's token, which speaks for a client that sends none.
    verify : callable
        Returns a token's claims; raises AuthenticationError or PermissionDeniedError.
    open_channel : callable
        Makes the channel of a subscription; raises PermissionDeniedError.
    when_ready : callable
        Awaited before a channel is asked for anything: a server that has just started may need
        a moment to know where it is.
    companions : callable
        How many connections the process serves, this one included.
    """

    def __init__(
        self,
        ws: web.WebSocketResponse,
        outbox: Outbox,
        *,
        settings: Settings,
        metrics: LiveMetrics,
        cookie: str | None,
        verify: Verify,
        open_channel: OpenChannel,
        when_ready: Callable[[], Awaitable[None]],
        companions: Callable[[], int],
    ) -> None:
        self._ws, self._outbox, self._cookie = ws, outbox, cookie
        self._settings, self._metrics = settings, metrics
        self._verify, self._open_channel = verify, open_channel
        self._when_ready, self._companions = when_ready, companions
        self._subs: dict[str, _Subscription] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._throttle = Throttle(protocol.COMMANDS_PER_SECOND, protocol.COMMANDS_BURST)
        self._heard = asyncio.get_running_loop().time()
        self._token = ""
        self._claims: Claims | None = None

    def wake(self) -> None:
        """Look for news, soon."""
        self._news.set()

    async def close(self, code: Close, reason: str) -> None:
        """End the conversation with a reason."""
        await self._outbox.close(code, reason)

    async def run(self) -> None:
        """Talk until the end; never raises for what a client does."""
        pump: asyncio.Task[None] | None = None
        try:
            await self._introduce()
            pump = asyncio.create_task(self._pump())
            async for message in self._ws:
                await self._receive(message)
        except _Closing as closing:
            await self.close(closing.code, closing.reason)
        except ConnectionError:
            pass  # the client is gone
        finally:
            tasks = [*self._opening, *([pump] if pump else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._metrics.subscriptions.dec(len(self._subs))

    async def _introduce(self) -> None:
        try:
            message = await self._ws.receive(timeout=protocol.INIT_SECONDS)
        except TimeoutError:
            raise _Closing(Close.INIT_TIMEOUT, "no init within 10 s") from None
        if message.type is not WSMsgType.TEXT:
            raise _Closing(Close.AUTH, "the first message must be init")
        try:
            command = protocol.parse(message.data)
        except MessageError as error:
            raise _Closing(Close.AUTH, f"the first message must be init: {error}") from error
        if not isinstance(command, Init):
            raise _Closing(Close.AUTH, "the first message must be init")
        self._token = command.token or self._cookie or ""
        self._authorize()
        await self._outbox.send(
            "ack",
            conn=secrets.token_hex(8),
            server_ts=now_ms(),
            ping_s=self._settings.live_ping_seconds,
        )

    def _authorize(self) -> None:
        """Verify the token, at first and then again and again: it may have expired since."""
        try:
            self._claims = self._verify(self._token)
        except AuthenticationError as error:
            raise _Closing(Close.AUTH, str(error)) from error
        except PermissionDeniedError as error:
            raise _Closing(Close.FORBIDDEN, str(error)) from error

    async def _receive(self, message: WSMessage) -> None:
        self._heard = asyncio.get_running_loop().time()
        if not self._throttle.allows(self._heard):
            raise _Closing(Close.LIMIT, "too many messages a second")
        if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
            return
        try:
            command = protocol.parse(message.data)
        except MessageError as error:
            await self._outbox.send("error", id=error.sub_id, code="bad_message", msg=str(error))
            return
        if isinstance(command, Subscribe):
            await self._subscribe(command)
        elif isinstance(command, Unsubscribe):
            if self._subs.pop(command.sub_id, None) is not None:
                self._metrics.subscriptions.dec()
        elif isinstance(command, Ping):
            await self._outbox.send("pong", server_ts=now_ms())
        elif isinstance(command, Init):
            await self._outbox.send(
                "error", id=None, code="bad_message", msg="init was sent before"
            )

    async def _subscribe(self, command: Subscribe) -> None:
        if command.sub_id in self._subs:
            raise _Closing(Close.DUPLICATE, "this id is in use")
        if len(self._subs) >= self._settings.live_subscriptions_max:
            raise _Closing(Close.LIMIT, "too many subscriptions")
        assert self._claims is not None  # noqa: S101  (nobody subscribes before the introduction)
        try:
            channel = self._open_channel(self._claims, command)
        except PermissionDeniedError as error:
            await self._outbox.send("error", id=command.sub_id, code="forbidden", msg=str(error))
            return
        sub = self._subs[command.sub_id] = _Subscription(command.sub_id, channel)
        self._metrics.subscriptions.inc()
        self._start(sub, command.epoch or "", command.position or "")

    def _start(self, sub: _Subscription, epoch: str = "", position: str = "") -> None:
        """Resume at a position or send a snapshot, then feed the subscription."""
        task = asyncio.create_task(self._begin(sub, epoch, position))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _begin(self, sub: _Subscription, epoch: str, position: str) -> None:
        try:
            await self._when_ready()
            if epoch and sub.channel.resume(epoch, position):
                await self._resume(sub)
            else:
                await self._snapshot(sub)
        except ConnectionError:
            pass  # the client is gone; the reader notices too

    async def _resume(self, sub: _Subscription) -> None:
        sub.sent = sub.channel.position
        await self._outbox.send(
            "subbed", id=sub.sub_id, epoch=sub.channel.epoch, pos=sub.sent, recovered=True
        )
        sub.ready = True
        self.wake()

    async def _snapshot(self, sub: _Subscription) -> None:
        try:
            state = await sub.channel.snapshot()
        except UnavailableError as error:
            await self._outbox.send("error", id=sub.sub_id, code="unavailable", msg=str(error))
            return
        if self._subs.get(sub.sub_id) is not sub:
            return  # unsubscribed meanwhile
        sub.sent = sub.channel.position
        await self._outbox.send(
            "snap",
            id=sub.sub_id,
            epoch=sub.channel.epoch,
            pos=sub.sent,
            state=state,
            as_of=now_ms(),
        )
        sub.ready = True
        self.wake()

    async def _pump(self) -> None:
        """Send what is new: alarms at once, data soon, a ping now and then.

        News wakes every connection, whomever it is about. So a connection looks for data of its
        own at intervals that grow with the number of connections, and only what was sent makes a
        subscription wait for its next turn.
        """
        clock = asyncio.get_running_loop().time
        looked, look, next_ping = 0.0, math.inf, clock() + self._settings.live_ping_seconds
        try:
            while True:
                await self._wait(min(look, next_ping))
                if self._news.is_set():
                    look = min(look, looked + protocol.LOOK_SECONDS * max(1, self._companions()))
                self._news.clear()
                await self._send_alarms()
                if clock() >= look:
                    looked = clock()
                    look = await self._send_data(looked)
                if clock() >= next_ping:
                    await self._probe(clock())
                    next_ping = clock() + self._settings.live_ping_seconds
        except _Closing as closing:
            await self.close(closing.code, closing.reason)
        except ConnectionError:
            pass  # the client is gone; the reader notices too

    async def _wait(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._news.wait()
        except TimeoutError:
            return

    async def _send_alarms(self) -> None:
        for sub in self._ready():
            if sub.channel.lost:
                sub.ready = False
                self._metrics.resets.inc()
                await self._outbox.send("reset", id=sub.sub_id, reason="behind")
                self._start(sub)
                continue
            for alarm, position in sub.channel.alarms():
                before, sub.sent = sub.sent, position
                await self._outbox.send(
                    "alarm",
                    id=sub.sub_id,
                    prev=before,
                    pos=position,
                    alarm=alarm,
                    rev=alarm["revision"],
                )

    async def _send_data(self, now: float) -> float:
        """Send the data of subscriptions whose turn it is; return when to look at the others."""
        again = math.inf
        for sub in self._ready():
            if sub.due > now:
                again = min(again, sub.due)
            elif not sub.channel.lost and (rows := sub.channel.data()) is not None:
                sub.due = now + protocol.DATA_SECONDS
                await self._send_rows(sub, rows)
        return again

    async def _send_rows(self, sub: _Subscription, rows: Any) -> None:  # noqa: ANN401 - JSON
        before, sub.sent = sub.sent, sub.channel.position
        await self._outbox.send("data", id=sub.sub_id, prev=before, pos=sub.sent, rows=rows)

    async def _probe(self, now: float) -> None:
        """Check that token and client still live, and tell places that moved without news."""
        if now - self._heard > _SILENT_PINGS * self._settings.live_ping_seconds:
            raise _Closing(Close.GOING_AWAY, "nothing heard for too long")
        self._authorize()
        await self._outbox.send("ping", server_ts=now_ms())
        for sub in self._ready():
            if not sub.channel.lost and sub.sent != sub.channel.position:
                await self._send_rows(sub, {})

    def _ready(self) -> list[_Subscription]:
        return [sub for sub in self._subs.values() if sub.ready]
