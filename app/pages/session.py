"""Sessions: a token in a cookie that no script reads and no other site sends."""

import ipaddress
from typing import Final

import orjson
from aiohttp import web

from app.errors import AuthenticationError, PermissionDeniedError, ValidationError
from app.live.access import COOKIE, SETTINGS, VERIFIER, check_origin, claims_of, reader
from app.live.api import document
from app.security import Claims, mint_token

DEMO_SECONDS: Final = 12 * 3600
_FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


async def show(request: web.Request) -> web.StreamResponse:
    """``GET /v1/session``: who is signed in."""
    claims = claims_of(request)
    return document(_view(claims))


async def sign_in(request: web.Request) -> web.StreamResponse:
    """``POST /v1/session``: keep a token as a session.

    Raises
    ------
    ValidationError
        Without a token.
    AuthenticationError, PermissionDeniedError
        For one that does not hold, or may not read.
    """
    check_origin(request)
    try:
        content = orjson.loads(await request.read())
        token = content["token"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise ValidationError('the body must be {"token": "…"}') from None
    if not isinstance(token, str):
        raise ValidationError("token must be a text")
    claims = reader(request.app[VERIFIER], token.strip())
    response = document(_view(claims))
    keep(request, response, token.strip())
    return response


async def sign_out(request: web.Request) -> web.StreamResponse:
    """``DELETE /v1/session``: forget the session."""
    check_origin(request)
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
    return response


def visitor(request: web.Request) -> tuple[Claims | None, str | None]:
    """Return who visits a page, and a token to keep when the visit itself signs in.

    With ``auth_demo_sign_in`` a visitor from this very machine is signed in as an operator. Not
    through a proxy, and not under a foreign host name, which a hostile page could point here.
    """
    try:
        return claims_of(request), None
    except (AuthenticationError, PermissionDeniedError):
        if not request.app[SETTINGS].auth_demo_sign_in or not _local(request):
            return None, None
    token = mint_token(request.app[SETTINGS], "demo", "admin", ttl_seconds=DEMO_SECONDS)
    return reader(request.app[VERIFIER], token), token


def keep(request: web.Request, response: web.StreamResponse, token: str) -> None:
    """Put a token into the session cookie."""
    response.set_cookie(
        COOKIE,
        token,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=request.secure,
    )


def _local(request: web.Request) -> bool:
    if any(name in request.headers for name in _FORWARDED):
        return False
    name = request.host.rpartition(":")[0] if _has_port(request.host) else request.host
    try:
        address = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return False
    return address.is_loopback and name.lower() in _LOOPBACK_NAMES


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]


def _view(claims: Claims) -> dict[str, object]:
    return {"subject": claims.subject, "role": claims.role, "users": sorted(claims.users)}
