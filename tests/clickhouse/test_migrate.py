"""Migrations: once, twice, at the same time, after a crash, and never a changed history."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.clickhouse.client import ClickHouse, writer
from app.clickhouse.migrate import migrate, migrations
from app.errors import MigrationError
from app.settings import Settings
from tests.clickhouse.databases import settings_of
from tests.servers import ClickHouseServer

pytestmark = pytest.mark.servers

VIEWS = {
    "samples", "windows_1m", "windows_1h", "windows_1d", "alerts", "uploads", "rejected_samples",
    "dead_letters", "ledger",
}  # fmt: skip


@pytest.fixture
def empty(clickhouse: ClickHouseServer, tmp_path: Path) -> Iterator[Settings]:
    """Give the test a database that does not exist yet."""
    settings = settings_of(clickhouse, tmp_path)
    yield settings
    database = writer(settings, database="default")
    database.command(f"DROP DATABASE IF EXISTS {settings.clickhouse_database}")
    database.close()


@pytest.fixture
def opened(empty: Settings) -> Iterator[ClickHouse]:
    database = writer(empty)
    yield database
    database.close()


def _write(directory: Path, name: str, text: str) -> None:
    (directory / name).write_text(text)


def test_a_second_run_does_nothing(empty: Settings, opened: ClickHouse) -> None:
    assert migrate(empty) == [f"{m.version:04}_{m.name}" for m in migrations()]
    assert migrate(empty) == []
    tables = opened.columns("SELECT name FROM system.tables WHERE database = currentDatabase()")
    assert set(tables["name"]) >= VIEWS


def test_everything_is_explained(empty: Settings, opened: ClickHouse) -> None:
    migrate(empty)
    silent = opened.rows(
        "SELECT table, name FROM system.columns"
        " WHERE database = currentDatabase() AND comment = ''"
        " UNION ALL SELECT name, '' FROM system.tables"
        " WHERE database = currentDatabase() AND comment = ''"
    )
    assert silent == []


def test_two_at_once_make_one_database(empty: Settings, opened: ClickHouse) -> None:
    with ThreadPoolExecutor(2) as threads:
        for run in [threads.submit(migrate, empty) for _ in range(2)]:
            run.result()
    [row] = opened.rows("SELECT count() AS n, uniqExact(version) AS v FROM schema_migrations FINAL")
    assert row["n"] == row["v"] == len(migrations())


def test_an_interrupted_migration_is_taken_up_again(
    empty: Settings, opened: ClickHouse, tmp_path: Path
) -> None:
    good = "CREATE TABLE IF NOT EXISTS a (x UInt8) ENGINE = MergeTree ORDER BY x"
    _write(tmp_path, "0001_a.sql", f"{good};\n-- then it dies\nCREATE TABEL b;\n")
    with pytest.raises(Exception, match="SYNTAX_ERROR"):
        migrate(empty, tmp_path)
    assert opened.rows("SELECT version FROM schema_migrations") == []
    _write(tmp_path, "0001_a.sql", f"{good};\n")
    assert migrate(empty, tmp_path) == ["0001_a"]


def test_a_changed_history_is_refused(empty: Settings, opened: ClickHouse, tmp_path: Path) -> None:
    statement = "CREATE TABLE IF NOT EXISTS a (x UInt8) ENGINE = MergeTree ORDER BY x;\n"
    _write(tmp_path, "0001_a.sql", statement)
    migrate(empty, tmp_path)
    _write(tmp_path, "0001_a.sql", statement.replace("UInt8", "UInt16"))
    _write(tmp_path, "0002_b.sql", statement.replace(" a ", " b "))
    with pytest.raises(MigrationError, match="0001 has changed"):
        migrate(empty, tmp_path)
    assert opened.columns("EXISTS TABLE b")["result"] == [0]


def test_a_newer_database_is_refused(empty: Settings, tmp_path: Path) -> None:
    _write(tmp_path, "0007_later.sql", "CREATE VIEW IF NOT EXISTS v AS SELECT 1;\n")
    migrate(empty, tmp_path)
    with pytest.raises(MigrationError, match="0007"):
        migrate(empty)


def test_a_misnamed_or_doubled_file_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, "0001_a.sql", "")
    _write(tmp_path, "0001_b.sql", "")
    with pytest.raises(MigrationError, match="two migrations have the number 0001"):
        migrations(tmp_path)
    _write(tmp_path, "new.sql", "")
    (tmp_path / "0001_b.sql").unlink()
    with pytest.raises(MigrationError, match=r"new\.sql"):
        migrations(tmp_path)


def test_a_changed_retention_reaches_the_tables(empty: Settings, opened: ClickHouse) -> None:
    migrate(empty)
    migrate(empty.model_copy(update={"retention_days": 30}))
    [row] = opened.rows(
        "SELECT engine_full FROM system.tables"
        " WHERE database = currentDatabase() AND name = 'samples_data'"
    )
    assert "toIntervalDay(37)" in row["engine_full"]
