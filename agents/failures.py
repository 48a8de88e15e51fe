"""What happens to a record, or an upload of one, that cannot be processed.

Retriable failures wait in the retry topics, each with a longer delay, and are then produced to
``uploads`` again; all others, and those that have been through every tier, go to the dead-letter
topic with their original bytes. The headers say what happened and where.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import VitalstreamError
from schemas.topics import DEAD_LETTERS, RETRY_TIERS

ATTEMPT = "vs-attempt"
NOT_BEFORE = "vs-not-before"
ERROR = "vs-error"
ERROR_CHAIN = "vs-error-chain"
ORIGIN = "vs-origin"
FIRST_FAILED = "vs-first-failed"
FAILED_AT = "vs-failed-at"
_CHAIN_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record stood."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """Return ``topic/partition/offset``."""
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Rerouted:
    """A record on its way to a retry topic or to the dead letters."""

    topic: str
    partition: int
    value: bytes
    headers: list[tuple[str, bytes]]

    @property
    def dead(self) -> bool:
        """Whether it goes to the dead letters."""
        return self.topic == DEAD_LETTERS


def reroute(
    error: BaseException,
    value: bytes,
    origin: Origin,
    headers: Mapping[str, bytes],
    *,
    now_ms: int,
    attempts: int,
) -> Rerouted:
    """Choose where a failed record goes and write its headers.

    Parameters
    ----------
    error : BaseException
        Why it failed. Its message must hold no health value.
    value : bytes
        The record's original bytes.
    origin : Origin
        Where it stood.
    headers : mapping
        Its headers; those of an earlier failure are carried on.
    now_ms : int
        The time, epoch milliseconds.
    attempts : int
        How many retry tiers are tried before the dead letters.
    """
    tried = int(headers.get(ATTEMPT, b"0"))
    retriable = isinstance(error, VitalstreamError) and error.retriable
    tiers = list(RETRY_TIERS.items())[:attempts]
    reason = describe(error)
    chain = b" | ".join(filter(None, (headers.get(ERROR_CHAIN, b""), reason.encode())))
    written = {
        ERROR: reason.encode(),
        ERROR_CHAIN: chain[-_CHAIN_MAX:],
        ORIGIN: headers.get(ORIGIN, str(origin).encode()),
        FIRST_FAILED: headers.get(FIRST_FAILED, b"%d" % now_ms),
        FAILED_AT: b"%d" % now_ms,
    }
    if retriable and tried < len(tiers):
        topic, delay = tiers[tried]
        # Up to a fifth more, so that what failed together does not come back together.
        wait_ms = int(delay * 1000 * random.uniform(1, 1.2))  # noqa: S311 - no secret
        written |= {ATTEMPT: b"%d" % (tried + 1), NOT_BEFORE: b"%d" % (now_ms + wait_ms)}
    else:
        topic = DEAD_LETTERS
        written |= {ATTEMPT: b"%d" % tried}
    return Rerouted(topic, origin.partition, value, list(written.items()))


def describe(error: BaseException) -> str:
    """Return an error as one line: its class and, for the project's own, its message.

    Messages of other errors may quote values, so only their class is told.
    """
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, VitalstreamError) else name
