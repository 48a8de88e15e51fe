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
from app.gateway.problems import Problem, problem_of, unavailable
from app.gateway.services import SERVICES, Services

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
        answer = await _post(request, services)
    except VitalstreamError as error:
        services.metrics.uploads.labels("http", problem_of(error).kind).inc()
        raise
    services.metrics.uploads.labels("http", outcome_of(answer)).inc()
    return json_response(answer, 202)


def outcome_of(answer: dict[str, Any]) -> str:
    """Return the metric's label for an answered upload."""
    return "resent" if answer.get("resent") else "accepted"


async def _post(request: web.Request, services: Services) -> dict[str, Any]:
    if services.stopping:
        raise unavailable("The gateway is stopping; another one will answer.")
    claims = claims_of(request, services.verifier)
    admit(claims, services)
    if request.content_type not in (JSON, AVRO):
        raise Problem(
            "unsupported-media-type",
            f"An upload is {JSON} or {AVRO}.",
            headers={"Accept-Post": f"{JSON}, {AVRO}"},
        )
    services.broker.require()  # before a client on a phone has sent megabytes
    limit = services.settings.max_body_bytes
    async with body_of(request, limit, services.bodies) as body:
        services.metrics.body_bytes.set(services.bodies.held)
        try:
            if len(body) > _THREAD_BYTES:
                document = await asyncio.to_thread(_read, request.content_type, body, services)
            else:
                document = _read(request.content_type, body, services)
            return await services.intake.take(document, claims)
        finally:
            services.metrics.body_bytes.set(services.bodies.held)


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
    outcome = services.cache.get(upload_id)
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
