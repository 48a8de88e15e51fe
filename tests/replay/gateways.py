"""A small HTTP server that keeps the gateway's contract for uploads, and can be told to fail."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from app.security import TokenVerifier
from app.settings import Settings

Fault = tuple[int, dict[str, str]]
"""Status and headers of a refusal."""
LOST: Fault = (0, {})
"""The upload is taken in, but the connection breaks before the answer."""
Identity = tuple[str, str, str, int]
"""User, metric, device, instant."""


@dataclass(slots=True)
class FakeGateway:
    """What a gateway has seen and taken in.

    ``fault`` is asked with the number of the request, from 1, how it fails; None: it does not.
    """

    settings: Settings
    fault: Callable[[int], Fault | None] = lambda _number: None
    requests: list[tuple[str, float]] = field(default_factory=list)
    """Upload id and monotonic seconds of each request."""
    uploads: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By upload id, in the order in which they were first taken in."""
    taken_ms: dict[str, int] = field(default_factory=dict)
    """When each was taken in."""

    @property
    def url(self) -> str:
        return self.settings.gateway

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        application = web.Application(client_max_size=8 << 20)
        application.router.add_post("/v1/uploads", self._post)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, self.settings.host, self.settings.port).start()
        try:
            yield
        finally:
            await runner.cleanup()

    def samples(self) -> list[tuple[Identity, float]]:
        """Every sample of every distinct upload, in the order in which they came."""
        return [
            ((upload["user_id"], series["metric"], upload["device_id"], time_ms), value)
            for upload in self.uploads.values()
            for series in upload["series"]
            for time_ms, value in zip(series["times"], series["values"], strict=True)
        ]

    async def _post(self, request: web.Request) -> web.Response:
        upload = orjson.loads(await request.read())
        upload_id = upload["upload_id"]
        self.requests.append((upload_id, time.monotonic()))
        token = request.headers["Authorization"].removeprefix("Bearer ")
        claims = TokenVerifier(self.settings).verify(token)
        claims.require_user(upload["user_id"])
        fault = self.fault(len(self.requests))
        if fault is not None and fault is not LOST:
            status, headers = fault
            problem = orjson.dumps({"title": "Refused", "detail": "as told", "status": status})
            return web.Response(status=status, headers=headers, body=problem)
        assert self.uploads.setdefault(upload_id, upload) == upload
        self.taken_ms.setdefault(upload_id, time.time_ns() // 1_000_000)
        if fault is LOST:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(_answer(upload), status=202)


def _answer(upload: dict[str, Any]) -> dict[str, Any]:
    """Reject heart rates of 0, as the gateway does."""
    rejected = [
        {"series": number, "index": index, "reason": "out_of_range", "detail": "heart_rate"}
        for number, series in enumerate(upload["series"])
        for index, value in enumerate(series["values"])
        if series["metric"] == "heart_rate" and value == 0
    ]
    count = sum(len(series["values"]) for series in upload["series"])
    return {
        "upload_id": upload["upload_id"],
        "status": "accepted",
        "accepted": count - len(rejected),
        "repeated": 0,
        "rejected": rejected,
    }
