"""Who asks: the bearer token of a request, and how often its subject may ask."""

import math
import time

from aiohttp import web

from app.errors import AuthenticationError
from app.gateway.problems import Problem, unauthenticated
from app.gateway.services import Services
from app.security import Claims, TokenVerifier


def claims_of(request: web.Request, verifier: TokenVerifier) -> Claims:
    """Return what the request's bearer token says.

    Raises
    ------
    Problem
        401 when there is none, or it does not hold.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthenticated("A bearer token is needed.", token_given=False)
    return verified(token.strip(), verifier)


def verified(token: str, verifier: TokenVerifier) -> Claims:
    """Return what a token says.

    Raises
    ------
    Problem
        401 when it does not hold.
    """
    try:
        return verifier.verify(token)
    except AuthenticationError as error:
        raise unauthenticated(f"{error}.", token_given=True) from error


def admit(claims: Claims, services: Services) -> None:
    """Count a request of the token's subject.

    Raises
    ------
    Problem
        429 with Retry-After when it has asked too often.
    """
    wait = services.limiter.take(claims.subject, time.monotonic())
    if wait > 0:
        raise Problem(
            "too-many-requests",
            "This token's subject sends faster than it may.",
            headers={"Retry-After": str(math.ceil(wait))},
        )
