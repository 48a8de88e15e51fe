"""Storing: a record that ClickHouse refuses for its data is found and kept apart."""

from dataclasses import replace
from uuid import uuid4

import pyarrow as pa
import pytest

from app.clickhouse.client import ClickHouse
from app.sink.records import Decoded
from tests.clickhouse.batches import Upload, batch_of
from tests.clickhouse.conftest import Storing
from tests.clickhouse.records import applied, declared

pytestmark = pytest.mark.servers


def _spoiled(record: Decoded) -> Decoded:
    """Return a declaration with a stage that the table does not know."""
    rows = record.rows["uploads_data"]
    stage = rows.column_names.index("stage")
    return replace(
        record, rows={"uploads_data": rows.set_column(stage, "stage", pa.array(["lost"]))}
    )


async def test_one_bad_record_does_not_stop_its_neighbours(
    store: Storing, reading: ClickHouse
) -> None:
    users = [uuid4() for _ in range(7)]
    batches = [batch_of([Upload(user, [(0, 60.0)])]) for user in users]
    group = [declared(batch) for batch in batches]
    group[4] = _spoiled(group[4])
    refused = await store([*group, applied(batches[0])])
    assert refused == [group[4]]
    stored = reading.columns(
        "SELECT user_id FROM uploads WHERE user_id IN {users:Array(UUID)}", {"users": users}
    )
    assert set(stored["user_id"]) == set(users) - {users[4]}
    [letter] = reading.rows(
        "SELECT topic, error, detail, origin_offset FROM dead_letters"
        " WHERE offset = {offset:Int64}",
        {"offset": group[4].record.offset},
    )
    assert letter["topic"] == "upload-status"
    assert letter["error"] == "QueryError"
    assert "UNKNOWN_ELEMENT_OF_ENUM" in letter["detail"]
    assert "lost" not in letter["detail"]
    assert letter["origin_offset"] == group[4].record.offset
    assert reading.rows(
        "SELECT count() AS n FROM samples WHERE user_id = {user:UUID}", {"user": users[0]}
    ) == [{"n": 1}]
