"""What a worker's step sends: collected per partition, then written as columnar records."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from schemas import windows
from schemas.codec import Codec
from schemas.columns import Dictionary, Int32
from schemas.statuses import Stage, StatusBatch
from schemas.uploads import UploadBatch
from schemas.windows import WindowBatch
from tables.apply import ChangedWindow


@dataclass(slots=True)
class WindowCollector:
    """The changed windows of a step; of one window only its last row is kept."""

    _rows: dict[int, dict[tuple[str, str, int, int], ChangedWindow]] = field(default_factory=dict)

    def add(self, partition: int, user_id: str, changed: Iterable[ChangedWindow]) -> None:
        """Note changed windows of a person."""
        rows = self._rows.setdefault(partition, {})
        for one in changed:
            rows[user_id, one.metric, one.row.size, one.row.start] = one

    def records(self, codec: Codec, *, now_ms: int) -> Iterable[tuple[int, bytes, int]]:
        """Yield (partition, record of topic ``windows``, rows)."""
        for partition, rows in self._rows.items():
            if rows:
                batch = _window_batch(rows, now_ms)
                yield partition, windows.encode(batch, codec), len(rows)


def _window_batch(
    changed: dict[tuple[str, str, int, int], ChangedWindow], now_ms: int
) -> WindowBatch:
    users, metrics = Dictionary(), Dictionary()
    user = [users.code(user_id) for user_id, *_ in changed]
    metric = [metrics.code(name) for _, name, *_ in changed]
    rows = [one.row for one in changed.values()]
    # None, an edge that is not known, becomes NaN.
    expected = np.array([one.expected for one in changed.values()], np.float64)
    return WindowBatch(
        users.values,
        metrics.values,
        np.array(user, np.int32),
        np.array(metric, np.int32),
        np.array([row.size for row in rows], np.int8),
        np.array([row.start for row in rows], np.int64),
        np.array([row.end for row in rows], np.int64),
        np.array([row.count for row in rows], np.int64),
        np.array([row.sum for row in rows]),
        np.array([row.sum_sq for row in rows]),
        np.array([row.min for row in rows]),
        np.array([row.max for row in rows]),
        np.array([row.first for row in rows]),
        np.array([row.last for row in rows]),
        np.array([row.version for row in rows], np.uint64),
        expected[:, 0],
        expected[:, 1],
        np.full(len(rows), now_ms, np.int64),
    )


def status_of(
    batch: UploadBatch,
    stage: Stage,
    *,
    at_ms: int,
    reason: str = "",
    duplicate: Int32 | None = None,
    late: Int32 | None = None,
) -> StatusBatch:
    """Return the status record that says how far a batch's uploads have come.

    Parameters
    ----------
    batch : UploadBatch
        The uploads.
    stage : str
        How far.
    at_ms : int
        When, epoch milliseconds.
    reason : str, optional
        Why, for ``retrying`` and ``failed``.
    duplicate, late : (N,) int32, optional
        Counts by upload; zeros by default.
    """
    none = np.zeros(len(batch), np.int32)
    return StatusBatch(
        batch.batch_id,
        stage,
        at_ms,
        reason,
        batch.users,
        batch.upload_ids,
        batch.upload_user,
        batch.received_ms,
        batch.accepted,
        batch.rejected,
        batch.repeated,
        none if duplicate is None else duplicate,
        none if late is None else late,
    )
