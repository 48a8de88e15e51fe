"""Devices at work: each follows its script and keeps what is not acknowledged."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Final

import aiohttp

from app.chaos.journal import Journal, Sending
from app.chaos.load import BARRIERS, Script
from app.chaos.people import Device
from app.chaos.transports import (
    ATTEMPT_SECONDS,
    HttpTransport,
    StreamTransport,
    Transport,
    UploadRefusedError,
)

_AT_ONCE: Final = 6
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_SETTLE_SECONDS: Final = 0.01  # a correction must be received in a later millisecond


class Courier:
    """Sends the uploads of one device, each until it is acknowledged.

    Parameters
    ----------
    transport : Transport
        How.
    journal : Journal
        Told of every attempt and every acknowledgement.
    """

    def __init__(self, transport: Transport, journal: Journal) -> None:
        self._transport, self._journal = transport, journal

    async def deliver(self, upload: Sending) -> bool:
        """Send an upload until it is acknowledged; return whether it was.

        Only an upload that the gateway refuses, or one of a dying device whose first attempt
        fails, ends without.
        """
        longest = _FIRST_PAUSE
        while True:
            self._journal.sending(upload)
            try:
                answer = await self._transport.attempt(upload)
            except UploadRefusedError as error:
                self._journal.refused(upload, str(error))
                return False
            if answer is not None:
                self._journal.acknowledged(upload, answer)
                return True
            if upload.action == "dying":
                return False
            await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311  (spreads load)
            longest = min(longest * 2, _LONGEST_PAUSE)


class Actor:
    """One device: its script, at a pace, several uploads under way at once.

    Parameters
    ----------
    script : Script
        What it sends.
    courier : Courier
        How it sends.
    pause : callable
        Returns the seconds until its next upload.
    """

    def __init__(self, script: Script, courier: Courier, pause: Callable[[], float]) -> None:
        self.script = script
        self._courier, self._pause = courier, pause
        self._under_way: set[asyncio.Task[bool]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until told to stop; then until everything that was begun is acknowledged."""
        while not stopping.is_set():
            action = self.script.draw()
            if action in BARRIERS:
                await self._settled()
            upload = self.script.make(action)
            if upload is not None:
                await self._send(upload)
                if action in BARRIERS:
                    await self._settled()
            await asyncio.sleep(self._pause())
        for upload in self.script.leftover():
            await self._send(upload)
        await self._settled()

    async def _send(self, upload: Sending) -> None:
        while len(self._under_way) >= _AT_ONCE:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(self._courier.deliver(upload))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _settled(self) -> None:
        while self._under_way:
            await asyncio.gather(*self._under_way)
        await asyncio.sleep(_SETTLE_SECONDS)


class Fleet:
    """All devices of a run.

    Parameters
    ----------
    gateway : str
        Base URL, of a link that faults may cut.
    token : callable
        Returns the bearer token of a device.
    journal : Journal
        The record of the run.
    """

    def __init__(self, gateway: str, token: Callable[[Device], str], journal: Journal) -> None:
        self._gateway, self._token, self._journal = gateway, token, journal
        self._session: aiohttp.ClientSession | None = None
        self._transports: list[Transport] = []
        self.actors: list[Actor] = []
        self.failures: Counter[str] = Counter()
        """Attempts without an acknowledgement, by what happened."""

    async def open(self) -> None:
        """Make ready to send."""
        timeout = aiohttp.ClientTimeout(total=ATTEMPT_SECONDS, sock_connect=3)
        self._session = aiohttp.ClientSession(
            timeout=timeout, connector=aiohttp.TCPConnector(limit=0)
        )

    def courier(self, device: Device) -> Courier:
        """Return what sends for a device."""
        assert self._session is not None, "opened before it is used"  # noqa: S101
        kind = StreamTransport if device.transport == "stream" else HttpTransport
        transport = kind(self._session, self._gateway, self._token(device), self._fail)
        self._transports.append(transport)
        return Courier(transport, self._journal)

    def enlist(self, seed: int, device: Device, *, span_ms: tuple[int, int], every: float) -> None:
        """Add a device that sends about every ``every`` seconds samples of a span of time."""
        start_ms, end_ms = span_ms
        chance = random.Random(f"{seed}/pace/{device.name}")  # noqa: S311
        script = Script(seed, device, start_ms=start_ms, end_ms=end_ms)
        # Half a pause is fixed, half is random: bursts, but no flood.
        self.actors.append(
            Actor(
                script,
                self.courier(device),
                lambda: every / 2 + chance.expovariate(2 / every),
            )
        )

    async def close(self) -> None:
        """Let go of every connection."""
        for transport in self._transports:
            await transport.close()
        if self._session is not None:
            await self._session.close()

    def _fail(self, why: str) -> None:
        self.failures[why] += 1
