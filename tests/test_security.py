"""Tokens hold for whom they name, until they expire, and only when the key signed them."""

import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import SecretStr

from app.errors import AuthenticationError, ConfigurationError, PermissionDeniedError
from app.secret_files import AUTH_KEY, ensure_secret
from app.security import Claims, TokenVerifier, mint_token, verify_token
from app.settings import Settings

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give the test an instance of its own."""
    return Settings(data_dir=tmp_path)


def _payload(**changes: object) -> dict[str, object]:
    now = int(time.time())
    claims = {"iss": "vitalstream", "aud": "vitalstream", "sub": "phone", "role": "device"}
    return {**claims, "users": ["ann"], "iat": now, "exp": now + 60, **changes}


def test_a_token_says_who_and_whose(settings: Settings) -> None:
    claims = verify_token(settings, mint_token(settings, "phone", "device", ["ann", "ben"]))
    assert claims == Claims("phone", "device", frozenset({"ann", "ben"}))
    claims.require_user("ben")
    claims.require_role("device", "admin")
    with pytest.raises(PermissionDeniedError):
        claims.require_user("cid")
    with pytest.raises(PermissionDeniedError, match="admin"):
        claims.require_role("admin")


def test_a_person_covers_themselves_and_an_admin_everybody(settings: Settings) -> None:
    assert verify_token(settings, mint_token(settings, "ann", "user")).users == {"ann"}
    assert verify_token(settings, mint_token(settings, "root", "admin")).covers("anybody")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(time.time()) - 3600},
        {"iss": "somebody"},
        {"aud": "something"},
        {"role": "superuser"},
        {"role": None},
        {"users": "ann"},
        {"users": [1]},
        {"iat": int(time.time()) + 3600},
    ],
)
def test_claims_that_do_not_hold_are_refused(
    changes: dict[str, object], settings: Settings
) -> None:
    key = ensure_secret(settings.data_dir, AUTH_KEY)
    token = jwt.encode(_payload(**changes), key, algorithm="HS256")
    with pytest.raises(AuthenticationError):
        verify_token(settings, token)


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "role", "iat", "exp"])
def test_a_claim_that_is_missing_is_refused(missing: str, settings: Settings) -> None:
    payload = _payload()
    del payload[missing]
    token = jwt.encode(payload, ensure_secret(settings.data_dir, AUTH_KEY), algorithm="HS256")
    with pytest.raises(AuthenticationError):
        verify_token(settings, token)


def test_what_the_key_did_not_sign_is_refused(settings: Settings) -> None:
    verifier = TokenVerifier(settings)
    for token in (
        "",
        "nonsense",
        jwt.encode(_payload(), "another key that is long enough for HS256", algorithm="HS256"),
        jwt.encode(_payload(), "", algorithm="none"),
        mint_token(settings, "phone", "device")[:-2],
    ):
        with pytest.raises(AuthenticationError):
            verifier.verify(token)


@pytest.mark.parametrize(
    ("make", "algorithm", "other"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "RS256", "RS512"),
        (lambda: ec.generate_private_key(ec.SECP256R1()), "ES256", None),
    ],
)
def test_an_external_issuer_is_known_by_its_public_key(
    make: Callable[[], PrivateKey], algorithm: str, other: str | None, tmp_path: Path
) -> None:
    key = make()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path = tmp_path / "issuer.pem"
    path.write_bytes(public)
    settings = Settings(data_dir=tmp_path, auth_public_key=path)
    token = jwt.encode(_payload(), private, algorithm=algorithm)
    assert verify_token(settings, token).subject == "phone"
    if other is not None:
        with pytest.raises(AuthenticationError):
            verify_token(settings, jwt.encode(_payload(), private, algorithm=other))
    with pytest.raises(ConfigurationError, match="issuer"):
        mint_token(settings, "phone", "device")


def test_a_public_key_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "issuer.pem"
    settings = Settings(data_dir=tmp_path, auth_public_key=path)
    with pytest.raises(ConfigurationError, match="VITALSTREAM_AUTH_PUBLIC_KEY"):
        TokenVerifier(settings)
    path.write_text("not a key")
    with pytest.raises(ConfigurationError, match="not a PEM"):
        TokenVerifier(settings)


def test_a_short_secret_is_refused_and_a_long_one_used(tmp_path: Path) -> None:
    short = Settings(data_dir=tmp_path, auth_secret=SecretStr("short"))
    with pytest.raises(ConfigurationError, match="at least 32 bytes"):
        TokenVerifier(short)
    long = Settings(data_dir=tmp_path, auth_secret=SecretStr("x" * 32))
    assert verify_token(long, mint_token(long, "ann", "user")).role == "user"
    assert not (tmp_path / "secrets").exists()


def test_a_secret_is_made_once_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: ensure_secret(tmp_path, AUTH_KEY), range(32)))
    assert len(made) == 1
    assert len(made.pop()) >= 43
    path = tmp_path / "secrets" / AUTH_KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [AUTH_KEY]


def test_an_empty_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / AUTH_KEY).write_text("\n")
    with pytest.raises(ConfigurationError, match=AUTH_KEY):
        ensure_secret(tmp_path, AUTH_KEY)
