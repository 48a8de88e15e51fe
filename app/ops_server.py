"""What operators and supervisors ask a process that serves nothing else: metrics and health."""

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry

from app.errors import PortInUseError
from app.metrics import exposition

Ready = Callable[[], tuple[bool, dict[str, Any]]]


class OpsServer:
    """Serves ``/metrics``, ``/healthz`` and ``/readyz`` from the process's own event loop.

    ``/healthz`` answers as long as the loop turns. ``/readyz`` answers 200 or 503 with what
    ``ready`` says.

    Parameters
    ----------
    port : int
        Where to listen; 0 for not at all.
    registry : CollectorRegistry
        The metrics.
    ready : callable
        Returns whether the process does its work, and its checks as JSON values.
    host : str, optional
        Address to listen on.
    """

    def __init__(
        self, port: int, registry: CollectorRegistry, ready: Ready, *, host: str = "127.0.0.1"
    ) -> None:
        self._port = port
        self._host = host
        self._registry = registry
        self._ready = ready
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        PortInUseError
            If another program does so there.
        """
        if self._port == 0:
            return
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self.stop()
            raise PortInUseError(f"{self._host}:{self._port}: {error.strerror}") from error

    async def stop(self) -> None:
        """Stop listening; harmless when it never did."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        body, content_type = exposition(self._registry)
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        ready, checks = self._ready()
        body = orjson.dumps({"status": "ready" if ready else "not ready", "checks": checks})
        return web.Response(
            body=body, status=200 if ready else 503, content_type="application/json"
        )
