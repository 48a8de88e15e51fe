"""The sink against a real broker and a real ClickHouse: everything arrives, once, whatever dies."""

from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.clickhouse.client import ClickHouse
from app.settings import Settings
from schemas import statuses, uploads
from schemas.codec import Codec
from schemas.topics import ALERTS, DEAD_LETTERS, REJECTED, SAMPLES, SINK, UPLOAD_STATUS
from schemas.windows import HOUR, HOUR_MS, MINUTE, MINUTE_MS
from tests.clickhouse.batches import NOON_MS, Upload, batch_of, received
from tests.clickhouse.records import LateWindow, applied_value
from tests.servers import ClickHouseServer, wait_until
from tests.sink.door import Door
from tests.sink.running import Feed, committed, read, running_sink

pytestmark = pytest.mark.servers

_CODEC = Codec()


def _count(reading: ClickHouse, table: str) -> int:
    [row] = reading.rows(f"SELECT count() AS n FROM {table}")  # noqa: S608
    return int(row["n"])


def _waits_for(reading: ClickHouse, table: str, rows: int) -> None:
    wait_until(lambda: _count(reading, table) == rows, f"{rows} rows in {table}", 90)


def _holds_more_than(reading: ClickHouse, rows: int) -> bool:
    return _count(reading, "samples") > rows


def _acknowledged(settings: Settings, offset: int) -> None:
    wait_until(
        lambda: committed(settings, SINK, SAMPLES) == offset, f"{offset} are acknowledged", 60
    )


def _one_sample(user: UUID, at: int) -> bytes:
    return applied_value(batch_of([Upload(user, [(at, 60.0)])]))


def test_every_topic_is_stored(
    settings: Settings, reading: ClickHouse, feed: Feed, tmp_path: Path
) -> None:
    user = uuid4()
    batch = batch_of([Upload(user, [(0, 60.0), (1000, 61.0)])])
    failed = batch_of([Upload(user, [(5, 60.0)])])
    late = LateWindow(MINUTE, str(user), "heart_rate", NOON_MS, NOON_MS + MINUTE_MS)
    status = received(batch)
    feed.send(UPLOAD_STATUS, statuses.encode(status, _CODEC), key=status.key)
    feed.send(SAMPLES, applied_value(batch, late=[late]))
    feed.send(ALERTS, _CODEC.encode("alert", _alert(user)))
    feed.send(REJECTED, _CODEC.encode("rejected_samples", _rejected(user)))
    feed.send(
        DEAD_LETTERS,
        uploads.encode(failed, _CODEC),
        headers=[("vs-error", b"ValidationError: odd"), ("vs-origin", b"uploads/0/3")],
    )
    with running_sink(settings, tmp_path) as sink:
        for table, rows in (
            ("samples", 2), ("windows_1m", 1), ("alerts", 1), ("uploads", 1),
            ("rejected_samples", 1), ("dead_letters", 1),
        ):  # fmt: skip
            _waits_for(reading, table, rows)
        told = statuses.decode(_value(read(settings, UPLOAD_STATUS, until=2)[1]), _CODEC)
        assert (told.stage, told.batch_id) == ("stored", batch.batch_id)
        assert sink.stop() == 0
    assert reading.columns("SELECT balanced FROM ledger") == {"balanced": [True, True]}
    [letter] = reading.rows(
        "SELECT error, origin_topic, origin_offset, upload_ids FROM dead_letters"
    )
    assert letter == {
        "error": "ValidationError",
        "origin_topic": "uploads",
        "origin_offset": 3,
        "upload_ids": [UUID(bytes=failed.upload_ids[0].tobytes())],
    }


def test_a_poison_record_is_kept_and_its_neighbours_do_not_notice(
    settings: Settings, reading: ClickHouse, feed: Feed, tmp_path: Path
) -> None:
    user = uuid4()
    feed.send(SAMPLES, _one_sample(user, 0), b"\x00poison", _one_sample(user, 1))
    with running_sink(settings, tmp_path):
        _waits_for(reading, "samples", 2)
        _waits_for(reading, "dead_letters", 1)
        _acknowledged(settings, 3)
    [letter] = reading.rows("SELECT topic, offset, error, bytes FROM dead_letters")
    assert letter == {"topic": "samples", "offset": 1, "error": "UnknownSchemaError", "bytes": 7}


def test_nothing_is_lost_while_clickhouse_is_away(
    settings: Settings,
    clickhouse: ClickHouseServer,
    reading: ClickHouse,
    feed: Feed,
    tmp_path: Path,
) -> None:
    user = uuid4()
    with (
        Door(clickhouse.url).running() as door,
        running_sink(settings.model_copy(update={"clickhouse_url": door.url}), tmp_path) as sink,
    ):
        feed.send(SAMPLES, _one_sample(user, 0))
        _waits_for(reading, "samples", 1)
        for away, back, first in ((door.close, door.open, 1), (door.stick, door.open, 51)):
            _acknowledged(settings, first)
            away()
            feed.send(SAMPLES, *(_one_sample(user, at) for at in range(first, first + 50)))
            if away == door.close:
                wait_until(lambda: "trying again" in sink.log, "the sink notices")
            assert committed(settings, SINK, SAMPLES) == first
            assert _count(reading, "samples") == first
            back()
            _waits_for(reading, "samples", first + 50)
        sink.check_alive()


def test_kill_9_changes_no_row(
    settings: Settings, reading: ClickHouse, feed: Feed, tmp_path: Path
) -> None:
    user = uuid4()
    with running_sink(settings, tmp_path) as sink:
        for first in (0, 100):
            feed.send(SAMPLES, *(_one_sample(user, at) for at in range(first, first + 100)))
            wait_until(partial(_holds_more_than, reading, first), "it has begun", 90)
            sink.die_and_start()
        _waits_for(reading, "samples", 200)
    assert reading.columns("SELECT DISTINCT balanced FROM ledger") == {"balanced": [True]}


def test_late_windows_survive_kill_9_and_two_sinks(
    settings: Settings, reading: ClickHouse, feed: Feed, tmp_path: Path
) -> None:
    users = [uuid4() for _ in range(40)]
    month_ago = -30 * 1440
    for first in range(month_ago, month_ago + 20):
        feed.send(SAMPLES, *(_late_minute(user, first) for user in users[:20]), partition=0)
        feed.send(SAMPLES, *(_late_minute(user, first) for user in users[20:]), partition=1)
    (tmp_path / "other").mkdir()
    with running_sink(settings, tmp_path) as sink, running_sink(settings, tmp_path / "other"):
        wait_until(partial(_holds_more_than, reading, 0), "it has begun", 90)
        sink.die_and_start()
        _waits_for(reading, "samples", 800)
        _waits_for(reading, "windows_1m", 800)
        wait_until(lambda: _nothing_waits(reading), "no window waits", 60)
    assert reading.columns("SELECT DISTINCT count FROM windows_1m") == {"count": [1]}
    assert _count(reading, "windows_1h") == 40
    [row] = reading.rows("SELECT sum(count) AS n FROM windows_1h")
    assert row == {"n": 800}


def _nothing_waits(reading: ClickHouse) -> bool:
    return reading.rows("SELECT requests FROM backfill") == [{"requests": 0}]


def _late_minute(user: UUID, minute: int) -> bytes:
    """Return a sample whose minute and hour the worker does not hold any more."""
    start = NOON_MS + minute * MINUTE_MS
    late = [
        LateWindow(size, str(user), "heart_rate", first, first + length)
        for size, length in ((MINUTE, MINUTE_MS), (HOUR, HOUR_MS))
        for first in (start // length * length,)
    ]
    return applied_value(batch_of([Upload(user, [(minute * MINUTE_MS, 60.0)])]), late=late)


def _value(message: object) -> bytes:
    value = message.value()  # type: ignore[attr-defined]
    assert isinstance(value, bytes)
    return value


def _alert(user: UUID) -> dict[str, object]:
    return {
        "alert_id": str(uuid4()), "user_id": str(user), "metric": "heart_rate",
        "device_id": "watch", "rule": "limits", "rule_version": 1, "severity": "critical",
        "status": "opened", "revision": 1, "opened_ms": NOON_MS, "changed_ms": NOON_MS,
        "resolved_ms": None, "value": 140.0, "unit": "/min", "expected_low": None,
        "expected_high": 130.0, "baseline_count": 0, "window_start_ms": NOON_MS,
        "window_end_ms": NOON_MS + 1, "explanation": "too fast", "sample_times": [NOON_MS],
        "sample_values": [140.0],
    }  # fmt: skip


def _rejected(user: UUID) -> dict[str, object]:
    sample = {
        "series": 0, "index": 3, "metric": "heart_rate", "unit": "/min", "time": "now",
        "value": "900", "reason": "out_of_range", "detail": "above 300",
    }  # fmt: skip
    return {
        "upload_id": str(uuid4()), "user_id": str(user), "device_id": "watch", "source": "test",
        "received_ms": NOON_MS, "samples": [sample],
    }  # fmt: skip
