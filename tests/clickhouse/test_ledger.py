"""The ledger: every accepted sample is stored, a duplicate or a dead letter, in every case."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from app.clickhouse.client import ClickHouse
from tests.clickhouse.batches import NOON_MS, Upload, batch_of
from tests.clickhouse.conftest import Storing
from tests.clickhouse.records import applied, dead, declared

pytestmark = pytest.mark.servers


def _ledger(database: ClickHouse, user: UUID) -> list[dict[str, Any]]:
    return database.rows(
        "SELECT accepted, stored, duplicate, rejected, dead_lettered, balanced FROM ledger"
        " WHERE user_id = {user:UUID} ORDER BY received_at",
        {"user": user},
    )


def _row(accepted: int, stored: int, duplicate: int = 0, dead_lettered: int = 0) -> dict[str, Any]:
    return {
        "accepted": accepted,
        "stored": stored,
        "duplicate": duplicate,
        "rejected": 0,
        "dead_lettered": dead_lettered,
        "balanced": True,
    }


async def test_declared_but_not_arrived_is_not_balanced(
    store: Storing, reading: ClickHouse
) -> None:
    user = uuid4()
    batch = batch_of([Upload(user, [(0, 60.0), (1, 61.0)])])
    await store([declared(batch)])
    assert _ledger(reading, user) == [_row(2, 0) | {"balanced": False}]
    await store([applied(batch)])
    assert _ledger(reading, user) == [_row(2, 2)]


async def test_repeated_and_overlapping_samples_are_duplicates(
    store: Storing, reading: ClickHouse
) -> None:
    user = uuid4()
    first = batch_of([Upload(user, [(0, 60.0), (1, 61.0)], repeated=3)])
    second = batch_of([Upload(user, [(1, 61.0), (2, 62.0)], received_ms=NOON_MS + 90_000)])
    await store([declared(second), declared(first), applied(second), applied(first)])
    assert _ledger(reading, user) == [_row(5, 2, 3), _row(2, 1, 1)]


async def test_sent_again_changes_nothing(
    store: Storing, database: ClickHouse, reading: ClickHouse
) -> None:
    user, upload_id = uuid4(), uuid4()
    other = batch_of([Upload(user, [(0, 60.0)], received_ms=NOON_MS + 70_000)])
    await store([declared(other), applied(other)])
    for received_ms in (NOON_MS + 60_000, NOON_MS + 80_000):
        batch = batch_of([Upload(user, [(0, 60.0)], upload_id, received_ms=received_ms)])
        await store([declared(batch), applied(batch)])
        assert _ledger(reading, user) == [_row(1, 1), _row(1, 0, 1)]
    database.command("OPTIMIZE TABLE samples_data FINAL")
    assert _ledger(reading, user) == [_row(1, 1), _row(1, 0, 1)]


async def test_the_batch_speaks_where_the_declaration_was_lost(
    store: Storing, reading: ClickHouse
) -> None:
    user = uuid4()
    await store([applied(batch_of([Upload(user, [(0, 60.0)], repeated=1)]))])
    assert _ledger(reading, user) == [_row(2, 1, 1)]
    uploads = reading.rows(
        "SELECT device_id, source, accepted, stored_at IS NULL AS waiting FROM uploads"
        " WHERE user_id = {user:UUID}",
        {"user": user},
    )
    assert uploads == [{"device_id": "watch", "source": "test", "accepted": 2, "waiting": 0}]


async def test_dead_letters_count_until_they_are_stored(
    store: Storing, reading: ClickHouse
) -> None:
    user = uuid4()
    batch = batch_of([Upload(user, [(0, 60.0), (1, 61.0)], repeated=1)])
    await store([declared(batch), dead(batch)])
    assert _ledger(reading, user) == [_row(3, 0, 0, 3)]
    await store([dead(batch)])  # it was replayed and failed again
    assert _ledger(reading, user) == [_row(3, 0, 0, 3)]
    await store([applied(batch)])  # and then it was not
    assert _ledger(reading, user) == [_row(3, 2, 1)]


async def test_a_dead_letter_without_declaration_is_in_the_books(
    store: Storing, reading: ClickHouse
) -> None:
    user = uuid4()
    await store([dead(batch_of([Upload(user, [(0, 60.0)])]))])
    assert _ledger(reading, user) == [_row(1, 0, 0, 1)]


async def test_samples_that_vanish_are_noticed(store: Storing, reading: ClickHouse) -> None:
    user, upload_id = uuid4(), uuid4()
    await store([declared(batch_of([Upload(user, [(0, 60.0), (1, 61.0)], upload_id)]))])
    await store([applied(batch_of([Upload(user, [(0, 60.0)], upload_id)]))])
    assert _ledger(reading, user) == [_row(2, 1) | {"balanced": False}]
