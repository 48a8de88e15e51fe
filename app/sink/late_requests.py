"""Requests to compute late windows again: a durable queue in ClickHouse.

Each row of ``late_requests_data`` asks for many windows. Whoever has computed them writes a row of
the same identity that says so. A request that is written after its samples, and read before they
are computed, can neither be lost nor be taken for done too early; one that comes twice, or whose
end is forgotten, only costs a computation that changes nothing.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.clickhouse.client import ClickHouse
from app.sink.records import MILLISECONDS, UUID16
from schemas.windows import SIZE_NAMES

TABLE: Final = "late_requests_data"
LATE_WINDOWS: Final = pa.schema(
    {
        "size": pa.int8(),
        "user_id": UUID16,
        "metric": pa.string(),
        "window_start": MILLISECONDS,
        "window_end": MILLISECONDS,
    }
)
"""Columns of a table of late windows; sizes are codes of :mod:`schemas.windows`."""
_WINDOWS_A_REQUEST: Final = 20_000
_RECENT_MS: Final = 2 * 86_400_000
_SIZES: Final = pa.array(SIZE_NAMES, pa.string())
_PENDING: Final = """
SELECT request, windows, recent, requested_at
FROM late_requests_data FINAL
WHERE done_at = 0
ORDER BY recent DESC, requested_at, request
"""
_WINDOWS: Final = """
SELECT DISTINCT
    toInt8(w_size) AS size,
    toString(w_user) AS user_id,
    toString(w_metric) AS metric,
    toUnixTimestamp64Milli(w_start) AS window_start,
    toUnixTimestamp64Milli(w_end) AS window_end
FROM late_requests_data AS asked
ARRAY JOIN asked.size AS w_size, asked.user_id AS w_user, asked.metric AS w_metric,
    asked.window_start AS w_start, asked.window_end AS w_end
WHERE request IN {requests:Array(UUID)}
ORDER BY size, user_id, metric, window_start
"""


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits.

    Attributes
    ----------
    windows : int
        Windows that were asked for, each as often as it was.
    oldest : datetime or None
        When the oldest request was made; None when none waits.
    taken : list of UUID
        The requests to serve next: recent windows first, then the oldest.
    """

    windows: int
    oldest: datetime | None
    taken: list[uuid.UUID]


def distinct(windows: Sequence[pa.Table]) -> pa.Table:
    """Return each window of some tables once; schema ``LATE_WINDOWS``."""
    together = pa.concat_tables(windows)
    return together.group_by(LATE_WINDOWS.names, use_threads=False).aggregate([])


def request_rows(windows: pa.Table, *, now_ms: int) -> pa.Table:
    """Return the rows that ask for windows: those that ended lately apart from the older ones.

    Parameters
    ----------
    windows : pyarrow.Table
        Which; schema ``LATE_WINDOWS``.
    now_ms : int
        The time, epoch milliseconds.
    """
    recent = pc.greater_equal(windows["window_end"].cast(pa.int64()), now_ms - _RECENT_MS)
    parts = [
        _row(part, is_recent=is_recent, now_ms=now_ms)
        for is_recent, rows in (
            (True, windows.filter(recent)),
            (False, windows.filter(pc.invert(recent))),
        )
        for part in _pieces(rows)
    ]
    return pa.concat_tables(parts)


def pending(database: ClickHouse, *, most: int) -> Pending:
    """Return what waits, and the requests to serve next: at least one, ``most`` windows in all.

    Raises
    ------
    ClickHouseUnavailableError, QueryError
        See :class:`~app.clickhouse.client.ClickHouse`.
    """
    found = database.columns(_PENDING)
    counts: list[int] = found["windows"]
    taken = max(1, int(np.searchsorted(np.cumsum(counts), most, "right")))
    return Pending(sum(counts), min(found["requested_at"], default=None), found["request"][:taken])


def windows_of(database: ClickHouse, requests: Sequence[uuid.UUID]) -> pa.Table:
    """Return the distinct windows of requests by size, person, metric and time.

    Returns
    -------
    pyarrow.Table
        Columns as in ``LATE_WINDOWS``, people as text and instants as epoch milliseconds.

    Raises
    ------
    ClickHouseUnavailableError, QueryError
        See :class:`~app.clickhouse.client.ClickHouse`.
    """
    return database.table(_WINDOWS, {"requests": list(requests)})


def done(database: ClickHouse, requests: Sequence[uuid.UUID]) -> None:
    """Write that all windows of requests have been computed.

    Raises
    ------
    ClickHouseUnavailableError, QueryError
        See :class:`~app.clickhouse.client.ClickHouse`.
    """
    now = datetime.now(UTC)
    n = len(requests)
    database.insert(
        TABLE,
        pa.table(
            {
                "request": pa.array([one.bytes for one in requests], UUID16),
                "requested_at": pa.array([now] * n, MILLISECONDS),
                "done_at": pa.array([int(now.timestamp())] * n, pa.uint32()),
            }
        ),
    )


def _pieces(windows: pa.Table) -> Iterator[pa.Table]:
    for first in range(0, windows.num_rows, _WINDOWS_A_REQUEST):
        yield windows.slice(first, _WINDOWS_A_REQUEST)


def _row(windows: pa.Table, *, is_recent: bool, now_ms: int) -> pa.Table:
    columns: dict[str, Any] = {
        "request": pa.array([uuid.uuid4().bytes], UUID16),
        "requested_at": pa.array([now_ms], MILLISECONDS),
        "recent": pa.array([is_recent]),
        "windows": pa.array([windows.num_rows], pa.uint32()),
    }
    for name in LATE_WINDOWS.names:
        values = windows[name].combine_chunks()
        if name == "size":
            values = _SIZES.take(values)
        columns[name] = pa.ListArray.from_arrays([0, len(values)], values)
    return pa.table(columns)
