"""Late windows: computed again from stored samples, in rows like those of the worker.

A row's version is the sum over its samples of ``received_at``, as in the worker: the row that
knows more samples, or later corrections, wins, whoever made it and whenever it comes.
"""

from collections.abc import Sequence
from typing import Final

from app.clickhouse.client import ClickHouse
from schemas.windows import DAY, HOUR, MINUTE, SIZE_NAMES

Window = tuple[str, str, int, int]
"""A window of a size that is known: person, metric, bounds in epoch milliseconds."""

_BUCKETS: Final = {MINUTE: "toStartOfMinute", HOUR: "toStartOfHour", DAY: "toDate"}
"""For each size: the part of the UTC calendar in which samples are sought. These are monotonic
functions of the time, so that the primary index finds them."""
WINDOWS_A_QUERY: Final = {MINUTE: 3_000, HOUR: 500, DAY: 50}
"""Most windows of a query: bounds the samples that it reads; at one a second, some millions."""

_FIGURES: Final = """
        count() AS n,
        sumKahan(value),
        sumKahan(value * value),
        min(value),
        max(value),
        argMin(value, (time, value)),
        argMax(value, (time, value)),
        sum(toUInt64(toUnixTimestamp64Milli(received_at) - 1577836800000))"""
_OF_THE_CLOCK: Final = """
    SELECT
        user_id,
        metric,
        toDateTime64({bucket}(time), 3, 'UTC') AS window_start,
        window_start + INTERVAL {length} AS window_end,{figures}
    FROM samples
    WHERE (user_id, metric, {bucket}(time))
        IN (SELECT user_id, metric, {bucket}(window_start) FROM targets)
    GROUP BY user_id, metric, window_start
"""
# A local day lies in two or three UTC days.
_OF_THE_PERSON: Final = """
    SELECT
        touched.user_id AS user_id,
        touched.metric AS metric,
        touched.window_start AS window_start,
        touched.window_end AS window_end,{figures}
    FROM
    (
        SELECT user_id, metric, {bucket}(time) AS bucket, time, value, received_at
        FROM samples
        WHERE (user_id, metric, {bucket}(time)) IN (SELECT user_id, metric, bucket FROM touched)
    ) AS inside
    INNER JOIN touched
        ON inside.user_id = touched.user_id
        AND inside.metric = touched.metric
        AND inside.bucket = touched.bucket
    WHERE time >= window_start AND time < window_end
    GROUP BY user_id, metric, window_start, window_end
"""
_COMPUTED: Final = {
    MINUTE: _OF_THE_CLOCK.format(bucket=_BUCKETS[MINUTE], length="1 MINUTE", figures=_FIGURES),
    HOUR: _OF_THE_CLOCK.format(bucket=_BUCKETS[HOUR], length="1 HOUR", figures=_FIGURES),
    DAY: _OF_THE_PERSON.format(bucket=_BUCKETS[DAY], figures=_FIGURES),
}
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
    SELECT
        user_id, metric, window_start, window_end,
        toDate(window_start) + arrayJoin(range(toUInt32(
            1 + toDate(window_end - INTERVAL 1 MILLISECOND) - toDate(window_start)
        ))) AS bucket
    FROM targets
)
SELECT
    computed.*,
    kept.expected_low,
    kept.expected_high,
    now64(3, 'UTC')
FROM
({computed}) AS computed
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
SETTINGS max_threads = 1
"""


def recompute(database: ClickHouse, size: int, windows: Sequence[Window]) -> None:
    """Compute windows of one size again from the stored samples, in one query, on one core.

    What a success does not mean: that a row changed. A row that knows no more than the one that
    is there does not replace it; a window without samples gets no row.

    Parameters
    ----------
    database : ClickHouse
        The writer.
    size : int
        ``schemas.windows.MINUTE``, ``HOUR`` or ``DAY``.
    windows : sequence of Window
        Which, each once; at most ``WINDOWS_A_QUERY[size]``.

    Raises
    ------
    ClickHouseUnavailableError, QueryError
        See :class:`~app.clickhouse.client.ClickHouse`.
    """
    sql = _RECOMPUTE.format(size=SIZE_NAMES[size], computed=_COMPUTED[size])
    database.command(sql, {"windows": list(windows)})
