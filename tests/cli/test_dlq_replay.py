"""Replay as operators do it: killed in the middle, given again, repeated; the rows are exact."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.clickhouse.client import writer
from app.clickhouse.migrate import migrate
from app.embedded.process import kill, spawn
from app.settings import Settings
from schemas.topics import DEAD_LETTERS, SAMPLES, WINDOWS, WORKER
from tables.days import Calendar
from tests.clickhouse.databases import settings_of
from tests.servers import ClickHouseServer, KafkaServer, wait_until
from tests.sink.running import environment
from tests.worker.conftest import System
from tests.worker.workload import Outcome, expected_rows, records_of, seeded_uploads

pytestmark = [pytest.mark.servers, pytest.mark.chaos]


@pytest.fixture
def settings(
    kafka: KafkaServer, clickhouse: ClickHouseServer, tmp_path: Path
) -> Iterator[Settings]:
    made = settings_of(clickhouse, tmp_path, bootstrap=kafka.bootstrap)
    migrate(made)
    yield made
    database = writer(made)
    database.command(f"DROP DATABASE {made.clickhouse_database}")
    database.close()


@pytest.fixture
def system(settings: Settings, tmp_path: Path) -> Iterator[System]:
    made = System(settings, tmp_path)
    yield made
    made.close()


def dlq(settings: Settings, *arguments: str) -> str:
    """Run ``vitalstream dlq`` to its end and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "dlq", *arguments],
        capture_output=True, text=True, env=os.environ | environment(settings), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_killed_given_again_and_repeated_every_row_is_exact(
    system: System, settings: Settings, tmp_path: Path
) -> None:
    made = seeded_uploads(400, users=7)
    records = list(records_of(made, settings.partitions))
    dead, live = records[::2], records[1::2]
    system.produce(dead, DEAD_LETTERS)
    system.produce([*live, *dead[:3]])
    log = tmp_path / "replay.log"
    with log.open("wb") as output:
        slow = spawn(
            [sys.executable, "-u", "-m", "app.cli", "dlq", "replay", "--all", "--rate", "5"],
            output=output, env=os.environ | environment(settings),
        )  # fmt: skip
    wait_until(lambda: log.read_text().count(" replayed") >= 10, "ten are replayed", 40)
    kill(slow)
    said = log.read_text().count(" replayed")
    rest = dlq(settings, "replay", "--all").count(" replayed\n") - 1
    # What was marked a moment before the kill may not have been said any more.
    assert len(dead) - said - 5 <= rest <= len(dead) - said
    assert rest > 0
    assert "0 dead letters replayed" in dlq(settings, "replay", "--all")
    dlq(settings, "replay", "0:0", "--reason", "once more")
    system.start_worker()
    system.wait_applied(WORKER)
    found = Outcome()
    for topic, value, _ in system.read(SAMPLES, WINDOWS):
        found.read(topic, value)
    wanted, rows = expected_rows(made, Calendar.of_zone("UTC")), found.settled()
    assert rows.keys() == wanted.keys()
    for key, facts in wanted.items():
        assert rows[key] == pytest.approx(facts, rel=1e-12), key
    assert f"{len(dead)} dead letters: {len(dead)} replayed" in dlq(settings, "list")
