"""The gateway as a web application and as a process."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator
from typing import Final

import structlog
from aiohttp import web

from app import live, pages
from app.errors import PortInUseError
from app.gateway import (
    docs,
    health,
    middleware,
    openapi,
    schema_registry,
    stream,
    uploads,
    user_settings,
)
from app.gateway.services import SERVICES, create, run
from app.kafka.schema_ids import codec_for
from app.logs import configure
from app.metrics import new_registry
from app.settings import Settings

_log = structlog.get_logger(__name__)
_COLLECT: Final = (20_000, 20, 20)
"""After how many new objects cycles are looked for, and how many times for those that remain."""

STOP_SECONDS: Final = 5.0
"""How long requests under way may take to end when the process is asked to stop."""


def make_app(settings: Settings) -> web.Application:
    """Return the gateway's application: ingest, statuses, settings, schemas, live view and pages.

    Run it with :func:`make_runner`: bodies are inflated here, within bounds, not by the server.
    """
    registry = new_registry()
    app = web.Application(middlewares=[middleware.access, middleware.problems])
    app.on_response_prepare.append(middleware.secure)

    async def services(app: web.Application) -> AsyncIterator[None]:
        parts = create(settings, registry)
        app[SERVICES] = parts
        async for _ in run(parts):
            yield

    async def stop(app: web.Application) -> None:
        app[SERVICES].stopping = True
        for end in tuple(app[SERVICES].streams):
            end()

    app.cleanup_ctx.append(services)
    app.on_shutdown.append(stop)
    app.add_routes(
        [
            web.post("/v1/uploads", uploads.post_upload),
            web.get("/v1/uploads/{upload_id}", uploads.get_upload, allow_head=False),
            web.get("/v1/stream", stream.stream, allow_head=False),
            web.get("/v1/users/{user_id}/settings", user_settings.get_settings, allow_head=False),
            web.put("/v1/users/{user_id}/settings", user_settings.put_settings),
            web.get("/schemas/ids/{id}", schema_registry.schema_by_id, allow_head=False),
            web.get("/subjects", schema_registry.subjects, allow_head=False),
            web.get("/subjects/{subject}/versions", schema_registry.versions, allow_head=False),
            web.get(
                "/subjects/{subject}/versions/{version}", schema_registry.version, allow_head=False
            ),
            web.get("/healthz", health.healthz),
            web.get("/readyz", health.readyz),
            web.get("/metrics", health.metrics),
        ]
    )
    docs.setup(app)
    app[openapi.EXTRA].update(live.PATHS)
    live.setup(app, settings, codec=codec_for(settings))
    registry.register(app[live.REGISTRY])
    pages.setup(app, settings)

    return app


def make_runner(app: web.Application) -> web.AppRunner:
    """Return a runner with the server's settings that the gateway relies on."""
    return web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handle_signals=False,
        shutdown_timeout=STOP_SECONDS,
    )


def serve(settings: Settings) -> None:
    """Run the gateway until SIGTERM or SIGINT; what was taken is finished first.

    Raises
    ------
    PortInUseError
        If somebody else listens on the gateway's port.
    ConfigurationError
        If the key that verifies tokens cannot be loaded.
    """
    configure(settings, "gateway")
    asyncio.run(_serve(settings))


def _calm_collector() -> None:
    """Look for cycles among new objects only, and less often.

    Requests leave next to no cycles behind. What was made at start stays until the end; to walk
    through all of it again and again took a tenth of the time, in pauses of tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = make_runner(make_app(settings))
    port = settings.port + settings.port_offset
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        try:
            await web.TCPSite(runner, settings.host, port).start()
        except OSError as error:
            raise PortInUseError(f"port {port} of {settings.host}: {error.strerror}") from error
        _calm_collector()
        _log.info("the gateway listens", address=settings.gateway)
        await stop.wait()
        _log.info("the gateway stops")
    _log.info("the gateway has stopped")
