"""Stored history: what ClickHouse holds reads like what the live topics carry."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr

from app.clickhouse.client import ClickHouse, writer
from app.clickhouse.migrate import migrate
from app.errors import ClickHouseUnavailableError
from app.live.history import History
from app.settings import Settings
from tests.live.support import MINUTE, free, person
from tests.servers import ClickHouseServer

pytestmark = pytest.mark.servers
INSTANT = pa.timestamp("ms", tz="UTC")
START = 1_795_428_000_000


@pytest.fixture(scope="module")
def settings(clickhouse: ClickHouseServer) -> Settings:
    """Return settings with a migrated database of the module's own."""
    found = Settings(
        _env_file=None,
        clickhouse_url=clickhouse.url,
        clickhouse_user=clickhouse.writer_user,
        clickhouse_password=SecretStr(clickhouse.writer_password),
        clickhouse_reader=clickhouse.reader_user,
        clickhouse_database=f"live_{uuid.uuid4().hex[:8]}",
    )
    migrate(found)
    return found


@pytest.fixture
def database(settings: Settings) -> ClickHouse:
    """Return what writes to the tables."""
    return writer(settings)


@pytest.fixture
async def history(settings: Settings) -> AsyncIterator[History]:
    """Yield what is tested."""
    found = History(settings)
    yield found
    await found.close()


def instants(times: list[int]) -> Any:  # noqa: ANN401 - an Arrow array
    return pa.array([datetime.fromtimestamp(t / 1000, UTC) for t in times], INSTANT)


def store_samples(
    database: ClickHouse, user: str, device: str, rows: list[tuple[int, float]]
) -> None:
    count = len(rows)
    columns = {
        "user_id": [user] * count,
        "metric": ["heart_rate"] * count,
        "device_id": [device] * count,
        "time": instants([t for t, _ in rows]),
        "upload_id": [str(uuid.uuid4())] * count,
        "value": [v for _, v in rows],
        "received_at": instants([START] * count),
        "source": ["test"] * count,
    }
    database.insert("samples_data", pa.table(columns))


def store_minutes(database: ClickHouse, user: str, rows: list[tuple[int, float]]) -> None:
    count = len(rows)
    means = [mean for _, mean in rows]
    columns = {
        "user_id": [user] * count,
        "metric": ["heart_rate"] * count,
        "window_start": instants([s for s, _ in rows]),
        "window_end": instants([s + MINUTE for s, _ in rows]),
        "count": pa.array([2] * count, pa.uint64()),
        "sum": [2 * mean for mean in means],
        "sum_sq": [2 * mean * mean for mean in means],
        "min": [mean - 1 for mean in means],
        "max": [mean + 1 for mean in means],
        "first": means,
        "last": [mean + 0.5 for mean in means],
        "version": pa.array([7] * count, pa.uint64()),
        "expected_low": pa.array([None, *[50.0] * (count - 1)], pa.float64()),
        "expected_high": pa.array([None, *[80.0] * (count - 1)], pa.float64()),
        "emitted_at": instants([START] * count),
    }
    database.insert("windows_1m_data", pa.table(columns))


async def test_samples_are_the_newest_of_each_metric_in_order(
    history: History, database: ClickHouse
) -> None:
    user = person()
    store_samples(database, user, "watch", [(START + 1000 * n, 60.0 + n) for n in range(10)])
    store_samples(database, user, "strap", [(START + 8500, 99.0)])
    store_samples(database, person(), "watch", [(START, 1.0)])
    found = await history.samples(user, START, START + MINUTE, 4)
    by_device = {series["device"]: series for series in found}
    assert by_device["strap"]["times"] == [START + 8500]
    assert by_device["watch"]["times"] == [START + 7000, START + 8000, START + 9000]
    assert by_device["watch"]["values"] == [67.0, 68.0, 69.0]
    assert by_device["watch"]["metric"] == "heart_rate"


async def test_windows_come_as_columns(history: History, database: ClickHouse) -> None:
    user = person()
    store_minutes(database, user, [(START + MINUTE * n, 60.0 + n) for n in range(4)])
    (found,) = await history.windows(user, "1m", START + MINUTE // 2, START + 2 * MINUTE)
    assert found["start"] == [START, START + MINUTE]
    assert found["end"] == [START + MINUTE, START + 2 * MINUTE]
    assert found["mean"] == [60.0, 61.0]
    assert found["min"] == [59.0, 60.0]
    assert found["count"] == [2, 2]
    assert found["version"] == [7, 7]
    assert str(found["low"][0]) == "nan"
    assert found["low"][1] == 50.0
    assert await history.windows(user, "1h", START, START + MINUTE) == []


async def test_alerts_read_like_the_topic(history: History, database: ClickHouse) -> None:
    user, alert_id = person(), str(uuid.uuid4())
    columns = {
        "alert_id": [alert_id],
        "user_id": [user],
        "metric": ["heart_rate"],
        "device_id": ["watch"],
        "rule": ["threshold"],
        "rule_version": pa.array([1], pa.uint32()),
        "severity": ["critical"],
        "status": ["opened"],
        "revision": pa.array([1], pa.uint32()),
        "opened_at": instants([START]),
        "changed_at": instants([START + 5]),
        "resolved_at": pa.array([None], INSTANT),
        "value": [148.0],
        "unit": ["/min"],
        "expected_low": pa.array([None], pa.float64()),
        "expected_high": [130.0],
        "baseline_count": pa.array([0], pa.uint32()),
        "window_start": instants([START - MINUTE]),
        "window_end": instants([START]),
        "explanation": ["Too high."],
        "sample_times": pa.array([[datetime.fromtimestamp(START / 1000, UTC)]], pa.list_(INSTANT)),
        "sample_values": [[148.0]],
    }
    database.insert("alerts_data", pa.table(columns))
    expected = {
        "alert_id": alert_id,
        "user_id": user,
        "severity": "critical",
        "status": "opened",
        "revision": 1,
        "opened_ms": START,
        "changed_ms": START + 5,
        "resolved_ms": None,
        "value": 148.0,
        "expected_low": None,
        "window_start_ms": START - MINUTE,
        "window_end_ms": START,
        "sample_times": [START],
    }
    (found,) = await history.alerts(user, START)
    assert {name: found[name] for name in expected} == expected
    assert alert_id in [a["alert_id"] for a in await history.open_alerts()]


async def test_everybodys_latest_values_and_minutes(history: History, database: ClickHouse) -> None:
    user = person()
    now = int(datetime.now(UTC).timestamp() * 1000) // MINUTE * MINUTE
    store_minutes(database, user, [(now - MINUTE, 60.0), (now, 61.0)])
    latest = {(u, m): (t, v) for u, m, t, v in await history.latest()}
    assert latest[user, "heart_rate"] == (now, 61.5)
    minutes = [(t, v) for u, _, t, v in await history.minutes(now - 2 * MINUTE) if u == user]
    assert minutes == [(now - MINUTE, 60.0), (now, 61.0)]


async def test_an_id_that_cannot_be_stored_has_no_history(history: History) -> None:
    assert await history.samples("nobody", 0, START, 10) == []
    assert await history.alerts("nobody", 0) == []


async def test_a_server_that_is_away_is_told(settings: Settings) -> None:
    away = settings.model_copy(update={"clickhouse_url": f"http://127.0.0.1:{free()}"})
    away.__dict__.pop("clickhouse", None)
    history = History(away)
    with pytest.raises(ClickHouseUnavailableError):
        await history.alerts(person(), 0)
    await history.close()
