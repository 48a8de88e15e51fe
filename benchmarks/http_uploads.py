"""The uploads that the HTTP benchmarks send: whole requests, rendered beforehand."""

import random
import time
import uuid
from datetime import UTC, datetime
from typing import Final, Literal, get_args

import numpy as np
import orjson

from app.security import mint_token
from app.settings import Settings
from schemas.codec import Codec
from schemas.columns import F64, I64, pack

Body = Literal["json", "json-rfc3339", "avro"]
BODIES: Final[tuple[Body, ...]] = get_args(Body)
"""JSON with epoch milliseconds, JSON with RFC 3339 times, and Avro with packed columns."""

_PLACE: Final = "00000000-0000-4000-8000-000000000000"
_STEP_MS: Final = 1000
_TOKEN_SECONDS: Final = 6 * 3600


class Template:
    """A request whose upload id is yet to be set.

    Parameters
    ----------
    head : bytes
        Request line and headers, with the empty line.
    body : bytes
        Holds the placeholder of an upload id once.
    """

    __slots__ = ("_after", "_before", "body")

    def __init__(self, head: bytes, body: bytes) -> None:
        self.body = body
        before, self._after = body.split(_PLACE.encode())
        self._before = head + before

    def request(self, upload_id: uuid.UUID) -> bytes:
        """Return the request with this upload id."""
        return b"%b%b%b" % (self._before, str(upload_id).encode(), self._after)


def users_of(seed: int, count: int) -> list[str]:
    """Return the ids of ``count`` people, the same for a seed."""
    source = random.Random(seed)  # noqa: S311 - a workload, not a secret
    return [str(uuid.UUID(int=source.getrandbits(128), version=4)) for _ in range(count)]


def templates(
    settings: Settings, body: Body, *, users: list[str], samples: int, seed: int
) -> list[Template]:
    """Return a template for each user: heart rates, a second apart, that end a minute ago.

    Every user sends with a token of their own device.
    """
    source = np.random.default_rng(seed)
    end = int(time.time() * 1000) - 60_000
    return [
        _template(settings, body, user, end - _STEP_MS * np.arange(samples)[::-1], values)
        for user, values in zip(
            users, source.normal(70, 8, (len(users), samples)).round(1), strict=True
        )
    ]


def _template(
    settings: Settings, body: Body, user: str, times: np.ndarray, values: np.ndarray
) -> Template:
    series = {"metric": "heart_rate", "unit": "/min"}
    record = {"upload_id": _PLACE, "user_id": user, "device_id": "watch-1", "source": "benchmark"}
    if body == "avro":
        columns = {"times": pack(times, I64), "values": pack(values, F64)}
        content = Codec().encode("upload", record | {"series": [series | columns]})
    else:
        sent = [_rfc3339(t) for t in times.tolist()] if body == "json-rfc3339" else times.tolist()
        content = orjson.dumps(
            record | {"series": [series | {"times": sent, "values": values.tolist()}]}
        )
    token = mint_token(settings, f"watch-1.{user}", "device", [user], _TOKEN_SECONDS)
    head = (
        "POST /v1/uploads HTTP/1.1\r\n"
        "Host: benchmark\r\n"
        f"Authorization: Bearer {token}\r\n"
        f"Content-Type: application/{'avro' if body == 'avro' else 'json'}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return Template(head.encode(), content)


def _rfc3339(ms: int) -> str:
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
