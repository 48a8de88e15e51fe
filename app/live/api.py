"""What pages and the command line ask for as JSON: figures, people, history."""

from typing import Any, Final

import orjson
from aiohttp import web

from app.errors import ValidationError
from app.live.access import claims_of, covered
from app.live.channels import PEOPLE_MAX
from app.live.hub import Hub
from app.live.protocol import encode, now_ms
from app.live.store import Store
from app.live.system import System
from schemas.windows import SIZE_NAMES

HISTORY_MAX_MS: Final = 400 * 86_400_000
SAMPLES_MAX_MS: Final = 6 * 3_600_000
SAMPLES_MAX: Final = 5_000
WINDOWS_MAX: Final = 3_000
"""Most windows of a metric that are asked for: 31 days of hours, 50 hours of minutes."""
_SIZE_MS: Final = {"1m": 60_000, "1h": 3_600_000, "1d": 86_400_000}


def document(content: dict[str, Any]) -> web.Response:
    """Return a JSON answer that nobody stores: it is about people."""
    return web.Response(
        body=orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


class Api:
    """Handlers of the reading interface; each wants a person's or an operator's token.

    Parameters
    ----------
    hub, store, system
        Where the answers come from.
    """

    def __init__(self, hub: Hub, store: Store, system: System) -> None:
        self._hub, self._store, self._system = hub, store, system

    async def system(self, request: web.Request) -> web.StreamResponse:
        """``GET /v1/system``: throughput, delay, lag, open alerts, dead letters."""
        return document(self._system.view(covered(claims_of(request))))

    async def people(self, request: web.Request) -> web.StreamResponse:
        """``GET /v1/people?search=``: people, the worst first, with latest values and alerts."""
        users = covered(claims_of(request))
        search = request.query.get("search", "").strip().lower()
        overview = self._hub.overview
        if search:
            users = [user for user in overview.visible(users) if search in user.lower()]
        found = overview.worst(users, PEOPLE_MAX)
        total = sum(1 for _ in overview.visible(users))
        return document({"people": [overview.view(user) for user in found], "total": total})

    async def series(self, request: web.Request) -> web.StreamResponse:
        """``GET /v1/people/{user_id}/series?from=&to=&size=1m&samples=1``: stored history."""
        user = request.match_info["user_id"]
        claims_of(request).require_user(user)
        since, until = _span(request)
        size = request.query.get("size", "1m")
        if size not in SIZE_NAMES:
            raise ValidationError(f"size must be one of {', '.join(SIZE_NAMES)}")
        if until - since > WINDOWS_MAX * _SIZE_MS[size]:
            raise ValidationError(f"the span holds more than {WINDOWS_MAX} windows of {size}")
        wanted = request.query.get("samples") == "1"
        if wanted and until - since > SAMPLES_MAX_MS:
            raise ValidationError("samples are given for at most six hours")
        samples = await self._store.samples(user, since, until, SAMPLES_MAX) if wanted else []
        windows = await self._store.windows(user, size, since, until)
        alerts = await self._store.alerts(user, since)
        return web.Response(
            body=encode("series", samples=samples, windows=windows, alerts=alerts, as_of=now_ms()),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


def _span(request: web.Request) -> tuple[int, int]:
    try:
        until = int(request.query.get("to", now_ms()))
        since = int(request.query.get("from", until - 3_600_000))
    except ValueError:
        raise ValidationError("from and to must be epoch milliseconds") from None
    if not 0 <= since < until <= now_ms() + HISTORY_MAX_MS or until - since > HISTORY_MAX_MS:
        raise ValidationError("from must be before to, and at most 400 days before")
    return since, until
