"""The backfill lane: a durable queue of late windows, each computed once, the recent ones first."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry

from app.clickhouse.client import ClickHouse, Parameters, writer
from app.clickhouse.migrate import migrate
from app.embedded.process import Deadline
from app.errors import QueryError
from app.metrics import SinkMetrics
from app.settings import Settings
from app.sink.backfill import Backfill
from app.sink.late_requests import TABLE, done, pending, request_rows, windows_of
from schemas.windows import DAY, HOUR, HOUR_MS, MINUTE, MINUTE_MS
from tests.clickhouse.batches import NOON_MS, Upload, batch_of
from tests.clickhouse.conftest import Storing
from tests.clickhouse.databases import settings_of
from tests.clickhouse.records import LateWindow, applied
from tests.servers import ClickHouseServer

pytestmark = pytest.mark.servers

_NOW_MS = int(datetime.now(UTC).timestamp() * 1000)
_DAY_MS = 24 * HOUR_MS


class Queue:
    """A queue of its own, and a lane that serves it when it is told to."""

    def __init__(self, settings: Settings, *, windows: int = 100_000) -> None:
        self.database = writer(settings)
        self.registry = CollectorRegistry()
        self.store = Storing(self.database)
        changed = {"backfill_share": 1.0, "backfill_windows": windows}
        self.lane = Backfill(
            self.database,
            settings.model_copy(update=changed),
            SinkMetrics(self.registry),
            lambda: True,
        )

    def waiting(self) -> dict[str, Any]:
        """Return the view ``backfill``."""
        [row] = self.database.rows("SELECT windows, requests, oldest FROM backfill")
        return row

    def counts(self, user: UUID) -> list[int]:
        """Return the samples of each of a person's minutes."""
        sql = "SELECT count FROM windows_1m WHERE user_id = {user:UUID} ORDER BY window_start"
        found: list[int] = self.database.columns(sql, {"user": user})["count"]
        return found

    async def ask(self, user: UUID, start_ms: int, minutes: int = 1) -> None:
        """Store a sample in each of some minutes, and ask for these minutes."""
        upload = Upload(
            user, [(start_ms - NOON_MS + minute * MINUTE_MS, 60.0) for minute in range(minutes)]
        )
        late = [
            LateWindow(MINUTE, str(user), "heart_rate", start, start + MINUTE_MS)
            for start in range(start_ms, start_ms + minutes * MINUTE_MS, MINUTE_MS)
        ]
        assert await self.store([applied(batch_of([upload]), late=late)]) == []


@pytest.fixture
def empty(clickhouse: ClickHouseServer, tmp_path: Path) -> Settings:
    """Give the test a migrated database of its own."""
    settings = settings_of(clickhouse, tmp_path)
    migrate(settings)
    return settings


@pytest.fixture
async def queue(empty: Settings) -> AsyncIterator[Queue]:
    made = Queue(empty)
    yield made
    await made.lane.stop()
    made.database.command(f"DROP DATABASE {empty.clickhouse_database}")
    made.database.close()


async def test_what_waits_is_shown_until_it_is_done(queue: Queue) -> None:
    assert queue.waiting() == {"windows": 0, "requests": 0, "oldest": None}
    user = uuid4()
    await queue.ask(user, NOON_MS - 30 * _DAY_MS, minutes=3)
    await queue.ask(user, NOON_MS - 30 * _DAY_MS, minutes=3)
    waiting = queue.waiting()
    assert (waiting["windows"], waiting["requests"]) == (6, 2)
    assert datetime.now(UTC) - waiting["oldest"] < timedelta(minutes=5)
    assert queue.counts(user) == []
    assert await queue.lane.batch()
    assert queue.waiting()["windows"] == 0
    assert queue.counts(user) == [1, 1, 1]
    assert not await queue.lane.batch()


async def test_a_window_that_was_asked_for_often_is_computed_once(queue: Queue) -> None:
    user = uuid4()
    for _ in range(5):
        await queue.ask(user, NOON_MS - 30 * _DAY_MS, minutes=2)
    assert await queue.lane.batch()
    assert queue.registry.get_sample_value("vitalstream_sink_late_windows_total") == 2


async def test_recent_windows_go_first_then_the_oldest_request(empty: Settings) -> None:
    queue = Queue(empty, windows=1)
    people = [uuid4() for _ in range(3)]
    for user, start in zip(
        people, (NOON_MS - 90 * _DAY_MS, NOON_MS - 30 * _DAY_MS, _NOW_MS), strict=True
    ):
        await queue.ask(user, start // MINUTE_MS * MINUTE_MS)
    for first, served in enumerate((people[2], people[0], people[1]), 1):
        assert await queue.lane.batch()
        assert queue.counts(served) == [1]
        assert sum(bool(queue.counts(user)) for user in people) == first
    assert not await queue.lane.batch()
    await queue.lane.stop()


async def test_what_was_asked_for_while_it_was_computed_waits_on(queue: Queue) -> None:
    user = uuid4()
    start = NOON_MS - 30 * _DAY_MS
    await queue.ask(user, start)
    [taken] = pending(queue.database, most=10).taken
    await queue.ask(user, start)  # another upload of the same minute, after the first was read
    done(queue.database, [taken])
    assert queue.waiting()["requests"] == 1
    queue.database.command(f"OPTIMIZE TABLE {TABLE} FINAL")
    assert queue.waiting()["requests"] == 1


async def test_late_windows_are_asked_for_after_the_samples_of_earlier_groups(
    queue: Queue,
) -> None:
    user, stored = uuid4(), asyncio.Event()
    start = NOON_MS - 30 * _DAY_MS
    late = LateWindow(MINUTE, str(user), "heart_rate", start, start + MINUTE_MS)
    asking = applied(batch_of([Upload(user, [(start - NOON_MS, 60.0)])]), late=[late])
    before = applied(batch_of([Upload(user, [(start - NOON_MS + 1, 61.0)])]))

    async def store_before() -> None:
        await stored.wait()
        await queue.store([before])

    earlier = asyncio.create_task(store_before())
    asked = asyncio.create_task(queue.store([asking], earlier=earlier))
    deadline = Deadline(30)
    while queue.database.rows("SELECT count() AS n FROM uploads") != [{"n": 1}]:
        assert not deadline.passed
        await asyncio.sleep(0.02)
    assert queue.waiting()["requests"] == 0
    stored.set()
    assert await asked == []
    assert await queue.lane.batch()
    assert queue.counts(user) == [2]


async def test_two_lanes_at_once_make_the_same_rows(queue: Queue, empty: Settings) -> None:
    other = Queue(empty)
    users = [uuid4() for _ in range(3)]
    for user in users:
        await queue.ask(user, NOON_MS - 30 * _DAY_MS, minutes=5)
    assert await queue.lane.batch() or await other.lane.batch()
    await other.lane.batch()
    assert [queue.counts(user) for user in users] == [[1] * 5] * 3
    assert queue.waiting()["windows"] == 0
    await other.lane.stop()
    other.database.close()


async def test_a_query_that_is_refused_is_halved(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = uuid4()
    await queue.ask(user, NOON_MS - 30 * _DAY_MS, minutes=8)
    plain = ClickHouse.command
    sizes: list[int] = []

    def command(self: ClickHouse, sql: str, parameters: Parameters | None = None) -> None:
        if parameters and "windows" in parameters:
            sizes.append(len(parameters["windows"]))
            if sizes[-1] > 3:
                raise QueryError(241, "MEMORY_LIMIT_EXCEEDED", "too much")
        plain(self, sql, parameters)

    monkeypatch.setattr(ClickHouse, "command", command)
    assert await queue.lane.batch()
    assert sizes[:3] == [8, 4, 2]
    assert queue.counts(user) == [1] * 8


def test_requests_are_bounded_and_come_back_whole(queue: Queue) -> None:
    n = 45_000
    user = uuid4()
    start = NOON_MS - 400 * _DAY_MS
    starts = [start + k * MINUTE_MS for k in range(n)]
    windows = pa.table(
        {
            "size": pa.array([(MINUTE, HOUR, DAY)[k % 3] for k in range(n)], pa.int8()),
            "user_id": pa.array([user.bytes] * n, pa.binary(16)),
            "metric": pa.array(["heart_rate"] * n),
            "window_start": pa.array(starts, pa.timestamp("ms", "UTC")),
            "window_end": pa.array([one + 1 for one in starts], pa.timestamp("ms", "UTC")),
        }
    )
    rows = request_rows(windows, now_ms=_NOW_MS)
    assert rows["windows"].to_pylist() == [20_000, 20_000, 5_000]
    queue.database.insert(TABLE, rows)
    found = pending(queue.database, most=30_000)
    assert found.windows == n
    assert 1 <= len(found.taken) <= 2
    everything = pending(queue.database, most=n)
    back = windows_of(queue.database, everything.taken)
    assert back["user_id"].unique().to_pylist() == [str(user)]
    assert sorted(back["window_start"].to_pylist()) == starts
    assert back["size"].to_pylist() == sorted(windows["size"].to_pylist())
