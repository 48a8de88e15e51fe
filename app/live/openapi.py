"""The live parts' share of the OpenAPI document."""

from typing import Any, Final


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _read(
    operation: str, summary: str, description: str, parameters: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    return {
        "operationId": operation,
        "summary": summary,
        "description": description,
        "tags": ["live"],
        "parameters": parameters or [],
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "401": {"$ref": "#/components/responses/unauthenticated"},
            "403": {"$ref": "#/components/responses/forbidden"},
        },
    }


_USER: Final = {
    "name": "user_id",
    "in": "path",
    "required": True,
    "description": "The person.",
    "schema": {"type": "string", "format": "uuid"},
}
_INSTANT: Final = {"type": "integer", "description": "Epoch milliseconds."}

PATHS: Final[dict[str, dict[str, Any]]] = {
    "/v1/live": {
        "get": {
            "operationId": "live",
            "summary": "Live values by WebSocket",
            "description": "Subprotocol `vitalstream.v1`, described in docs/data-contract.md.",
            "tags": ["live"],
            "responses": {"101": {"description": "The WebSocket is open."}},
        }
    },
    "/v1/system": {
        "get": _read(
            "system",
            "Throughput, delay, lag, alerts, dead letters",
            "`uploads_per_s`, `samples_per_s`, `delay_ms_p50`, `delay_ms_p99`, `lag_records`, "
            "`alerts_open`, `dead_letters`, `people`; null where unknown.",
        )
    },
    "/v1/people": {
        "get": _read(
            "people",
            "People, those first who need attention",
            "Latest values and open alerts of the people that the token covers.",
            [_query("search", "Part of an id.", {"type": "string"})],
        )
    },
    "/v1/people/{user_id}/series": {
        "get": _read(
            "series",
            "A person's stored windows, samples and alerts",
            "Columns by metric.",
            [
                _USER,
                _query("from", "Start, epoch milliseconds.", _INSTANT),
                _query("to", "End, exclusive.", _INSTANT),
                _query("size", "Size of windows.", {"type": "string", "enum": ["1m", "1h", "1d"]}),
                _query("samples", "1 for samples too.", {"type": "string", "enum": ["1"]}),
            ],
        )
    },
}
"""Path items by path."""
