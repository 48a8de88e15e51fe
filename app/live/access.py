"""Who asks: bearer tokens, session cookies, origins."""

from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from app.errors import AuthenticationError, PermissionDeniedError
from app.security import Claims, TokenVerifier
from app.settings import Settings

COOKIE: Final = "vitalstream_session"
SETTINGS: Final = web.AppKey("live_settings", Settings)
VERIFIER: Final = web.AppKey("live_verifier", TokenVerifier)
_TOKEN_MAX: Final = 16 << 10


def token_of(request: web.Request) -> str | None:
    """Return the request's bearer token, else its session cookie, else None."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return request.cookies.get(COOKIE)


def claims_of(request: web.Request) -> Claims:
    """Return who asks, as a person or an operator.

    Raises
    ------
    AuthenticationError
        If there is no token, or it does not hold.
    PermissionDeniedError
        If it is a device's: devices write and do not read.
    """
    token = token_of(request)
    if not token:
        raise AuthenticationError("sign in, or send a bearer token")
    return reader(request.app[VERIFIER], token)


def reader(verifier: TokenVerifier, token: str) -> Claims:
    """Return the claims of a token that may read.

    Raises
    ------
    AuthenticationError, PermissionDeniedError
        See :func:`claims_of`.
    """
    if len(token) > _TOKEN_MAX:
        raise AuthenticationError("the token is not valid here")
    claims = verifier.verify(token)
    claims.require_role("user", "admin")
    return claims


def covered(claims: Claims) -> Collection[str] | None:
    """Return the people that a token covers; None means everybody."""
    return None if claims.role == "admin" else claims.users


def check_origin(request: web.Request) -> None:
    """Refuse a browser's request that a page of another origin makes.

    Programs that are no browser send no ``Origin`` and pass: they carry no ambient cookie.

    Raises
    ------
    PermissionDeniedError
        If the origin is neither the gateway's own nor an allowed one.
    """
    origin = request.headers.get("Origin")
    if origin is None or origin in request.app[SETTINGS].allowed_origins:
        return
    if urlsplit(origin).netloc.lower() != request.host.lower():
        raise PermissionDeniedError("requests from pages of this origin are not allowed")
