"""Responses: headers, summaries and errors, as ClickHouse words them."""

import json
import secrets

from aiohttp import web

from app.embedded.clickhouse.framing import FrameEncoder
from app.embedded.clickhouse.session import Statistics
from app.errors import OverloadedError, QueryError

_STATUS = {
    **dict.fromkeys((192, 193, 194, 497, 516, 164), 403),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336), 404),
    **dict.fromkeys((159, 209), 408),
    **dict.fromkeys(
        (6, 25, 26, 27, 36, 38, 40, 41, 42, 43, 53, 62, 72, 89, 117, 271, 321, 457), 400
    ),
    **dict.fromkeys((229, 396), 413),
    48: 501,
    202: 503,
}


def summary(statistics: Statistics) -> str:
    """Return the value of ``X-ClickHouse-Summary``."""
    return json.dumps(
        {
            "read_rows": str(statistics.read_rows),
            "read_bytes": str(statistics.read_bytes),
            "written_rows": str(statistics.written_rows),
            "written_bytes": str(statistics.written_bytes),
            "total_rows_to_read": str(statistics.read_rows),
            "result_rows": str(statistics.result_rows or statistics.written_rows),
            "result_bytes": str(statistics.result_bytes or statistics.written_bytes),
            "elapsed_ns": str(int(statistics.elapsed * 1e9)),
        }
    )


def error_text(error: QueryError, version: str) -> str:
    """Return an error as ClickHouse prints it."""
    return (
        f"Code: {error.code}. DB::Exception: {error.message}. ({error.name}) "
        f"(version {version} (embedded))\n"
    )


def error_response(
    error: QueryError | OverloadedError, version: str, headers: dict[str, str], *, framed: bool
) -> web.Response:
    """Return the response of a request that failed before its result began."""
    if isinstance(error, OverloadedError):
        error = QueryError(202, "TOO_MANY_SIMULTANEOUS_QUERIES", str(error))
        headers = {**headers, "Retry-After": "1"}
    headers = {
        **headers,
        "X-ClickHouse-Exception-Code": str(error.code),
        "Content-Type": "text/plain; charset=UTF-8",
    }
    if error.code == 516:
        headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    body = error_text(error, version).encode()
    if framed:
        body = FrameEncoder().encode(body)
    return web.Response(status=_STATUS.get(error.code, 500), body=body, headers=headers)


def exception_tag() -> str:
    """Return the mark by which a client finds an exception inside of a result."""
    return secrets.token_hex(8)


def exception_block(error: QueryError, version: str, tag: str) -> bytes:
    """Return the block that ends a result that has broken off."""
    text = error_text(error, version).encode()
    return b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n" % (
        tag.encode(),
        text,
        len(text),
        tag.encode(),
    )
