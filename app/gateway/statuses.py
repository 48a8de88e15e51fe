"""How far uploads have come: a bounded memory, fed by topic ``upload-status``."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from schemas.statuses import Stage, StatusBatch

_RANK: Final[dict[Stage, int]] = {
    "received": 0,
    "retrying": 1,
    "failed": 1,
    "processed": 2,
    "stored": 3,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of one upload. Instants are epoch milliseconds, counts are samples."""

    user_id: str
    stage: Stage
    at_ms: int
    reason: str
    received_ms: int
    accepted: int
    rejected: int
    repeated: int
    duplicate: int = 0
    late: int = 0

    def join(self, other: "Outcome") -> "Outcome":
        """Return what both say together: the same, in whatever order statuses arrive.

        A later stage counts; of retrying and failed, the later one. The upload was received when
        a gateway first took it. Counts that only grow from stage to stage take the greater.
        """
        ahead = max(self, other, key=_order)
        first = min(self, other, key=lambda o: (o.received_ms, o.accepted, o.rejected, o.repeated))
        return replace(
            ahead,
            received_ms=first.received_ms,
            accepted=first.accepted,
            rejected=first.rejected,
            repeated=first.repeated,
            duplicate=max(self.duplicate, other.duplicate),
            late=max(self.late, other.late),
        )

    def document(self, upload_id: UUID) -> dict[str, Any]:
        """Return the body that tells a client."""
        body: dict[str, Any] = {
            "upload_id": str(upload_id),
            "user_id": self.user_id,
            "status": self.stage,
            "at": rfc3339(self.at_ms),
            "received_at": rfc3339(self.received_ms),
            "accepted": self.accepted,
            "rejected": self.rejected,
            "repeated": self.repeated,
            "duplicate": self.duplicate,
            "late": self.late,
        }
        return body | ({"reason": self.reason} if self.reason else {})


def rfc3339(ms: int) -> str:
    """Return epoch milliseconds as RFC 3339 in UTC."""
    second, rest = divmod(ms, 1000)
    return f"{_second(second)}.{rest:03d}Z"


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()


class _Said(NamedTuple):
    """What a status says of all its uploads."""

    stage: Stage
    at_ms: int
    reason: str
    users: tuple[str, ...]


_Row = tuple[int, int, int, int, int, int, int]
"""Code of the user, received_ms, accepted, rejected, repeated, duplicate, late."""

_Entry = tuple[_Said, _Row]
_FIRST: Final = slice(1, 5)  # what is settled when an upload is received


class StatusCache:
    """The outcomes of the uploads heard of last.

    Every upload of the deployment passes here several times and few are asked for: an entry is a
    row of a status, and becomes an :class:`Outcome` when it is needed.

    Parameters
    ----------
    size : int
        Most uploads that are remembered.
    on_size : callable, optional
        Told the number of uploads after each change.
    """

    def __init__(self, size: int, on_size: Callable[[int], None] | None = None) -> None:
        self._size = size
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._on_size = on_size or (lambda _: None)

    def __len__(self) -> int:
        """Return the number of uploads that are remembered."""
        return len(self._entries)

    def get(self, upload_id: bytes) -> Outcome | None:
        """Return what is known of an upload, by the 16 bytes of its id, or None."""
        entry = self._entries.get(upload_id)
        return None if entry is None else _outcome(entry)

    def apply(self, status: StatusBatch) -> None:
        """Take in a status of a batch; the oldest uploads are forgotten beyond the size."""
        said = _Said(status.stage, status.at_ms, status.reason, tuple(status.users))
        rows = zip(
            status.upload_user.tolist(),
            status.received_ms.tolist(),
            status.accepted.tolist(),
            status.rejected.tolist(),
            status.repeated.tolist(),
            status.duplicate.tolist(),
            status.late.tolist(),
            strict=True,
        )
        ids = status.upload_ids.tobytes()
        entries = self._entries
        for number, row in enumerate(rows):
            upload_id = ids[16 * number : 16 * number + 16]
            known = entries.pop(upload_id, None)
            entries[upload_id] = (said, row) if known is None else _join(known, (said, row))
        while len(entries) > self._size:
            entries.popitem(last=False)
        self._on_size(len(entries))


def _outcome(entry: _Entry) -> Outcome:
    said, (user, *counts) = entry
    return Outcome(said.users[user], said.stage, said.at_ms, said.reason, *counts)


def _join(known: _Entry, new: _Entry) -> _Entry:
    """Join as outcomes do; nearly always one of the two says all of it already."""
    if known[1][_FIRST] == new[1][_FIRST]:
        ahead, other = (new, known) if _order(new[0]) > _order(known[0]) else (known, new)
        if ahead[1][5] >= other[1][5] and ahead[1][6] >= other[1][6]:  # duplicate and late grow
            return ahead
    joined = _outcome(known).join(_outcome(new))
    return (
        _Said(joined.stage, joined.at_ms, joined.reason, (joined.user_id,)),
        (
            0,
            joined.received_ms,
            joined.accepted,
            joined.rejected,
            joined.repeated,
            joined.duplicate,
            joined.late,
        ),
    )


def _order(said: Outcome | _Said) -> tuple[int, int, str, str]:
    return _RANK[said.stage], said.at_ms, said.stage, said.reason
