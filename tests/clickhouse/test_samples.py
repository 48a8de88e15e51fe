"""The view ``samples``: one row of an identity, the right one, whatever was stored how often."""

from uuid import uuid4

import numpy as np
import pytest

from app.clickhouse.client import ClickHouse
from app.errors import QueryError
from app.sink.sample_rows import sample_rows
from tests.clickhouse.batches import NOON_MS, Upload, batch_of
from tests.clickhouse.conftest import Storing
from tests.clickhouse.records import applied

pytestmark = pytest.mark.servers

_VALUES = "SELECT value, upload_id FROM samples WHERE user_id = {user:UUID} ORDER BY time"


async def test_the_value_received_last_counts(
    store: Storing, database: ClickHouse, reading: ClickHouse
) -> None:
    user = uuid4()
    first = Upload(user, [(0, 60.0), (1000, 61.0)], received_ms=NOON_MS + 5_000)
    correction = Upload(user, [(1000, 71.0)], received_ms=NOON_MS + 9_000)
    for order in ([correction, first], [first, correction], [correction]):
        for upload in order:
            await store([applied(batch_of([upload]))])
        assert reading.columns(_VALUES, {"user": user})["value"] == [60.0, 71.0]
    database.command("OPTIMIZE TABLE samples_data FINAL")
    assert reading.columns(_VALUES, {"user": user})["value"] == [60.0, 71.0]


async def test_of_two_received_together_the_greater_counts(
    store: Storing, reading: ClickHouse
) -> None:
    user = uuid4()
    uploads = [Upload(user, [(0, value)]) for value in (60.0, 62.0, 61.0)]
    await store([applied(batch_of([upload])) for upload in uploads])
    found = reading.columns(_VALUES, {"user": user})
    assert found == {"value": [62.0], "upload_id": [uploads[1].upload_id]}


async def test_an_upload_sent_again_keeps_its_first_rank(
    store: Storing, database: ClickHouse, reading: ClickHouse
) -> None:
    user, upload_id = uuid4(), uuid4()
    await store([applied(batch_of([Upload(user, [(0, 60.0)], upload_id)]))])
    later = Upload(user, [(0, 70.0)], received_ms=NOON_MS + 120_000)
    await store([applied(batch_of([later]))])
    again = Upload(user, [(0, 60.0)], upload_id, received_ms=NOON_MS + 180_000)
    await store([applied(batch_of([again]))])
    assert reading.columns(_VALUES, {"user": user})["value"] == [70.0]
    database.command("OPTIMIZE TABLE samples_data FINAL")
    assert reading.columns(_VALUES, {"user": user})["value"] == [70.0]


async def test_uploads_set_aside_are_not_stored(store: Storing, reading: ClickHouse) -> None:
    user = uuid4()
    batch = batch_of([Upload(user, [(at, 60.0)]) for at in (0, 1, 2)])
    await store([applied(batch, set_aside=[1])])
    times = reading.columns(
        "SELECT toUnixTimestamp64Milli(time) AS t FROM samples WHERE user_id = {user:UUID}"
        " ORDER BY t",
        {"user": user},
    )
    assert times["t"] == [NOON_MS, NOON_MS + 2]


async def test_an_import_may_touch_hundreds_of_months(store: Storing, reading: ClickHouse) -> None:
    user = uuid4()
    month_ms = 31 * 86_400_000
    upload = Upload(user, [(-month_ms * back, 60.0) for back in range(300, 0, -1)])
    await store([applied(batch_of([upload]))])
    assert len(reading.columns(_VALUES, {"user": user})["value"]) == 300


def test_a_value_that_is_not_finite_is_refused_aloud(database: ClickHouse) -> None:
    rows = sample_rows(batch_of([Upload(uuid4(), [(0, np.nan)])]))
    with pytest.raises(QueryError, match="VIOLATED_CONSTRAINT"):
        database.insert("samples_data", rows)


def test_a_result_without_rows_has_its_columns(reading: ClickHouse) -> None:
    assert reading.columns(_VALUES, {"user": uuid4()}) == {"value": [], "upload_id": []}
    assert reading.rows(_VALUES, {"user": uuid4()}) == []
