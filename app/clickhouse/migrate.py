"""Versioned migrations of the database: ``migrations/NNNN_name.sql``, applied in order, once.

Every statement of a migration is idempotent (``IF NOT EXISTS``, ``OR REPLACE``): when a process
dies between two statements, or two processes start at once, running them again does no harm. A
migration is recorded, with its checksum, after its last statement. A migration that was applied
is history: when its file has changed since, nothing is done at all.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import structlog

from app.clickhouse.client import ClickHouse, writer
from app.errors import MigrationError
from app.settings import Settings

_log = structlog.get_logger(__name__)
_DIRECTORY: Final = Path(__file__).parent / "migrations"
_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_HISTORY = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32 COMMENT 'Number of the migration.',
    name String COMMENT 'Its name.',
    checksum String COMMENT 'SHA-256 of its file, hexadecimal.',
    applied_at DateTime64(3, 'UTC') COMMENT 'When it was first applied.'
)
ENGINE = ReplacingMergeTree
ORDER BY (version, checksum)
COMMENT 'Migrations that this database has gone through.'
"""
_EXPIRING: Final = {
    # Samples outlive the record of their upload, so that no upload seems to have lost some.
    "samples_data": ("received_at", 7),
    "uploads_data": ("received_at", 0),
    "rejected_samples_data": ("received_at", 0),
    "dead_letters_data": ("failed_at", 0),
    "dead_letter_replays_data": ("replayed_at", 0),
}
"""Tables whose rows expire: the column that counts, and days beyond the retention."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, name, statements and checksum."""

    version: int
    name: str
    statements: tuple[str, ...]
    checksum: str


def migrations(directory: Path = _DIRECTORY) -> list[Migration]:
    """Return all migrations of a directory in their order.

    Raises
    ------
    MigrationError
        If a file is misnamed, or two have the same number.
    """
    found: dict[int, Migration] = {}
    for path in sorted(directory.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is not named NNNN_name.sql")
        version = int(match[1])
        if version in found:
            raise MigrationError(f"two migrations have the number {version:04}")
        text = path.read_text()
        checksum = hashlib.sha256(text.encode()).hexdigest()
        found[version] = Migration(version, match[2], _statements(text), checksum)
    return list(found.values())


def migrate(settings: Settings, directory: Path = _DIRECTORY) -> list[str]:
    """Bring the database up to date and return the names of the migrations applied.

    May be run by several processes at once, and again after a crash.

    Parameters
    ----------
    settings : Settings
        The deployment; its retention is applied too.
    directory : Path
        Where the migrations are.

    Raises
    ------
    MigrationError
        If the database went through a migration that has changed since, or that this program
        does not know. Nothing has been done then.
    ClickHouseUnavailableError
        If the server is away.
    QueryError
        If it refuses a statement.
    """
    known = migrations(directory)
    _create_database(settings)
    database = writer(settings)
    try:
        database.command(_HISTORY)
        applied = _history(database)
        _check(known, applied, settings.clickhouse_database)
        missing = [migration for migration in known if migration.version not in applied]
        for migration in missing:
            for statement in migration.statements:
                database.command(statement)
            _record(database, migration)
            _log.info("migration applied", version=migration.version, name=migration.name)
        _apply_retention(database, settings.retention_days)
    finally:
        database.close()
    return [f"{migration.version:04}_{migration.name}" for migration in missing]


def _statements(text: str) -> tuple[str, ...]:
    # A comment is a line of its own; a statement ends with a semicolon at the end of a line.
    bare = re.sub(r"^\s*--.*\n", "", text, flags=re.MULTILINE)
    parts = re.split(r";\s*$", bare, flags=re.MULTILINE)
    return tuple(part.strip() for part in parts if part.strip())


def _create_database(settings: Settings) -> None:
    if settings.clickhouse_database == "default":  # every server has it
        return
    database = writer(settings, database="default")
    try:
        name = settings.clickhouse_database.replace("`", "``")
        database.command(f"CREATE DATABASE IF NOT EXISTS `{name}`")
    finally:
        database.close()


def _history(database: ClickHouse) -> dict[int, set[str]]:
    applied: dict[int, set[str]] = {}
    for row in database.rows("SELECT DISTINCT version, checksum FROM schema_migrations"):
        applied.setdefault(row["version"], set()).add(row["checksum"])
    return applied


def _check(known: list[Migration], applied: dict[int, set[str]], name: str) -> None:
    checksums = {migration.version: migration.checksum for migration in known}
    for version, found in sorted(applied.items()):
        if version not in checksums:
            raise MigrationError(
                f"database {name!r} has migration {version:04}, which this version of the "
                "program does not know: it belongs to a newer one"
            )
        if found != {checksums[version]}:
            raise MigrationError(
                f"migration {version:04} has changed since it was applied to database {name!r}: "
                "history stays as it is, write a new migration instead"
            )


def _record(database: ClickHouse, migration: Migration) -> None:
    database.insert(
        "schema_migrations",
        pa.table(
            {
                "version": pa.array([migration.version], pa.uint32()),
                "name": pa.array([migration.name]),
                "checksum": pa.array([migration.checksum]),
                "applied_at": pa.array([datetime.now(UTC)], pa.timestamp("ms", "UTC")),
            }
        ),
    )


def _apply_retention(database: ClickHouse, days: int) -> None:
    tables = database.rows(
        "SELECT name, engine_full FROM system.tables WHERE database = currentDatabase()"
    )
    engines = {row["name"]: row["engine_full"] for row in tables}
    for table, (column, margin) in _EXPIRING.items():
        if table not in engines:
            continue
        rule = f"toDateTime({column}) + toIntervalDay({days + margin})"
        if f"TTL {rule} " not in engines[table] + " ":
            database.command(f"ALTER TABLE {table} MODIFY TTL {rule}")
