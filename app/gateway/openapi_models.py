"""Models of the OpenAPI document: JSON Schema 2020-12, with examples."""

from typing import Any, Final

from app.gateway.documents import DEVICE_LENGTH, SOURCE_LENGTH
from app.gateway.problems import KINDS
from app.gateway.validation import REASONS
from schemas.statuses import STAGES

Json = dict[str, Any]
_UPLOAD_ID: Final = "01913e5c-7c1b-7cc3-8f6a-3f1b8a2c4d5e"
_USER_ID: Final = "6f1c8a52-0d1e-4e57-9a37-2f0a4c8b9d10"
_UUID: Final[Json] = {"type": "string", "format": "uuid"}
_INSTANT: Final[Json] = {"type": "string", "format": "date-time"}
_COUNT: Final[Json] = {"type": "integer", "minimum": 0}
_TEXT: Final[Json] = {"type": "string"}


def _object(properties: Json, *, optional: tuple[str, ...] = (), **more: Any) -> Json:  # noqa: ANN401
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties} | more


def _name(longest: int, description: str) -> Json:
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": longest,
        "description": f"{description} Printable, no blanks at the ends.",
    }


def _ref(model: str) -> Json:
    return {"$ref": f"#/components/schemas/{model}"}


def _array(items: Json, **more: Any) -> Json:  # noqa: ANN401
    return {"type": "array", "items": items} | more


_REJECTED_EXAMPLE: Final = {
    "series": 0,
    "index": 3,
    "reason": "out_of_range",
    "detail": "heart_rate lies within 10 to 300 /min",
}
_ACCEPTED: Final[Json] = {
    "upload_id": _UUID,
    "status": {"const": "accepted"},
    "received_at": _INSTANT,
    "accepted": _COUNT | {"description": "Samples accepted, repeated ones included."},
    "repeated": _COUNT
    | {"description": "Accepted samples that a later one of the upload replaced."},
    "rejected": _array(_ref("RejectedSample")),
    "resent": {"const": True, "description": "The upload was acknowledged before."},
}
_ACCEPTED_EXAMPLE: Final = {
    "upload_id": _UPLOAD_ID,
    "status": "accepted",
    "received_at": "2026-11-23T10:00:07.250Z",
    "accepted": 2,
    "repeated": 0,
    "rejected": [_REJECTED_EXAMPLE],
}

MODELS: Final[dict[str, Json]] = {
    "Upload": _object(
        {
            "upload_id": _UUID | {"description": "Made by the client: the idempotency key."},
            "user_id": _UUID,
            "device_id": _name(DEVICE_LENGTH, "Names the device within the person."),
            "source": _name(SOURCE_LENGTH, "What measured or delivered it.")
            | {"default": "unknown"},
            "series": _array(_ref("Series"), minItems=1),
        },
        optional=("source",),
        additionalProperties=False,
        examples=[
            {
                "upload_id": _UPLOAD_ID,
                "user_id": _USER_ID,
                "device_id": "watch-1",
                "source": "fitbit",
                "series": [
                    {
                        "metric": "heart_rate",
                        "unit": "/min",
                        "times": ["2026-11-23T10:00:00.000Z", 1795428001000],
                        "values": [61.0, 62.5],
                    }
                ],
            }
        ],
    ),
    "Series": _object(
        {
            "metric": _TEXT | {"description": "Name in the metric catalogue."},
            "unit": _TEXT | {"description": "Canonical or convertible unit of the metric."},
            "times": _array(
                {"anyOf": [_INSTANT, {"type": "integer"}]},
                description="RFC 3339 with a zone, or epoch milliseconds.",
            ),
            "values": _array({"type": "number"}, description="As many as times."),
        },
        additionalProperties=False,
        description="Samples of one metric. A time or value of another type, or one too few, "
        "rejects that sample alone.",
    ),
    "Accepted": _object(_ACCEPTED, optional=("resent",), examples=[_ACCEPTED_EXAMPLE]),
    "RejectedSample": _object(
        {
            "series": _COUNT | {"description": "Position of its series in the upload."},
            "index": _COUNT | {"description": "Its position in the series."},
            "reason": {"enum": list(REASONS)},
            "detail": _TEXT,
        },
        examples=[_REJECTED_EXAMPLE],
    ),
    "Status": _object(
        {
            "upload_id": _UUID,
            "user_id": _UUID,
            "status": {"enum": list(STAGES)},
            "at": _INSTANT | {"description": "When it reached this status."},
            "received_at": _INSTANT,
            "accepted": _COUNT,
            "rejected": _COUNT,
            "repeated": _COUNT,
            "duplicate": _COUNT | {"description": "Samples that were known already."},
            "late": _COUNT | {"description": "Samples older than the live horizon."},
            "reason": _TEXT | {"description": "Why it is retrying or failed."},
        },
        optional=("reason",),
        examples=[
            {
                "upload_id": _UPLOAD_ID,
                "user_id": _USER_ID,
                "status": "stored",
                "at": "2026-11-23T10:00:08.400Z",
                "received_at": "2026-11-23T10:00:07.250Z",
                "accepted": 2,
                "rejected": 1,
                "repeated": 0,
                "duplicate": 0,
                "late": 0,
            }
        ],
    ),
    "StreamAuth": _object(
        {"type": {"const": "auth"}, "token": _TEXT},
        examples=[{"type": "auth", "token": "eyJ…"}],
    ),
    "StreamHello": _object(
        {"type": {"const": "hello"}, "max_in_flight": _COUNT},
        examples=[{"type": "hello", "max_in_flight": 64}],
    ),
    "StreamAck": _object(
        {"type": {"const": "ack"}} | _ACCEPTED,
        optional=("resent",),
        examples=[{"type": "ack"} | _ACCEPTED_EXAMPLE],
    ),
    "StreamError": _object(
        {
            "type": {"const": "error"},
            "upload_id": {"type": ["string", "null"], "format": "uuid"},
            "status": {"type": "integer"},
            "problem": _ref("Problem"),
        },
        description="Status 429 or 503: send it again. Any other: it would fail again.",
    ),
    "NewSettings": _object(
        {"time_zone": _TEXT | {"description": "IANA name."}},
        additionalProperties=False,
        examples=[{"time_zone": "Europe/Berlin"}],
    ),
    "Settings": _object(
        {
            "user_id": _UUID,
            "time_zone": _TEXT,
            "time_zones": _array(_object({"since": _INSTANT, "time_zone": _TEXT})),
            "updated_at": {"type": ["string", "null"], "format": "date-time"},
        },
        examples=[
            {
                "user_id": _USER_ID,
                "time_zone": "Europe/Berlin",
                "time_zones": [{"since": "2026-11-23T10:00:00.000Z", "time_zone": "Europe/Berlin"}],
                "updated_at": "2026-11-23T10:00:00.000Z",
            }
        ],
    ),
    "Problem": _object(
        {
            "type": {"enum": [f"urn:vitalstream:problem:{kind}" for kind in KINDS]},
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "errors": _array(
                _object({"pointer": _TEXT, "detail": _TEXT}),
                description="JSON pointers into the request, and what is wrong there.",
            ),
        },
        optional=("errors",),
        description="RFC 9457.",
        examples=[
            {
                "type": "urn:vitalstream:problem:invalid",
                "title": "The content is not valid",
                "status": 422,
                "detail": "The upload is not valid.",
                "errors": [{"pointer": "/series/0/times", "detail": "must be an array"}],
            }
        ],
    ),
    "SchemaText": _object({"schema": _TEXT}),
    "SchemaVersion": _object({"subject": _TEXT, "version": _COUNT, "id": _COUNT, "schema": _TEXT}),
    "Alive": _object({"status": {"const": "alive"}}),
    "Ready": _object(
        {
            "status": {"enum": ["ready", "not ready"]},
            "checks": {"type": "object", "additionalProperties": {"type": "boolean"}},
            "missing_topics": _array(_TEXT),
        }
    ),
    "Text": _TEXT,
    "Texts": _array(_TEXT),
    "Numbers": _array(_COUNT),
    "Object": {"type": "object"},
}
