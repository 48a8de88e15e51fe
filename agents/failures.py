"""What happens to a record, or an upload of one, that cannot be processed.

Retriable failures wait in the retry topics, each with a longer delay, and are then produced to
``uploads`` again; all others, and those that have been through every tier, go to the dead-letter
topic with their original bytes. The headers say what happened and where.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from app.errors import VitalstreamError
from schemas.topics import DEAD_LETTERS, RETRY_TIERS

ATTEMPT = "vs-attempt"
NOT_BEFORE = "vs-not-before"
ERROR = "vs-error"
ERROR_CHAIN = "vs-error-chain"
ORIGIN = "vs-origin"
FIRST_FAILED = "vs-first-failed"
FAILED_AT = "vs-failed-at"
REPLAYED_FROM = "vs-replayed-from"
_CHAIN_MAX: Final = 2_000
_LINK: Final = " | "
_JITTER: Final = 1.2
_DIGITS: Final = 15
_LONGEST_LINK: Final = 500
_SHORTEST_CHAIN: Final = 2


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

    @property
    def kind(self) -> str:
        """Class of the error."""
        return kind_of(dict(self.headers)[ERROR].decode())

    @property
    def replayed(self) -> bool:
        """Whether an operator had replayed it from the dead letters."""
        return REPLAYED_FROM in dict(self.headers)


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
        Its headers; those of an earlier failure are carried on. Anybody may have written them: a
        count that is none is taken for 0.
    now_ms : int
        The time, epoch milliseconds.
    attempts : int
        How many retry tiers are tried before the dead letters.
    """
    tried = number_in(headers, ATTEMPT)
    retriable = isinstance(error, VitalstreamError) and error.retriable
    tiers = list(RETRY_TIERS.items())[:attempts]
    reason = describe(error)
    written = {
        ERROR: reason.encode(),
        ERROR_CHAIN: _chain(headers.get(ERROR_CHAIN, b"").decode(errors="replace"), reason),
        ORIGIN: headers.get(ORIGIN, str(origin).encode()),
        FIRST_FAILED: headers.get(FIRST_FAILED, b"%d" % now_ms),
        FAILED_AT: b"%d" % now_ms,
    }
    if REPLAYED_FROM in headers:
        written[REPLAYED_FROM] = headers[REPLAYED_FROM]
    if retriable and tried < len(tiers):
        topic, delay = tiers[tried]
        # Up to a fifth more, so that what failed together does not come back together.
        wait_ms = int(delay * 1000 * random.uniform(1, _JITTER))  # noqa: S311 - no secret
        written |= {ATTEMPT: b"%d" % (tried + 1), NOT_BEFORE: b"%d" % (now_ms + wait_ms)}
    else:
        topic = DEAD_LETTERS
        written |= {ATTEMPT: b"%d" % tried}
    return Rerouted(topic, origin.partition, value, list(written.items()))


def deaths(rerouted: Iterable[Rerouted]) -> Counter[str]:
    """Return how many go to the dead letters, by class of the error.

    What an operator has replayed is left out: it goes back to where it was.
    """
    return Counter(moved.kind for moved in rerouted if moved.dead and not moved.replayed)


def longest_wait_ms(tier: str) -> int:
    """Return the longest that a record may wait in a retry topic, milliseconds."""
    return int(RETRY_TIERS[tier] * 1000 * _JITTER)


def number_in(headers: Mapping[str, bytes | None], name: str) -> int:
    """Return the number that a header holds; 0 when it is missing or none."""
    text = headers.get(name) or b""
    return int(text) if text.isdigit() and len(text) <= _DIGITS else 0


def kind_of(reason: str) -> str:
    """Return the class in an error as :func:`describe` writes it."""
    return reason.partition(":")[0] or "unknown"


def describe(error: BaseException) -> str:
    """Return an error as one line: its class and, for the project's own, its message.

    Messages of other errors may quote values, so only their class is told.
    """
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, VitalstreamError) else name


def _chain(before: str, reason: str) -> bytes:
    """Return the errors one after the other; of a long chain the first and the last ones."""
    links = [*filter(None, before.split(_LINK)), reason.replace(_LINK, " ")[:_LONGEST_LINK]]
    while len(links) > _SHORTEST_CHAIN and len(_LINK.join(links).encode()) > _CHAIN_MAX:
        del links[1]
    return _LINK.join(links).encode()[:_CHAIN_MAX]
