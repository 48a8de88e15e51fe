"""``POST /v1/uploads`` and ``GET /v1/uploads/{upload_id}``."""

import asyncio
from typing import Any, Final

import orjson
import structlog
from aiohttp import web

from app.errors import QueryError, VitalstreamError
from app.gateway import ledger
from app.gateway.access import admit, claims_of
from app.gateway.bodies import body_of
from app.gateway.documents import (
    UploadDocument,
    parse_json,
    upload_of_avro,
    upload_of_json,
    uuid_of,
)
from app.gateway.limits import Share
from app.gateway.problems import Problem, problem_of, unavailable
from app.gateway.services import SERVICES, Services
from app.security import Claims

_log = structlog.get_logger(__name__)
JSON: Final = "application/json"
AVRO: Final = "application/avro"
_THREAD_BYTES: Final = 256 << 10
"""Larger bodies are parsed in a thread."""


def json_response(body: dict[str, Any], status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.Response(status=status, body=orjson.dumps(body), content_type=JSON)


async def post_upload(request: web.Request) -> web.Response:
    """Take an upload in; 202 once the broker has acknowledged it."""
    services = request.app[SERVICES]
    try:
        claims, content_type = _admitted(request, services)
        with Share(services.bodies) as share:
            body = await body_of(request, services.settings.max_body_bytes, share)
            if len(body) > _THREAD_BYTES:
                document = await asyncio.to_thread(_read, content_type, body, services)
            else:
                document = _read(content_type, body, services)
            answer = await services.intake.take(document, claims)
    except VitalstreamError as error:
        services.metrics.answered("http", problem_of(error).kind)
        raise
    services.metrics.answered("http", outcome_of(answer))
    return json_response(answer, 202)


def outcome_of(answer: dict[str, Any]) -> str:
    """Return the metric's label for an answered upload."""
    return "resent" if answer.get("resent") else "accepted"


def _admitted(request: web.Request, services: Services) -> tuple[Claims, str]:
    """Return who sends and the media type, before a client on a phone has sent megabytes."""
    if services.stopping:
        raise unavailable("The gateway is stopping; another one will answer.")
    claims = claims_of(request, services.verifier)
    admit(claims, services)
    content_type = request.content_type
    if content_type not in (JSON, AVRO):
        raise Problem(
            "unsupported-media-type",
            f"An upload is {JSON} or {AVRO}.",
            headers={"Accept-Post": f"{JSON}, {AVRO}"},
        )
    services.broker.require()
    return claims, content_type


def _read(content_type: str, body: bytes, services: Services) -> UploadDocument:
    if content_type == AVRO:
        return upload_of_avro(body, services.codec, services.settings)
    return upload_of_json(parse_json(body), services.settings)


async def get_upload(request: web.Request) -> web.Response:
    """Tell how far an upload has come."""
    services = request.app[SERVICES]
    claims = claims_of(request, services.verifier)
    upload_id = uuid_of(request.match_info["upload_id"])
    if upload_id is None:
        raise Problem("not-found", "An upload id is a UUID.")
    outcome = services.cache.get(upload_id.bytes)
    if outcome is None:
        try:
            outcome = await ledger.look_up(services.clickhouse, upload_id)
        except QueryError as error:
            _log.error("the ledger cannot be read", code=error.code)
            raise unavailable("Older uploads cannot be looked up now.") from error
    if outcome is None:
        raise Problem("not-found", "No upload with this id is known.")
    claims.require_user(outcome.user_id)
    return json_response(outcome.document(upload_id))
