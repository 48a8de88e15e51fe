"""``/healthz``, ``/readyz`` and ``/metrics``."""

from aiohttp import web

from app.gateway.services import SERVICES
from app.gateway.uploads import json_response
from app.metrics import exposition


async def healthz(_: web.Request) -> web.Response:
    """Say that the process is alive."""
    return json_response({"status": "alive"})


async def readyz(request: web.Request) -> web.Response:
    """Say whether uploads can be taken now: 200 or 503, with each check."""
    services = request.app[SERVICES]
    checks = {
        "kafka": services.broker.up,
        "topics": services.broker.up and not services.broker.missing,
        "user_settings": services.people_tail.following,
        "statuses": services.status_tail.following,
        "running": not services.stopping,
    }
    ready = all(checks.values())
    body = {
        "status": "ready" if ready else "not ready",
        "checks": checks,
        "missing_topics": list(services.broker.missing),
    }
    return json_response(body, 200 if ready else 503)


async def metrics(request: web.Request) -> web.Response:
    """Return the metrics in Prometheus' text format."""
    body, content_type = exposition(request.app[SERVICES].registry)
    return web.Response(body=body, headers={"Content-Type": content_type})
