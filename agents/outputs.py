"""What a worker's step sends: columnar records, built from what was applied."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas import windows
from schemas.catalogue import catalogue
from schemas.codec import Codec
from schemas.columns import Int32, Int64
from schemas.statuses import Stage, StatusBatch
from schemas.uploads import UploadBatch
from schemas.windows import WindowBatch
from tables.apply import Applied
from tables.merge import Late
from tables.ranges import changes
from tables.rows import concatenated
from tables.state import State

_METRICS = tuple(catalogue())


def window_records(
    applied: Applied, state: State, codec: Codec, *, now_ms: int
) -> Iterator[tuple[int, bytes]]:
    """Yield (partition, record of topic ``windows``) for the windows that changed."""
    if not applied.windows:
        return
    series = np.concatenate([one.series for one in applied.windows])
    users = state.series_user[series]
    columns: dict[str, NDArray[Any]] = {
        "size": np.concatenate([np.full(len(w), w.size, np.int8) for w in applied.windows]),
        "start": np.concatenate([one.start for one in applied.windows]),
        "end": np.concatenate([one.end for one in applied.windows]),
        "expected_low": np.concatenate([low for low, _ in applied.expected]),
        "expected_high": np.concatenate([high for _, high in applied.expected]),
    }
    groups = concatenated([one.groups for one in applied.windows])
    for name in ("count", "sum", "sum_sq", "min", "max", "first", "last", "version"):
        columns[name] = getattr(groups, name)
    for partition, which in _by_partition(state.partition[users]):
        user_ids, user, metrics, metric = _named(state, series[which])
        chosen = {name: column[which] for name, column in columns.items()}
        emitted = np.full(len(which), now_ms, np.int64)
        batch = WindowBatch(
            users=user_ids, metrics=metrics, user=user, metric=metric, emitted_ms=emitted, **chosen
        )
        yield partition, windows.encode(batch, codec)


def late_windows(late: Sequence[Late], state: State) -> dict[int, dict[str, Any]]:
    """Return by partition the fields of :class:`AcceptedBatch` that ask for late windows."""
    if not late:
        return {}
    windows_asked = np.concatenate(
        [np.stack((one.series, one.size, one.start, one.end), axis=1) for one in late]
    )
    series, size, start, end = np.unique(windows_asked, axis=0).T
    return {
        partition: _late_fields(state, series[which], size[which], start[which], end[which])
        for partition, which in _by_partition(state.partition[state.series_user[series]])
    }


def nothing_late(state: State) -> dict[str, Any]:
    """Return the fields of :class:`AcceptedBatch` where no window is late."""
    none = np.empty(0, np.int64)
    return _late_fields(state, none, none, none, none)


def _late_fields(
    state: State, series: Int64, size: Int64, start: Int64, end: Int64
) -> dict[str, Any]:
    user_ids, user, metrics, metric = _named(state, series)
    return {
        "users": user_ids,
        "metrics": metrics,
        "late_user": user,
        "late_metric": metric,
        "late_size": size.astype(np.int8),
        "late_start": start,
        "late_end": end,
    }


def _by_partition(partitions: Int32) -> Iterator[tuple[int, Int64]]:
    """Yield each partition and the positions at which it stands."""
    order = np.argsort(partitions, kind="stable")
    begins = changes(partitions[order]).nonzero()[0]
    for part in np.split(order, begins[1:]):
        yield int(partitions[part[0]]), part


def _named(state: State, series: Int64) -> tuple[list[str], Int32, list[str], Int32]:
    """Return the people of series and codes into them, the metrics and codes into those."""
    users, user = np.unique(state.series_user[series], return_inverse=True)
    metrics, metric = np.unique(state.series_metric[series], return_inverse=True)
    return (
        [state.user_ids[slot] for slot in users.tolist()],
        user.astype(np.int32),
        [_METRICS[code] for code in metrics.tolist()],
        metric.astype(np.int32),
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
