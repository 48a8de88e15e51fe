"""The OpenAPI 3.1 document of the gateway's HTTP interface."""

from typing import Any, Final

from aiohttp import web

from app import __version__
from app.gateway.openapi_models import MODELS
from app.gateway.problems import TITLES, Kind

Json = dict[str, Any]
EXTRA: Final = web.AppKey("openapi_paths", dict[str, Json])
"""Path items of other parts of the application, added by their ``setup``."""


def ref(model: str) -> Json:
    """Return a reference to a model of the document."""
    return {"$ref": f"#/components/schemas/{model}"}


def answer(description: str, model: str | None = None, media: str = "application/json") -> Json:
    """Return a response object."""
    if model is None:
        return {"description": description}
    return {"description": description, "content": {media: {"schema": ref(model)}}}


def problems(*kinds: Kind) -> Json:
    """Return the response objects of kinds of problems, by status."""
    return {str(TITLES[k][0]): {"$ref": f"#/components/responses/{k}"} for k in kinds}


def parameter(name: str, description: str, schema: Json | None = None) -> Json:
    """Return a parameter object of a path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema or {"type": "string", "format": "uuid"},
    }


def document(extra: dict[str, Json]) -> Json:
    """Return the whole document.

    Parameters
    ----------
    extra : dict
        Path items of other parts of the application, by path.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vitalstream",
            "version": __version__,
            "description": "Health-device data in: uploads, their status, people's settings.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": _PATHS | extra,
        "components": {
            "schemas": MODELS,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "Claims: sub, role (device, user or admin), users.",
                }
            },
            "responses": {
                kind: answer(title, "Problem", "application/problem+json") | _headers(kind)
                for kind, (_, title) in TITLES.items()
            },
        },
    }


def _headers(kind: Kind) -> Json:
    if kind in ("unavailable", "too-many-requests"):
        text = "Seconds to wait before trying again."
        return {"headers": {"Retry-After": {"description": text, "schema": {"type": "integer"}}}}
    if kind == "unauthenticated":
        text = "The challenge, RFC 6750."
        return {"headers": {"WWW-Authenticate": {"description": text, "schema": ref("Text")}}}
    return {}


_USER: Final = parameter("user_id", "The person.")
_SUBJECT: Final = parameter("subject", "A schema's subject.", {"type": "string"})
_OPEN: Final[Json] = {"security": []}

_PATHS: Final[dict[str, Json]] = {
    "/v1/uploads": {
        "post": {
            "operationId": "postUpload",
            "tags": ["uploads"],
            "summary": "Send an upload",
            "description": "Answered once Kafka has acknowledged the upload. Sent again under the "
            "same upload id it is not written again, and the answer is the same. One bad sample "
            "never refuses its neighbours: rejected samples are listed, and kept.",
            "parameters": [
                {
                    "name": "Content-Encoding",
                    "in": "header",
                    "required": False,
                    "schema": {"enum": ["identity", "gzip", "zstd"]},
                }
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": ref("Upload")},
                    "application/avro": {
                        "schema": {"type": "string", "format": "binary"},
                        "description": "Schema `upload` in the Confluent wire format.",
                    },
                },
            },
            "responses": {"202": answer("The upload is durable.", "Accepted")}
            | problems(
                "malformed",
                "unauthenticated",
                "forbidden",
                "timeout",
                "conflict",
                "too-large",
                "unsupported-media-type",
                "invalid",
                "too-many-requests",
                "internal",
                "unavailable",
            ),
        }
    },
    "/v1/uploads/{upload_id}": {
        "get": {
            "operationId": "getUpload",
            "tags": ["uploads"],
            "summary": "How far an upload has come",
            "parameters": [parameter("upload_id", "The upload.")],
            "responses": {"200": answer("Its status and counts.", "Status")}
            | problems("unauthenticated", "forbidden", "not-found", "unavailable"),
        }
    },
    "/v1/stream": {
        "get": {
            "operationId": "stream",
            "tags": ["uploads"],
            "summary": "Uploads over a WebSocket",
            "description": "After the hello, text messages are uploads in JSON, binary ones in "
            "Avro. Each is answered by an ack or an error with its upload id, in any order. With "
            "max_in_flight uploads unanswered the server reads no further. After a reconnect, send "
            "again what was not acknowledged. Without an Authorization header the first message "
            "is a StreamAuth, within 10 s. Close codes: 4401 authentication, 4408 no "
            "authentication in time, 1001 the server stops, 1009 a message is too large.",
            "responses": {
                "101": answer("The connection is a WebSocket; see the Stream models."),
            }
            | problems("malformed", "unauthenticated", "unavailable"),
        }
    },
    "/v1/users/{user_id}/settings": {
        "get": {
            "operationId": "getSettings",
            "tags": ["people"],
            "summary": "A person's settings",
            "parameters": [_USER],
            "responses": {"200": answer("The settings.", "Settings")}
            | problems(
                "unauthenticated", "forbidden", "not-found", "too-many-requests", "unavailable"
            ),
        },
        "put": {
            "operationId": "putSettings",
            "tags": ["people"],
            "summary": "Change a person's settings",
            "description": "A time zone holds from now on; the first one for all time before, too.",
            "parameters": [_USER],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": ref("NewSettings")}},
            },
            "responses": {"200": answer("The settings.", "Settings")}
            | problems(
                "malformed",
                "unauthenticated",
                "forbidden",
                "not-found",
                "too-large",
                "unsupported-media-type",
                "invalid",
                "too-many-requests",
                "unavailable",
            ),
        },
    },
    "/schemas/ids/{id}": {
        "get": _OPEN
        | {
            "operationId": "getSchema",
            "tags": ["schemas"],
            "summary": "An Avro schema by its id",
            "parameters": [parameter("id", "Id of the wire format.", {"type": "integer"})],
            "responses": {"200": answer("The schema.", "SchemaText")} | problems("not-found"),
        }
    },
    "/subjects": {
        "get": _OPEN
        | {
            "operationId": "getSubjects",
            "tags": ["schemas"],
            "summary": "Subjects of Avro schemas",
            "responses": {"200": answer("Their names.", "Texts")},
        }
    },
    "/subjects/{subject}/versions": {
        "get": _OPEN
        | {
            "operationId": "getVersions",
            "tags": ["schemas"],
            "summary": "Versions of a subject",
            "parameters": [_SUBJECT],
            "responses": {"200": answer("Their numbers.", "Numbers")} | problems("not-found"),
        }
    },
    "/subjects/{subject}/versions/{version}": {
        "get": _OPEN
        | {
            "operationId": "getVersion",
            "tags": ["schemas"],
            "summary": "A version of a subject",
            "parameters": [
                _SUBJECT,
                parameter("version", "A number, or `latest`.", {"type": "string"}),
            ],
            "responses": {"200": answer("The version.", "SchemaVersion")} | problems("not-found"),
        }
    },
    "/healthz": {
        "get": _OPEN
        | {
            "operationId": "healthz",
            "tags": ["operation"],
            "summary": "Whether the process is alive",
            "responses": {"200": answer("It is.", "Alive")},
        }
    },
    "/readyz": {
        "get": _OPEN
        | {
            "operationId": "readyz",
            "tags": ["operation"],
            "summary": "Whether uploads can be taken now",
            "responses": {"200": answer("Yes.", "Ready"), "503": answer("No.", "Ready")},
        }
    },
    "/metrics": {
        "get": _OPEN
        | {
            "operationId": "metrics",
            "tags": ["operation"],
            "summary": "Metrics in Prometheus' text format",
            "responses": {"200": answer("The metrics.", "Text", "text/plain")},
        }
    },
    "/openapi.json": {
        "get": _OPEN
        | {
            "operationId": "openapi",
            "tags": ["operation"],
            "summary": "This document",
            "responses": {"200": answer("OpenAPI 3.1.", "Object")},
        }
    },
    "/docs": {
        "get": _OPEN
        | {
            "operationId": "docs",
            "tags": ["operation"],
            "summary": "This document as a page",
            "responses": {"200": answer("A page.", "Text", "text/html")},
        }
    },
}
