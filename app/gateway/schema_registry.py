"""The read interface of a Confluent schema registry, answered from ``schemas/``.

Tools of the ecosystem read the topics with it when the deployment has no registry of its own.
"""

from typing import NoReturn

import orjson
from aiohttp import web

from app.errors import UnknownSchemaError
from app.gateway.problems import Problem
from schemas import registry
from schemas.registry import Schema

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_SUBJECT, _VERSION, _SCHEMA = 40401, 40402, 40403


async def schema_by_id(request: web.Request) -> web.Response:
    """``GET /schemas/ids/{id}``."""
    try:
        schema = registry.by_id(int(request.match_info["id"]))
    except (UnknownSchemaError, ValueError):
        _not_found(_SCHEMA, "Schema not found")
    return _answer({"schema": schema.text})


async def subjects(_: web.Request) -> web.Response:
    """``GET /subjects``."""
    return _answer(registry.subjects())


async def versions(request: web.Request) -> web.Response:
    """``GET /subjects/{subject}/versions``."""
    return _answer([schema.version for schema in _versions(request)])


async def version(request: web.Request) -> web.Response:
    """``GET /subjects/{subject}/versions/{version}``, where a version may be ``latest``."""
    wanted = request.match_info["version"]
    found = _versions(request)
    schema = (
        found[-1]
        if wanted in ("latest", "-1")
        else next((schema for schema in found if str(schema.version) == wanted), None)
    )
    if schema is None:
        _not_found(_VERSION, "Version not found")
    return _answer(
        {
            "subject": schema.subject,
            "version": schema.version,
            "id": schema.schema_id,
            "schema": schema.text,
        }
    )


def _versions(request: web.Request) -> list[Schema]:
    try:
        return registry.versions(request.match_info["subject"])
    except UnknownSchemaError:
        _not_found(_SUBJECT, "Subject not found")


def _answer(body: object) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type=CONTENT_TYPE)


def _not_found(code: int, message: str) -> NoReturn:
    # a problem document that clients of a schema registry understand, too
    raise Problem("not-found", message, members={"error_code": code, "message": message})
