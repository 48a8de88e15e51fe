"""Late windows: computed again from stored samples, in rows like those of the worker.

A row's version is the sum over its samples of ``received_at``, as in the worker: the row that
knows more samples, or later corrections, wins, whoever made it and whenever it comes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from app.clickhouse.client import ClickHouse
from schemas.windows import DAY, HOUR, MINUTE, SIZE_NAMES

_BUCKETS: Final = {
    MINUTE: ("toStartOfMinute(time)", "[toStartOfMinute(window_start)]"),
    HOUR: ("toStartOfHour(time)", "[toStartOfHour(window_start)]"),
    # A local day lies in two or three UTC days.
    DAY: (
        "toDate(time)",
        """arrayMap(
            i -> toDate(window_start) + i,
            range(toUInt32(1 + toDate(window_end - INTERVAL 1 MILLISECOND) - toDate(window_start)))
        )""",
    ),
}
"""For each size: a sample's bucket, and the buckets that a window touches. Buckets are monotonic
functions of the time, so that the primary index finds the samples."""
_WINDOWS_A_QUERY: Final = {MINUTE: 1_500, HOUR: 500, DAY: 50}
"""Bounds the samples that one query reads: at one a second, some millions."""

_RECOMPUTE: Final = """
INSERT INTO windows_{size}_data
(
    user_id, metric, window_start, window_end, count, sum, sum_sq, min, max, first, last, version,
    expected_low, expected_high, emitted_at
)
WITH targets AS
(
    SELECT
        toUUID(tupleElement(w, 1)) AS user_id,
        tupleElement(w, 2) AS metric,
        fromUnixTimestamp64Milli(toInt64(tupleElement(w, 3)), 'UTC') AS window_start,
        fromUnixTimestamp64Milli(toInt64(tupleElement(w, 4)), 'UTC') AS window_end
    FROM (SELECT arrayJoin(%(windows)s) AS w)
),
touched AS
(
    SELECT user_id, metric, window_start, window_end, arrayJoin({touched}) AS bucket FROM targets
)
SELECT
    computed.*,
    kept.expected_low,
    kept.expected_high,
    now64(3, 'UTC')
FROM
(
    SELECT
        touched.user_id AS user_id,
        touched.metric AS metric,
        touched.window_start AS window_start,
        touched.window_end AS window_end,
        count() AS n,
        sumKahan(value),
        sumKahan(value * value),
        min(value),
        max(value),
        argMin(value, (time, value)),
        argMax(value, (time, value)),
        sum(toUInt64(toUnixTimestamp64Milli(received_at) - 1577836800000))
    FROM
    (
        SELECT user_id, metric, {bucket} AS bucket, time, value, received_at
        FROM samples
        WHERE (user_id, metric, {bucket}) IN (SELECT user_id, metric, bucket FROM touched)
    ) AS inside
    INNER JOIN touched
        ON inside.user_id = touched.user_id
        AND inside.metric = touched.metric
        AND inside.bucket = touched.bucket
    WHERE time >= window_start AND time < window_end
    GROUP BY user_id, metric, window_start, window_end
) AS computed
LEFT JOIN
(
    -- The expected band is the worker's to say: what it said of the window stays.
    SELECT user_id, metric, window_start, expected_low, expected_high
    FROM windows_{size}_data FINAL
    WHERE (user_id, metric, window_start) IN (SELECT user_id, metric, window_start FROM targets)
) AS kept
    ON computed.user_id = kept.user_id
    AND computed.metric = kept.metric
    AND computed.window_start = kept.window_start
"""


@dataclass(frozen=True, slots=True, order=True)
class LateWindow:
    """A window to compute again: size code, person, metric, bounds in epoch milliseconds."""

    size: int
    user_id: str
    metric: str
    start: int
    end: int


def recompute(database: ClickHouse, windows: Iterable[LateWindow]) -> int:
    """Compute windows again from the stored samples, several a query, and insert their rows.

    What a success does not mean: that a row changed. A row that knows no more than the one that
    is there does not replace it; a window without samples gets no row.

    Parameters
    ----------
    database : ClickHouse
        The writer.
    windows : iterable of LateWindow
        Which; repeated ones are computed once.

    Returns
    -------
    int
        Number of distinct windows.

    Raises
    ------
    ClickHouseUnavailableError, QueryError
        See :class:`~app.clickhouse.client.ClickHouse`. Some windows may be done then.
    """
    distinct = sorted(set(windows))
    for size, part in _queries(distinct):
        bucket, touched = _BUCKETS[size]
        sql = _RECOMPUTE.format(size=SIZE_NAMES[size], bucket=bucket, touched=touched)
        rows = [(one.user_id, one.metric, one.start, one.end) for one in part]
        database.command(sql, {"windows": rows})
    return len(distinct)


def _queries(windows: list[LateWindow]) -> Iterator[tuple[int, list[LateWindow]]]:
    for size, limit in _WINDOWS_A_QUERY.items():
        of_size = [window for window in windows if window.size == size]
        for start in range(0, len(of_size), limit):
            yield size, of_size[start : start + limit]
