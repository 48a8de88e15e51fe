"""Sending uploads to a gateway until each has its answer."""

import asyncio
import contextlib
import secrets
import time
from collections import OrderedDict
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
import orjson

from app.errors import AuthenticationError
from app.replay.pacing import backoff_seconds
from app.replay.tally import Tally
from app.replay.uploads import Upload
from app.security import mint_token
from app.settings import Settings

TRANSIENT = frozenset({408, 425, 429, 502, 503, 504})
"""Answers after which the same upload is sent again."""

_TOKEN_SECONDS = 3_600
_TOKENS_KEPT = 1_000
_DETAIL_LENGTH = 200
_DRAWS = secrets.SystemRandom()


class Tokens:
    """Bearer tokens: one that was given for everybody, or one minted for each person.

    Parameters
    ----------
    settings
        Of the instance whose key signs.
    given
        The token for everybody, if there is one.
    """

    def __init__(self, settings: Settings, given: str | None = None) -> None:
        self._settings, self._given = settings, given
        self._minted: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def bearer(self, user_id: str) -> str:
        """Return a token that covers ``user_id`` and holds for half an hour more.

        Raises
        ------
        ConfigurationError
            When no token was given and none can be minted here.
        """
        if self._given is not None:
            return self._given
        now = time.monotonic()
        token, renew_at = self._minted.get(user_id, ("", now))
        if now >= renew_at:
            token = mint_token(self._settings, user_id, "device", [user_id], _TOKEN_SECONDS)
            self._minted[user_id] = token, now + _TOKEN_SECONDS / 2
            if len(self._minted) > _TOKENS_KEPT:
                self._minted.popitem(last=False)
        return token


class Sender:
    """Sends uploads, a bounded number at once, and counts what becomes of them.

    Parameters
    ----------
    session
        The HTTP client.
    gateway
        Base URL of the gateway.
    tokens
        Gives the bearer tokens.
    tally
        Counts.
    stopping
        When set, no upload is sent a second time; requests under way are finished.
    concurrency
        Most uploads that are being sent at once; those that wait to be sent again are among them.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        gateway: str,
        *,
        tokens: Tokens,
        tally: Tally,
        stopping: asyncio.Event,
        concurrency: int,
    ) -> None:
        self._session, self._url = session, f"{gateway.rstrip('/')}/v1/uploads"
        self._tokens, self._tally, self._stopping = tokens, tally, stopping
        self._slots = asyncio.Semaphore(concurrency)

    def stopping(self) -> bool:
        """Whether the replay is being stopped."""
        return self._stopping.is_set()

    async def send(self, upload: Upload) -> bool | None:
        """Send an upload, again and again while the gateway is away or busy.

        It is sent at least once, also when the replay is being stopped: what was begun is ended.

        Returns
        -------
        bool or None
            True when it was answered with 202; False when it was refused, which the tally tells;
            None when the replay was stopped before there was an answer.

        Raises
        ------
        AuthenticationError
            When the gateway does not know the token: no other upload would fare better.
        """
        async with self._slots:
            attempt = 0
            while True:
                attempt += 1
                answered, asked_seconds = await self._attempt(upload)
                if answered is not None:
                    return answered
                await self.pause(backoff_seconds(attempt, asked_seconds, _DRAWS.random()))
                if self.stopping():
                    return None

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than until the replay is stopped."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _attempt(self, upload: Upload) -> tuple[bool | None, float]:
        """Send once; return 202 or refused or (None) to be sent again, and after which wait."""
        headers = {
            "Authorization": f"Bearer {self._tokens.bearer(upload.user_id)}",
            "Content-Type": "application/json",
            "Content-Encoding": upload.encoding,
        }
        try:
            async with self._session.post(
                self._url, data=upload.body, headers=headers, allow_redirects=False
            ) as response:
                status, content = response.status, await response.read()
                asked = response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._tally.retry(f"no answer ({type(error).__name__})")
            return None, 0.0
        if status == HTTPStatus.ACCEPTED:
            return self._accepted(upload, content), 0.0
        reason = _reason(status, content)
        if status in TRANSIENT:
            self._tally.retry(reason)
            return None, retry_after_seconds(asked, datetime.now(UTC))
        if status == HTTPStatus.UNAUTHORIZED:
            raise AuthenticationError(f"the gateway does not accept the token: {reason}")
        self._tally.refuse(upload, reason)
        return False, 0.0

    def _accepted(self, upload: Upload, content: bytes) -> bool:
        try:
            self._tally.take(upload, orjson.loads(content))
        except (ValueError, TypeError, KeyError, AttributeError):
            self._tally.refuse(upload, "HTTP 202 without the outcome: is this the gateway?")
            return False
        return True


def retry_after_seconds(header: str, now: datetime) -> float:
    """Return the seconds that a Retry-After header asks for, 0 to 300; 0 when it is unreadable."""
    if header.isascii() and header.isdecimal():
        return min(float(header), 300.0)
    try:
        seconds = (parsedate_to_datetime(header) - now).total_seconds()
    except (ValueError, TypeError):  # no date; or one without a zone
        return 0.0
    return min(max(seconds, 0.0), 300.0)


def _reason(status: int, content: bytes) -> str:
    """Say why a request was refused: the problem's title and detail, which hold no values."""
    try:
        problem = orjson.loads(content)
        told = f"{problem['title']}: {problem['detail']}"
    except (ValueError, TypeError, KeyError):
        told = "without a reason"
    return f"HTTP {status} {told[:_DETAIL_LENGTH]}"
