"""Tokens: who speaks, and whose data that covers.

A token is a signed JWT with the claims ``iss``, ``aud``, ``sub``, ``role``, ``users``, ``iat`` and
``exp``. It is signed with HS256 and the instance's own key, or by an external issuer with RS256 or
ES256, of which only the public key is known here.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import jwt

from app.errors import AuthenticationError, ConfigurationError, PermissionDeniedError
from app.secret_files import AUTH_KEY, ensure_secret
from app.settings import Settings

Role = Literal["device", "user", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

_LEEWAY_SECONDS = 30
_SHORTEST_KEY_BYTES = 32  # RFC 7518, section 3.2
_REQUIRED = ["iss", "aud", "sub", "role", "iat", "exp"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says.

    Attributes
    ----------
    subject
        Who speaks: a device, a person, an operator.
    role
        ``device`` and ``user`` are bound to ``users``; ``admin`` may read and write everybody.
    users
        The user ids that the token covers.
    """

    subject: str
    role: Role
    users: frozenset[str]

    def covers(self, user: str) -> bool:
        """Whether the token covers data of ``user``."""
        return self.role == "admin" or user in self.users

    def require_user(self, user: str) -> None:
        """Raise :class:`PermissionDeniedError` unless the token covers ``user``."""
        if not self.covers(user):
            raise PermissionDeniedError("the token does not cover this user's data")

    def require_role(self, *roles: Role) -> None:
        """Raise :class:`PermissionDeniedError` unless the token has one of ``roles``."""
        if self.role not in roles:
            raise PermissionDeniedError(f"this needs the role {' or '.join(roles)}")


class TokenVerifier:
    """Verifies tokens; loads the key once.

    A token that held is remembered until it expires, by its SHA-256, so that a device that sends
    every few seconds is not verified every few seconds. This changes no answer: nothing but time
    ends a token, and its time is looked at whenever it is shown.

    Parameters
    ----------
    settings
        ``auth_public_key``, else ``auth_secret``, else the key in ``DATA_DIR/secrets``; and
        ``auth_cache_tokens``, how many are remembered.

    Raises
    ------
    ConfigurationError
        When the key cannot be loaded or is too short.
    """

    def __init__(self, settings: Settings) -> None:
        self._issuer, self._audience = settings.auth_issuer, settings.auth_audience
        self._size = settings.auth_cache_tokens
        self._held: dict[bytes, tuple[Claims, float]] = {}
        if settings.auth_public_key is None:
            self._key, self._algorithms = _signing_key(settings), ["HS256"]
            return
        try:
            self._key = settings.auth_public_key.read_text()
        except OSError as error:
            raise ConfigurationError(f"VITALSTREAM_AUTH_PUBLIC_KEY: {error}") from error
        self._algorithms = [_public_key_algorithm(self._key)]

    def verify(self, token: str) -> Claims:
        """Return what ``token`` says.

        Raises
        ------
        AuthenticationError
            When it is malformed, expired, not for this service or not signed with the key.
        """
        # Looked up by a digest: how long that takes tells nothing of any token's bytes.
        if not token.isascii():
            raise AuthenticationError("the token is not valid here")
        digest = hashlib.sha256(token.encode()).digest()
        held = self._held.get(digest)
        if held is not None and time.time() < held[1]:
            return held[0]
        payload = self._verified(token)
        claims = _claims(payload)
        self._held[digest] = claims, float(payload["exp"]) + _LEEWAY_SECONDS
        if len(self._held) > self._size:
            del self._held[next(iter(self._held))]
        return claims

    def __len__(self) -> int:
        """Return the number of tokens that are remembered."""
        return len(self._held)

    def _verified(self, token: str) -> dict[str, Any]:
        try:
            payload: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_SECONDS,
                options={"require": _REQUIRED},
            )
        except jwt.ExpiredSignatureError as error:
            raise AuthenticationError("the token has expired") from error
        except jwt.InvalidTokenError as error:
            raise AuthenticationError("the token is not valid here") from error
        return payload


def verify_token(settings: Settings, token: str) -> Claims:
    """Verify one token; a service that verifies many keeps a :class:`TokenVerifier`."""
    return TokenVerifier(settings).verify(token)


def mint_token(
    settings: Settings,
    subject: str,
    role: Role,
    users: Sequence[str] = (),
    ttl_seconds: int = 86_400,
) -> str:
    """Return a signed token.

    Parameters
    ----------
    settings
        Gives issuer, audience and key.
    subject
        Who speaks.
    role, users
        What the token covers; see :class:`Claims`. Without ``users``: the subject alone.
    ttl_seconds
        How long it holds from now, in seconds.

    Raises
    ------
    ConfigurationError
        When tokens are signed by an external issuer, or the key is too short.
    """
    if settings.auth_public_key is not None:
        raise ConfigurationError(
            "tokens are signed by the issuer of VITALSTREAM_AUTH_PUBLIC_KEY; ask it for one"
        )
    now = int(time.time())
    payload = {
        "iss": settings.auth_issuer,
        "aud": settings.auth_audience,
        "sub": subject,
        "role": role,
        "users": list(users) or [subject],
        "iat": now,
        "exp": now + ttl_seconds,
    }
    return jwt.encode(payload, _signing_key(settings), algorithm="HS256")


def _signing_key(settings: Settings) -> str:
    if settings.auth_secret is None:
        return ensure_secret(settings.data_dir, AUTH_KEY)
    secret = settings.auth_secret.get_secret_value()
    if len(secret.encode()) < _SHORTEST_KEY_BYTES:
        raise ConfigurationError(
            f"VITALSTREAM_AUTH_SECRET needs at least {_SHORTEST_KEY_BYTES} bytes"
        )
    return secret


def _public_key_algorithm(pem: str) -> str:
    """Return the one algorithm that the key is for: a key decides, never a token's header."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415  (rarely used)
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

    try:
        key = load_pem_public_key(pem.encode())
    except ValueError as error:
        raise ConfigurationError("VITALSTREAM_AUTH_PUBLIC_KEY is not a PEM public key") from error
    if isinstance(key, rsa.RSAPublicKey):
        return "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ES256"
    raise ConfigurationError("VITALSTREAM_AUTH_PUBLIC_KEY must be an RSA or a P-256 key")


def _claims(payload: dict[str, object]) -> Claims:
    subject, role, users = payload["sub"], payload["role"], payload.get("users", [])
    if (
        not isinstance(subject, str)
        or role not in ROLES
        or not isinstance(users, list)
        or not all(isinstance(user, str) for user in users)
    ):
        raise AuthenticationError("the token's claims are malformed")
    return Claims(subject, role, frozenset(users))
