"""Stored history, read from ClickHouse as the pages' user, who may only read."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from app.clickhouse.client import reader
from app.errors import ClickHouseUnavailableError, QueryError
from app.live.records import Alert
from app.settings import Settings

T = TypeVar("T")
Columns = dict[str, list[Any]]

_PARALLEL: Final = 4
"""Queries at a time of one gateway; more wait."""

_SAMPLES: Final = """
SELECT metric, device_id AS device, max(rank) AS received,
       arraySort(groupArray(time_ms)) AS times,
       arraySort((v, t) -> t, groupArray(value), groupArray(time_ms)) AS values
FROM (
    SELECT metric, device_id, toUnixTimestamp64Milli(time) AS time_ms, value,
           toUnixTimestamp64Milli(received_at) AS rank
    FROM samples
    WHERE user_id = {user:UUID} AND time >= fromUnixTimestamp64Milli({since:Int64})
      AND time < fromUnixTimestamp64Milli({until:Int64})
    ORDER BY metric, time DESC
    LIMIT {most:UInt32} BY metric
)
GROUP BY metric, device_id
"""
_WINDOWS: Final = """
SELECT metric, groupArray(s) AS start, groupArray(e) AS end, groupArray(count) AS counts,
       groupArray(mean) AS means, groupArray(min) AS mins, groupArray(max) AS maxs,
       groupArray(ifNull(expected_low, nan)) AS low,
       groupArray(ifNull(expected_high, nan)) AS high, groupArray(version) AS versions
FROM (
    SELECT metric, toUnixTimestamp64Milli(window_start) AS s,
           toUnixTimestamp64Milli(window_end) AS e, count, mean, min, max,
           expected_low, expected_high, version
    FROM windows_{size}
    WHERE user_id = {{user:UUID}} AND window_end > fromUnixTimestamp64Milli({{since:Int64}})
      AND window_start < fromUnixTimestamp64Milli({{until:Int64}})
    ORDER BY metric, window_start
)
GROUP BY metric
"""
_ALERTS: Final = """
SELECT * FROM alerts
WHERE user_id = {user:UUID}
  AND (status != 'resolved' OR resolved_at >= fromUnixTimestamp64Milli({since:Int64}))
ORDER BY opened_at DESC LIMIT 500
"""
_OPEN: Final = "SELECT * FROM alerts WHERE status != 'resolved' ORDER BY opened_at DESC LIMIT 20000"
_LATEST: Final = """
SELECT user_id, metric, toUnixTimestamp64Milli(max(window_start)) AS time,
       argMax(last, window_start) AS value
FROM windows_1m
WHERE window_start >= now() - INTERVAL 7 DAY
GROUP BY user_id, metric
ORDER BY time DESC LIMIT 200000
"""
_MINUTES: Final = """
SELECT user_id, metric, toUnixTimestamp64Milli(window_start) AS start, mean
FROM windows_1m
WHERE window_start >= fromUnixTimestamp64Milli({since:Int64})
ORDER BY window_start LIMIT 2000000
"""


class History:
    """Implements :class:`app.live.store.Store`; queries run in threads, a few at a time.

    A query that ClickHouse refuses counts as the server being away: tables that were not created
    yet are the usual reason, and waiting helps.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = reader(settings)
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def samples(
        self, user: str, since_ms: int, until_ms: int, most: int
    ) -> list[dict[str, Any]]:
        """See :meth:`app.live.store.Store.samples`."""
        span = _span(user, since_ms, until_ms)
        if span is None:
            return []
        return await self._run(lambda: self._client.rows(_SAMPLES, span | {"most": most}))

    async def windows(
        self, user: str, size: str, since_ms: int, until_ms: int
    ) -> list[dict[str, Any]]:
        """See :meth:`app.live.store.Store.windows`."""
        span = _span(user, since_ms, until_ms)
        if span is None:
            return []
        rows = await self._run(lambda: self._client.rows(_WINDOWS.format(size=size), span))
        return [_window_columns(row, size) for row in rows]

    async def alerts(self, user: str, since_ms: int) -> list[Alert]:
        """See :meth:`app.live.store.Store.alerts`."""
        span = _span(user, since_ms, since_ms)
        if span is None:
            return []
        rows = await self._run(lambda: self._client.rows(_ALERTS, span))
        return [_alert(row) for row in rows]

    async def open_alerts(self) -> list[Alert]:
        """See :meth:`app.live.store.Store.open_alerts`."""
        return [_alert(row) for row in await self._run(lambda: self._client.rows(_OPEN))]

    async def latest(self) -> Sequence[tuple[str, str, int, float]]:
        """See :meth:`app.live.store.Store.latest`; values are those of the last minutes."""
        return _tuples(await self._run(lambda: self._client.columns(_LATEST)))

    async def minutes(self, since_ms: int) -> Sequence[tuple[str, str, int, float]]:
        """See :meth:`app.live.store.Store.minutes`."""
        since = {"since": since_ms}
        return _tuples(await self._run(lambda: self._client.columns(_MINUTES, since)))

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._client.close)

    async def _run(self, query: Callable[[], T]) -> T:
        async with self._slots:
            try:
                return await asyncio.to_thread(query)
            except QueryError as error:
                raise ClickHouseUnavailableError(f"ClickHouse cannot tell: {error}") from error


def _span(user: str, since_ms: int, until_ms: int) -> dict[str, Any] | None:
    """Return a query's parameters; None for an id that cannot be stored, so that nothing is."""
    try:
        return {"user": str(UUID(user)), "since": since_ms, "until": until_ms}
    except ValueError:
        return None


def _window_columns(row: dict[str, Any], size: str) -> dict[str, Any]:
    return {
        "metric": row["metric"],
        "size": size,
        "start": row["start"],
        "end": row["end"],
        "count": row["counts"],
        "mean": row["means"],
        "min": row["mins"],
        "max": row["maxs"],
        "low": row["low"],
        "high": row["high"],
        "version": row["versions"],
    }


def _alert(row: dict[str, Any]) -> Alert:
    """Return a stored alert in the words of the topic: ids as text, instants in milliseconds."""
    alert: Alert = {}
    for name, value in row.items():
        if isinstance(value, UUID):
            alert[name] = str(value)
        elif isinstance(value, datetime):
            alert[name.replace("_at", "_ms")] = _ms(value)
        else:
            alert[name] = value
    alert["sample_times"] = [_ms(time) for time in row["sample_times"]]
    alert.setdefault("resolved_ms", alert.pop("resolved_at", None))
    alert["window_start_ms"] = alert.pop("window_start", None)
    alert["window_end_ms"] = alert.pop("window_end", None)
    return alert


def _ms(value: datetime) -> int:
    return round(value.timestamp() * 1000)


def _tuples(columns: Columns) -> list[tuple[str, str, int, float]]:
    users, *rest = columns.values()
    return list(zip(map(str, users), *rest, strict=True))
