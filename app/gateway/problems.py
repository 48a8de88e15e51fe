"""Problem details (RFC 9457): every refusal of the HTTP interface, and of the stream."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import orjson
from aiohttp import web

from app.errors import (
    AuthenticationError,
    DataError,
    OverloadedError,
    PermissionDeniedError,
    UnavailableError,
    VitalstreamError,
)

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 2
"""What a client is told to wait when a server is away or a bound was reached."""

Kind = Literal[
    "malformed",
    "unauthenticated",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "timeout",
    "conflict",
    "too-large",
    "unsupported-media-type",
    "invalid",
    "too-many-requests",
    "internal",
    "unavailable",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
TITLES: Final[Mapping[Kind, tuple[int, str]]] = {
    "malformed": (400, "The request cannot be read"),
    "unauthenticated": (401, "Authentication is needed"),
    "forbidden": (403, "Not allowed"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "Method not allowed"),
    "timeout": (408, "The request took too long"),
    "conflict": (409, "In conflict with what is there"),
    "too-large": (413, "Too large"),
    "unsupported-media-type": (415, "Unsupported media type"),
    "invalid": (422, "The content is not valid"),
    "too-many-requests": (429, "Too many requests"),
    "internal": (500, "Unexpected failure"),
    "unavailable": (503, "Not available now"),
}
"""Status and title of each kind of problem; its ``type`` is ``urn:vitalstream:problem:KIND``."""

_BY_STATUS: Final[dict[int, Kind]] = {status: kind for kind, (status, _) in TITLES.items()}


class Problem(VitalstreamError):  # noqa: N818 - what RFC 9457 calls it
    """A request is refused as a whole.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    detail : str
        What is wrong with this request, for the one who sent it. Never logged.
    errors : sequence of (str, str), optional
        JSON pointers into the request, and what is wrong there.
    headers : mapping, optional
        Headers of the answer.
    members : mapping, optional
        Further members of the problem document.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status, self.title = TITLES[kind]
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.members = dict(members or {})

    @property
    def document(self) -> dict[str, Any]:
        """The problem document."""
        document: dict[str, Any] = {
            "type": f"urn:vitalstream:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [{"pointer": p, "detail": d} for p, d in self.errors]
        return document | self.members

    def response(self) -> web.Response:
        """Return the answer that carries the document."""
        return web.Response(
            status=self.status,
            body=orjson.dumps(self.document),
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )


def unavailable(detail: str, *, seconds: int = RETRY_AFTER_SECONDS) -> Problem:
    """Return a 503 that asks to try again after some seconds."""
    return Problem("unavailable", detail, headers={"Retry-After": str(seconds)})


def unauthenticated(detail: str, *, token_given: bool) -> Problem:
    """Return a 401 with the challenge that RFC 6750 asks for."""
    challenge = 'Bearer realm="vitalstream"'
    if token_given:
        challenge += ', error="invalid_token"'
    return Problem("unauthenticated", detail, headers={"WWW-Authenticate": challenge})


def problem_of(error: VitalstreamError) -> Problem:
    """Return the problem that an error of the project is to the one who asked."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, AuthenticationError):
        return unauthenticated(str(error), token_given=True)
    if isinstance(error, PermissionDeniedError):
        return Problem("forbidden", str(error))
    if isinstance(error, DataError):
        return Problem("malformed", str(error))
    if isinstance(error, OverloadedError | UnavailableError):
        return unavailable(str(error))
    return internal()


def internal() -> Problem:
    """Return the 500 that tells nothing about the inside."""
    return Problem("internal", "The request could not be completed.")


def problem_of_http(error: web.HTTPException) -> Problem:
    """Return the problem for a refusal that aiohttp itself made, such as 404 or 405."""
    kind = _BY_STATUS.get(error.status, "malformed" if error.status < 500 else "internal")
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    details: dict[Kind, str] = {
        "not-found": "There is nothing at this address.",
        "method-not-allowed": "This address does not take this method.",
    }
    return Problem(kind, details.get(kind, error.reason), headers=headers)
