"""The ledger while dead letters are replayed and discarded."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from app.clickhouse.client import ClickHouse
from app.dead_letters.audit import Audit, State, states
from app.dead_letters.letters import Place
from app.sink.records import Decoded
from tests.clickhouse.batches import Upload, batch_of
from tests.clickhouse.conftest import Storing
from tests.clickhouse.records import applied, dead, declared

pytestmark = pytest.mark.servers


@pytest.fixture
def audit(database: ClickHouse) -> Audit:
    def times() -> Iterator[datetime]:
        start, seconds = datetime(2026, 11, 23, 12, tzinfo=UTC), 0
        while True:
            seconds += 1
            yield start + timedelta(seconds=seconds)

    made = times()
    return Audit(database, "test", "a test", now=lambda: next(made))


def _books(database: ClickHouse, user: UUID) -> tuple[int, int, int, int, bool]:
    [row] = database.rows(
        "SELECT stored, duplicate, dead_lettered, discarded, balanced FROM ledger"
        " WHERE user_id = {user:UUID}",
        {"user": user},
    )
    return (
        row["stored"], row["duplicate"], row["dead_lettered"], row["discarded"], row["balanced"],
    )  # fmt: skip


def _place(letter: Decoded) -> Place:
    return Place(letter.record.topic, letter.record.partition, letter.record.offset)


async def test_a_replayed_letter_is_under_way_until_it_is_stored(
    store: Storing, reading: ClickHouse, audit: Audit
) -> None:
    user = uuid4()
    batch = batch_of([Upload(user, [(0, 60.0), (1, 61.0)], repeated=1)])
    letter = dead(batch)
    await store([declared(batch), letter])
    assert _books(reading, user) == (0, 0, 3, 0, True)
    audit.note("replayed", [_place(letter)])
    assert _books(reading, user) == (0, 0, 0, 0, False), "neither stored nor dead: on its way"
    again = dead(batch)
    await store([again])
    assert _books(reading, user) == (0, 0, 3, 0, True), "it failed again: a new dead letter"
    audit.note("replayed", [_place(again)])
    await store([applied(batch)])
    assert _books(reading, user) == (2, 1, 0, 0, True)
    audit.note("replayed", [_place(letter)])
    await store([applied(batch)])
    assert _books(reading, user) == (2, 1, 0, 0, True), "twice counts once"


async def test_a_discarded_letter_stays_in_the_books(
    store: Storing, reading: ClickHouse, audit: Audit
) -> None:
    user = uuid4()
    batch = batch_of([Upload(user, [(0, 60.0)])])
    letter = dead(batch)
    await store([declared(batch), letter])
    audit.note("discarded", [_place(letter)])
    assert _books(reading, user) == (0, 0, 1, 1, True)
    audit.note("replayed", [_place(letter)])
    await store([applied(batch)])
    assert _books(reading, user) == (1, 0, 0, 0, True)


async def test_a_letter_without_declaration_that_is_replayed_is_missed_until_it_is_stored(
    store: Storing, reading: ClickHouse, audit: Audit
) -> None:
    user = uuid4()
    batch = batch_of([Upload(user, [(0, 60.0)])])
    letter = dead(batch)
    await store([letter])
    audit.note("replayed", [_place(letter)])
    assert _books(reading, user) == (0, 0, 0, 0, False)
    await store([applied(batch)])
    assert _books(reading, user) == (1, 0, 0, 0, True)


async def test_the_view_tells_the_state_and_who_made_it(
    store: Storing, reading: ClickHouse, audit: Audit
) -> None:
    letter = dead(batch_of([Upload(uuid4(), [(0, 60.0)])]))
    await store([letter])
    place = _place(letter)
    sql = (
        "SELECT state, state_by, replays, replayed_at IS NULL AS never FROM dead_letters"
        " WHERE topic = {topic:String} AND partition = {partition:Int32}"
        " AND offset = {offset:Int64}"
    )
    [row] = reading.rows(sql, place._asdict())
    assert row == {"state": "open", "state_by": "", "replays": 0, "never": 1}
    audit.note("replayed", [place])
    audit.note("discarded", [place])
    [row] = reading.rows(sql, place._asdict())
    assert row == {"state": "discarded", "state_by": "test", "replays": 1, "never": 0}
    other = Place(place.topic, place.partition, place.offset + 1)
    assert states(reading, [place, other]) == {place: State.discarded, other: State.open}
