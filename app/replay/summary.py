"""What became of a replay: waits until all of it is stored, and shows it as ClickHouse tells it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from app.clickhouse.client import ClickHouse, reader
from app.errors import RecordingError, UnavailableError
from app.kafka.lag import lags
from app.settings import Settings

PATIENCE_SECONDS: Final = 180.0
_POLL_SECONDS = 0.5
_CLOCKS_MS = 60_000
"""How far the player's clock may be ahead of the gateway's."""
_USERS_A_QUERY = 100

_BACKFILL: Final = "SELECT windows, requests FROM backfill"
_LEDGER = """
SELECT upload_id, accepted, stored, duplicate, rejected, dead_lettered, balanced
FROM ledger
WHERE received_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
"""
_COUNTS = """
SELECT
    toString(user_id) AS user, toString(metric) AS metric,
    sum(a) AS samples, sum(b) AS minutes, sum(c) AS hours, sum(d) AS days, sum(e) AS alerts
FROM
(
    SELECT user_id, metric, count() AS a, 0 AS b, 0 AS c, 0 AS d, 0 AS e
    FROM samples WHERE user_id IN {users:Array(UUID)} GROUP BY user_id, metric
    UNION ALL
    SELECT user_id, metric, 0, count(), 0, 0, 0
    FROM windows_1m WHERE user_id IN {users:Array(UUID)} GROUP BY user_id, metric
    UNION ALL
    SELECT user_id, metric, 0, 0, count(), 0, 0
    FROM windows_1h WHERE user_id IN {users:Array(UUID)} GROUP BY user_id, metric
    UNION ALL
    SELECT user_id, metric, 0, 0, 0, count(), 0
    FROM windows_1d WHERE user_id IN {users:Array(UUID)} GROUP BY user_id, metric
    UNION ALL
    SELECT user_id, metric, 0, 0, 0, 0, count()
    FROM alerts WHERE user_id IN {users:Array(UUID)} GROUP BY user_id, metric
)
GROUP BY user_id, metric
ORDER BY user, metric
"""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a replay has sent, as its own summary says.

    Attributes
    ----------
    upload_ids : set of UUID
        Uploads that a gateway has accepted.
    accepted, rejected : int
        Counts of samples, as the gateway answered.
    user_ids : list of str
        People.
    since_ms : int
        When it began, epoch milliseconds.
    complete : bool
        Whether all could be sent.
    """

    upload_ids: frozenset[UUID]
    accepted: int
    rejected: int
    user_ids: list[str]
    since_ms: int
    complete: bool

    @classmethod
    def read(cls, path: Path) -> "Expected":
        """Read the summary that the player has left.

        Raises
        ------
        RecordingError
            If there is none, or it cannot be read.
        """
        try:
            summary = orjson.loads(path.read_bytes())
            ids = Path(summary["upload_ids_file"]).read_text().split()
            return cls(
                frozenset(UUID(one) for one in ids),
                int(summary["accepted"]),
                int(summary["rejected"]),
                list(summary["user_ids"]),
                int(summary["started_ms"]),
                bool(summary["complete"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordingError(
                f"the replay's summary {path} cannot be read: {type(error).__name__}"
            ) from error


@dataclass(frozen=True, slots=True)
class Totals:
    """The ledger's sums over the uploads of a replay."""

    uploads: int
    accepted: int
    stored: int
    duplicate: int
    rejected: int
    dead_lettered: int
    unbalanced: int


def run(settings: Settings) -> int:
    """Wait for the last replay to be stored, print what ClickHouse holds, and check the ledger.

    Returns
    -------
    int
        0 when every sample is accounted for; 1 otherwise, with the reason printed.

    Raises
    ------
    RecordingError
        If there was no replay.
    """
    console = Console(highlight=False)
    expected = Expected.read(settings.data_dir / "run" / "replay.json")
    problem = wait_until_stored(settings, expected)
    database = reader(settings)
    try:
        _print_counts(console, database, expected.user_ids)
        totals = totals_of(database, expected)
    except UnavailableError as error:
        problem = problem or str(error)
    else:
        _print_totals(console, totals)
    finally:
        database.close()
    if problem is None and not expected.complete:
        problem = "the replay could not send everything"
    if problem is not None:
        console.print(f"[bold red]✗[/] {problem}")
        return 1
    console.print("[bold green]✓[/] ledger balanced: every accepted sample is accounted for")
    return 0


def wait_until_stored(
    settings: Settings, expected: Expected, *, patience: float = PATIENCE_SECONDS
) -> str | None:
    """Wait until nothing is under way and the ledger accounts for all that was sent.

    Parameters
    ----------
    settings : Settings
        The deployment.
    expected : Expected
        What was sent.
    patience : float
        Longest wait in seconds.

    Returns
    -------
    str or None
        What was still wrong in the end; None when nothing was.
    """
    deadline = time.monotonic() + patience
    database = reader(settings)
    quiet = 0
    try:
        while True:
            problem = _asked(lambda: _under_way(settings, database))
            # Offsets are asked for one after the other: only a second silence is one.
            quiet = quiet + 1 if problem is None else 0
            if quiet >= 2:
                problem = _asked(lambda: _missing(totals_of(database, expected), expected))
            if (quiet >= 2 and problem is None) or time.monotonic() > deadline:
                return problem
            time.sleep(_POLL_SECONDS)
    finally:
        database.close()


def totals_of(database: ClickHouse, expected: Expected) -> Totals:
    """Return the ledger's sums over the uploads of a replay.

    Raises
    ------
    ClickHouseUnavailableError, QueryError
        See :class:`~app.clickhouse.client.ClickHouse`.
    """
    columns = database.columns(_LEDGER, {"since": expected.since_ms - _CLOCKS_MS})
    rows = [row for row in zip(*columns.values(), strict=True) if row[0] in expected.upload_ids]
    accepted, stored, duplicate, rejected, dead_lettered, balanced = (
        sum(int(row[place]) for row in rows) for place in range(1, 7)
    )
    unbalanced = len(rows) - balanced
    return Totals(len(rows), accepted, stored, duplicate, rejected, dead_lettered, unbalanced)


def _asked(question: Callable[[], str | None]) -> str | None:
    try:
        return question()
    except UnavailableError as error:
        return str(error)


def _under_way(settings: Settings, database: ClickHouse) -> str | None:
    behind: dict[str, int] = {}
    for one in lags(settings):
        behind[one.group] = behind.get(one.group, 0) + one.lag
    late = [f"{group}: {lag:,} records" for group, lag in behind.items() if lag]
    [backfill] = database.rows(_BACKFILL)
    if backfill["requests"]:
        late.append(f"backfill: {backfill['windows']:,} late windows")
    return f"still under way: {', '.join(late)}" if late else None


def _missing(totals: Totals, expected: Expected) -> str | None:
    if totals.uploads != len(expected.upload_ids):
        return f"the ledger has {totals.uploads:,} of {len(expected.upload_ids):,} accepted uploads"
    if totals.unbalanced:
        return f"{totals.unbalanced:,} uploads are not balanced"
    for name in ("accepted", "rejected"):
        ours, theirs = getattr(totals, name), getattr(expected, name)
        if ours != theirs:
            return f"the ledger has {ours:,} {name} samples, the gateway answered {theirs:,}"
    return None


def _counts(database: ClickHouse, user_ids: list[str]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(user_ids), _USERS_A_QUERY):
        users = user_ids[start : start + _USERS_A_QUERY]
        yield from database.rows(_COUNTS, {"users": users})


def _print_counts(console: Console, database: ClickHouse, user_ids: list[str]) -> None:
    # Eight digits name a person well enough here, and the table fits a terminal of 80 columns.
    title = "In ClickHouse (users by their first eight digits; windows of 1 m, 1 h and 1 day)"
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    for name in ("user", "metric"):
        table.add_column(name, no_wrap=True)
    numbers = ("samples", "minutes", "hours", "days", "alerts")
    for name in ("samples", "1m", "1h", "1d", "alerts"):
        table.add_column(name, justify="right", no_wrap=True)
    totals = dict.fromkeys(numbers, 0)
    before = None
    for row in _counts(database, user_ids):
        if before is not None and row["user"] != before:
            table.add_section()
        shown = "" if row["user"] == before else str(row["user"])[:8]
        before = row["user"]
        table.add_row(shown, row["metric"], *(f"{row[name]:,}" for name in numbers))
        for name in numbers:
            totals[name] += row[name]
    table.add_section()
    table.add_row("all", "", *(f"{total:,}" for total in totals.values()), style="bold")
    console.print(table)


def _print_totals(console: Console, totals: Totals) -> None:
    console.print(
        f"{totals.uploads:,} uploads: {totals.accepted:,} samples accepted"
        f" = {totals.stored:,} stored + {totals.duplicate:,} duplicate"
        f" + {totals.dead_lettered:,} dead-lettered; {totals.rejected:,} rejected"
    )
