"""The watchdog: what it takes for a standstill, and that a frozen process ends."""

from pathlib import Path
from uuid import UUID

import pytest

from app.clickhouse.migrate import migrate
from app.kafka.admin import create_topics
from app.kafka.effects import EXIT_UNFINISHED
from app.kafka.watchdog import Place, Progress
from app.settings import Settings
from schemas.topics import SAMPLES, SINK, UPLOADS
from tests.clickhouse.batches import Upload, batch_of
from tests.clickhouse.databases import settings_of
from tests.clickhouse.records import applied_value
from tests.kafka.conftest import SmallApps
from tests.servers import ClickHouseServer, KafkaServer, wait_until
from tests.sink.door import Door
from tests.sink.running import Feed, committed, running_sink

_USER = UUID(int=7)
A, B = ("uploads", 0), ("uploads", 1)


def look(progress: Progress, offsets: dict[Place, int], now: float, end: int = 9) -> str | None:
    return progress.moving(offsets, lambda _: end, now)


def test_standing_still_with_waiting_records_is_noticed_after_the_limit() -> None:
    progress = Progress(10)
    assert look(progress, {A: 5, B: 5}, 0) is None
    assert look(progress, {A: 6, B: 5}, 9) is None
    reason = look(progress, {A: 7, B: 5}, 11)
    assert reason == "uploads-1: nothing acknowledged beyond 5 for 11 s"
    assert progress.longest(11) == 11


def test_standing_still_without_waiting_records_is_not() -> None:
    progress = Progress(10)
    for now in range(0, 100, 5):
        assert look(progress, {A: 9}, now) is None
    assert look(progress, {A: 9}, 101, end=10) is None, "one has come: the time begins now"
    assert look(progress, {A: 9}, 112, end=10) is not None


def test_a_partition_that_moves_is_not_asked_for_its_end() -> None:
    progress = Progress(10)
    asked: list[Place] = []

    def end(place: Place) -> int:
        asked.append(place)
        return 9

    for offset in range(5):
        progress.moving({A: offset, B: 3}, end, offset)
    assert set(asked) == {B}


def test_a_partition_that_was_lost_begins_afresh_when_it_comes_back() -> None:
    progress = Progress(10)
    look(progress, {A: 5}, 0)
    look(progress, {B: 5}, 8)
    assert look(progress, {A: 5, B: 6}, 12) is None
    assert look(progress, {}, 60) is None


def test_waiting_for_a_reason_begins_afresh() -> None:
    progress = Progress(10)
    look(progress, {A: 5}, 0)
    progress.wait()
    assert look(progress, {A: 5}, 50) is None
    assert look(progress, {A: 5}, 61) is not None


def test_a_rebalance_may_take_long_while_it_comes_on_but_not_for_ever() -> None:
    progress = Progress(10)
    look(progress, {A: 5}, 0)
    assert progress.settling("first", 30) is None
    assert progress.settling("second", 75) is None, "it comes on"
    assert progress.settling("second", 120) is None
    assert progress.settling("second", 126) is not None
    assert look(progress, {A: 5}, 127) is None, "and then the partitions begin afresh"


@pytest.mark.servers
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("agent", "uploads-0: nothing acknowledged beyond"),
        ("loop", "the event loop has stood still"),
    ],
)
def test_a_frozen_process_ends_and_acknowledges_nothing(
    fault: str, words: str, apps: SmallApps, feed: Feed
) -> None:
    apps.start(fault)
    feed.send(UPLOADS, *[b"sound"] * 10)
    apps.wait_acknowledged(10)
    feed.send(UPLOADS, b"freeze", *[b"sound"] * 4)
    assert apps.wait_ended() == EXIT_UNFINISHED
    assert words in apps.log
    assert "small_app.py" in apps.log, "the stacks say where it stood"
    assert apps.acknowledged() == 10
    apps.start()
    apps.wait_acknowledged(15)


@pytest.mark.servers
def test_a_sink_that_waits_for_clickhouse_is_left_in_peace(
    kafka: KafkaServer, clickhouse: ClickHouseServer, tmp_path: Path
) -> None:
    made = settings_of(clickhouse, tmp_path, bootstrap=kafka.bootstrap)
    create_topics(made)
    migrate(made)
    door = Door(clickhouse.url)
    behind = Settings(
        _env_file=None,
        **{name: getattr(made, name) for name in made.model_fields_set}
        | {"clickhouse_url": door.url, "stall_seconds": 10},
    )
    feed = Feed(made)
    with door.running(), running_sink(behind, tmp_path) as sink:
        feed.send(SAMPLES, applied_value(batch_of([Upload(_USER, [(0, 60.0)])])))
        wait_until(lambda: committed(made, SINK, SAMPLES) == 1, "the sink stores", 40, 0.1)
        door.close()
        feed.send(SAMPLES, applied_value(batch_of([Upload(_USER, [(1, 61.0)])])))
        # Its pauses double: by the ninth it has stood still for longer than the limit.
        wait_until(lambda: sink.log.count("not stored yet") >= 9, "it tries again and again", 60)
        sink.check_alive()
        assert committed(made, SINK, SAMPLES) == 1
        door.open()
        wait_until(lambda: committed(made, SINK, SAMPLES) == 2, "the sink goes on", 60, 0.1)
        sink.check_alive()
