"""Verified tokens are remembered: within bounds, not beyond their time, and no others."""

import time
from pathlib import Path

import jwt
import pytest
from pydantic import SecretStr

from app.errors import AuthenticationError
from app.security import TokenVerifier, mint_token
from app.settings import Settings

SECRET = "a-secret-of-the-tests-with-enough-bytes"
LEEWAY = 30


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, auth_secret=SecretStr(SECRET), auth_cache_tokens=3)


def test_a_token_is_verified_once_and_says_the_same_again(settings: Settings) -> None:
    verifier = TokenVerifier(settings)
    token = mint_token(settings, "phone", "device", ["ann"])
    first = verifier.verify(token)
    assert verifier.verify(token) is first
    assert len(verifier) == 1


def test_a_remembered_token_expires(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = TokenVerifier(settings)
    token = mint_token(settings, "phone", "device", ["ann"], ttl_seconds=2 - LEEWAY)
    verifier.verify(token)
    later = time.time() + 3
    monkeypatch.setattr("app.security.time.time", lambda: later)
    seen: list[str] = []

    def expired(token: str) -> None:
        seen.append(token)
        raise AuthenticationError("the token has expired")

    monkeypatch.setattr(verifier, "_verified", expired)
    with pytest.raises(AuthenticationError):
        verifier.verify(token)
    assert seen == [token]


def test_what_does_not_hold_is_not_remembered(settings: Settings) -> None:
    verifier = TokenVerifier(settings)
    expired = mint_token(settings, "phone", "device", ["ann"], ttl_seconds=-60)
    forged = jwt.encode({"sub": "phone"}, SECRET[::-1], algorithm="HS256")
    for token in (expired, forged, "nonsense", "\ud800"):
        for _ in range(2):
            with pytest.raises(AuthenticationError):
                verifier.verify(token)
    assert len(verifier) == 0


def test_the_oldest_are_forgotten_beyond_the_size(settings: Settings) -> None:
    verifier = TokenVerifier(settings)
    for n in range(10):
        assert verifier.verify(mint_token(settings, f"phone-{n}", "device")).subject == f"phone-{n}"
    assert len(verifier) == 3


def test_tokens_are_not_kept_themselves(settings: Settings) -> None:
    verifier = TokenVerifier(settings)
    token = mint_token(settings, "phone", "device", ["ann"])
    verifier.verify(token)
    assert token not in repr(vars(verifier))
    assert [len(digest) for digest in verifier._held] == [32]
