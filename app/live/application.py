"""Puts the live parts together and into the gateway's application."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry

from app.live.access import SETTINGS, VERIFIER
from app.live.api import Api
from app.live.feed import Feed
from app.live.history import History
from app.live.hub import Hub
from app.live.metrics import LiveMetrics
from app.live.seed import seed
from app.live.system import System
from app.live.websocket import LiveEndpoint
from app.security import TokenVerifier
from app.settings import Settings
from schemas.codec import Codec

REGISTRY: Final = web.AppKey("live_registry", CollectorRegistry)
"""Metrics of the live parts, to be registered with those of the process."""


def setup(
    app: web.Application,
    settings: Settings,
    *,
    codec: Codec | None = None,
) -> None:
    """Add ``/v1/live``, ``/v1/system`` and ``/v1/people`` to an application.

    The feed starts with the application and stops with it; servers that are away are waited for.
    Metrics are in ``app[REGISTRY]``. Errors are left to the application's middleware.

    Parameters
    ----------
    app : aiohttp.web.Application
        The gateway's.
    settings : Settings
        The deployment.
    codec : Codec, optional
        For records; one with the project's own schema ids by default.
    """
    verifier = TokenVerifier(settings)
    registry = CollectorRegistry()
    hub = Hub(settings, LiveMetrics(registry))
    feed = Feed(settings, codec or Codec(), hub.metrics, hub.publish)
    history = History(settings)
    system = System(settings, hub, feed)
    endpoint = LiveEndpoint(settings, verifier, hub, history, system)
    api = Api(hub, history, system)
    app[SETTINGS], app[VERIFIER], app[REGISTRY] = settings, verifier, registry

    async def run(_: web.Application) -> AsyncIterator[None]:
        feed.start()
        tasks = [asyncio.create_task(system.run()), asyncio.create_task(seed(hub, history))]
        yield
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await feed.stop()
        await history.close()

    async def say_goodbye(_: web.Application) -> None:
        await endpoint.close()

    app.cleanup_ctx.append(run)
    app.on_shutdown.append(say_goodbye)
    app.router.add_get("/v1/live", endpoint.handle, allow_head=False)
    app.router.add_get("/v1/system", api.system)
    app.router.add_get("/v1/people", api.people)
    app.router.add_get("/v1/people/{user_id}/series", api.series)
