"""Around every handler: the access log, metrics, problem details and security headers."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web
from multidict import CIMultiDict

from app.errors import VitalstreamError
from app.gateway.problems import internal, problem_of, problem_of_http
from app.gateway.services import SERVICES
from app.logs import where

_log = structlog.get_logger(__name__)
_levels = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

SECURITY_HEADERS: Final[CIMultiDict[str]] = CIMultiDict(
    {
        "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'self'; object-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cache-Control": "no-store",
    }
)
"""Put on every answer, unless its handler has set the header itself."""


async def secure(_: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on an answer that is about to be sent."""
    if response.headers.keys().isdisjoint(SECURITY_HEADERS):
        response.headers.extend(SECURITY_HEADERS)
        return
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure with a problem document that tells nothing about the inside."""
    try:
        return await handler(request)
    except VitalstreamError as error:
        problem = problem_of(error)
        if problem.kind == "internal":
            _log.error("request failed", route=route_of(request), **where(error))
        return problem.response()
    except web.HTTPException as error:
        if error.status < 400:  # a page that redirects
            raise
        return problem_of_http(error).response()
    except ConnectionError:
        raise  # the client is gone: there is nobody to answer
    except Exception as error:  # noqa: BLE001 - a defect, told as such
        _log.error("request failed", route=route_of(request), **where(error))
        return internal().response()


@web.middleware
async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log and measure a request: its route, never its address, query or content."""
    start = time.perf_counter()
    status = 499  # what others log when the client went away before the answer
    try:
        response = await handler(request)
        status = response.status
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        seconds = time.perf_counter() - start
        route = route_of(request)
        request.app[SERVICES].metrics.request(request.method, route, status, seconds)
        # Successful uploads are counted, not logged one by one.
        level = logging.DEBUG if status < 300 else logging.INFO if status < 500 else logging.WARNING
        if _levels.isEnabledFor(level):
            _log.log(
                level,
                "request",
                method=request.method,
                route=route,
                status=status,
                milliseconds=round(seconds * 1000, 2),
            )
    return response


def route_of(request: web.Request) -> str:
    """Return the pattern of the request's route; ``unknown`` when there is none."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
