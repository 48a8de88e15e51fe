"""How far uploads have come: a bounded memory, fed by topic ``upload-status``."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
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
        ahead = max(self, other, key=lambda o: (_RANK[o.stage], o.at_ms, o.stage, o.reason))
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
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class StatusCache:
    """The outcomes of the uploads heard of last.

    Parameters
    ----------
    size : int
        Most uploads that are remembered.
    on_size : callable, optional
        Told the number of uploads after each change.
    """

    def __init__(self, size: int, on_size: Callable[[int], None] | None = None) -> None:
        self._size = size
        self._outcomes: OrderedDict[bytes, Outcome] = OrderedDict()
        self._on_size = on_size or (lambda _: None)

    def __len__(self) -> int:
        """Return the number of uploads that are remembered."""
        return len(self._outcomes)

    def get(self, upload_id: UUID) -> Outcome | None:
        """Return what is known of an upload, or None."""
        return self._outcomes.get(upload_id.bytes)

    def apply(self, status: StatusBatch) -> None:
        """Take in a status of a batch; the oldest uploads are forgotten beyond the size."""
        columns = zip(
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
        for row, (user, *counts) in enumerate(columns):
            upload_id = ids[16 * row : 16 * row + 16]
            outcome = Outcome(
                status.users[user], status.stage, status.at_ms, status.reason, *counts
            )
            known = self._outcomes.pop(upload_id, None)
            self._outcomes[upload_id] = outcome if known is None else known.join(outcome)
        while len(self._outcomes) > self._size:
            self._outcomes.popitem(last=False)
        self._on_size(len(self._outcomes))
