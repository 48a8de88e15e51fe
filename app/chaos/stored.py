"""Reading back what the system holds, as an analyst would."""

from collections.abc import Iterator
from typing import Any, Final

from app.chaos.expected import Identity, Window, WindowKey
from app.clickhouse.client import ClickHouse

KEYS: Final = {
    "samples": "user_id, metric, device_id, time",
    "windows_1m": "user_id, metric, window_start",
    "windows_1h": "user_id, metric, window_start",
    "windows_1d": "user_id, metric, window_start",
    "alerts": "alert_id",
    "uploads": "upload_id",
    "ledger": "upload_id",
    "rejected_samples": "upload_id, series, index",
    "dead_letters": "topic, partition, offset",
}
"""Views, and the columns that make a row of each unique."""
_SAMPLES: Final = """
SELECT metric, device_id, toUnixTimestamp64Milli(time) AS at, value
FROM samples WHERE user_id = {user:UUID}
"""
_WINDOWS: Final = """
SELECT metric, toUnixTimestamp64Milli(window_start) AS start,
    toUnixTimestamp64Milli(window_end) AS end, count, sum, mean, stddev, min, max, first, last
FROM {table} WHERE user_id = {{user:UUID}}
"""
_LEDGER: Final = """
SELECT toString(upload_id) AS id, accepted, stored, duplicate, rejected, dead_lettered, balanced
FROM ledger WHERE user_id = {user:UUID}
"""
_REJECTED: Final = """
SELECT toString(upload_id) AS id, series, index, reason
FROM rejected_samples WHERE user_id = {user:UUID}
"""
_ALERTS: Final = """
SELECT toString(alert_id) AS id, toString(user_id) AS person, metric, device_id, rule, rule_version,
    toString(severity) AS severity, toString(status) AS status, revision,
    toUnixTimestamp64Milli(opened_at) AS opened_ms,
    toUnixTimestamp64Milli(changed_at) AS changed_ms,
    toUnixTimestamp64Milli(resolved_at) AS resolved_ms, value, unit, expected_low, expected_high,
    baseline_count, explanation
FROM alerts WHERE user_id = {user:UUID}
"""
_LETTERS: Final = """
SELECT topic, partition, offset, error, origin_topic, origin_partition, origin_offset,
    hex(MD5(payload)) AS digest
FROM dead_letters_data FINAL
"""
_OPEN: Final = """
SELECT count() AS uploads, countIf(NOT balanced) AS open
FROM ledger WHERE user_id IN {users:Array(UUID)}
"""
_ROWS_AND_KEYS: Final = "SELECT count() AS found, uniqExact({key}) AS keys FROM {view}"


class Stored:
    """What ClickHouse holds.

    Every method raises ClickHouseUnavailableError or QueryError when it cannot be read.

    Parameters
    ----------
    clickhouse : ClickHouse
        A reader.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    def samples(self, user: str) -> dict[Identity, float]:
        """Return a person's samples."""
        columns = self._clickhouse.columns(_SAMPLES, {"user": user})
        return {
            (user, metric, device, at): value
            for metric, device, at, value in zip(*columns.values(), strict=True)
        }

    def windows(self, user: str, table: str) -> dict[WindowKey, Window]:
        """Return a person's windows of one size."""
        found: dict[WindowKey, Window] = {}
        for row in self._rows(_WINDOWS.format(table=table), user):
            spread = row["stddev"]
            found[user, row["metric"], row["start"]] = Window(
                row["end"], row["count"], row["sum"], row["mean"],
                float("nan") if spread is None else spread**2,
                row["min"], row["max"], row["first"], row["last"],
            )  # fmt: skip
        return found

    def ledger(self, user: str) -> dict[str, dict[str, Any]]:
        """Return a person's rows of the ledger, by upload."""
        return {row.pop("id"): row for row in self._rows(_LEDGER, user)}

    def rejected(self, user: str) -> dict[str, dict[tuple[int, int], str]]:
        """Return the reasons of a person's rejected samples, by upload, series and index."""
        found: dict[str, dict[tuple[int, int], str]] = {}
        for row in self._rows(_REJECTED, user):
            found.setdefault(row["id"], {})[row["series"], row["index"]] = row["reason"]
        return found

    def alerts(self, user: str) -> Iterator[dict[str, Any]]:
        """Yield a person's alerts, each as its last revision left it."""
        for row in self._rows(_ALERTS, user):
            yield {"alert_id": row.pop("id"), "user_id": row.pop("person")} | row

    def dead_letters(self) -> list[dict[str, Any]]:
        """Return every dead letter with the MD5 of its bytes."""
        return self._clickhouse.rows(_LETTERS)

    def open_uploads(self, users: list[str]) -> tuple[int, int]:
        """Return how many uploads of people are in the ledger, and how many do not balance."""
        [row] = self._clickhouse.rows(_OPEN, {"users": users})
        return row["uploads"], row["open"]

    def rows_and_keys(self, view: str) -> tuple[int, int]:
        """Return how many rows a view has, and how many different keys."""
        [row] = self._clickhouse.rows(_ROWS_AND_KEYS.format(key=KEYS[view], view=view))
        return row["found"], row["keys"]

    def _rows(self, sql: str, user: str) -> list[dict[str, Any]]:
        return self._clickhouse.rows(sql, {"user": user})
