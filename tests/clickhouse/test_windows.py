"""Windows: rows replaced by those that know more; late ones computed again, as pandas does."""

import math
from uuid import UUID, uuid4

import numpy as np
import pandas as pd
import pytest

from app.clickhouse.client import ClickHouse
from app.sink.backfill import Backfill
from app.sink.late import recompute
from app.sink.window_rows import decode_windows
from schemas import windows
from schemas.codec import Codec
from schemas.topics import WINDOWS
from schemas.windows import DAY, HOUR, HOUR_MS, MINUTE, MINUTE_MS, SIZE_NAMES, WindowBatch
from tests.clickhouse.batches import EPOCH_MS, NOON_MS, Upload, batch_of
from tests.clickhouse.conftest import Storing
from tests.clickhouse.records import LateWindow, applied, record

pytestmark = pytest.mark.servers

_COLUMNS = ["count", "sum", "mean", "stddev", "min", "max", "first", "last", "version"]
_DAY_MS = 24 * HOUR_MS


def _live(user: UUID, version: int, value: float, band: float = math.nan) -> WindowBatch:
    one = np.ones(1)
    return WindowBatch(
        users=[str(user)],
        metrics=["heart_rate"],
        user=np.zeros(1, np.int32),
        metric=np.zeros(1, np.int32),
        size=np.array([MINUTE], np.int8),
        start=np.array([NOON_MS]),
        end=np.array([NOON_MS + MINUTE_MS]),
        count=np.array([1]),
        sum=one * value,
        sum_sq=one * value * value,
        min=one * value,
        max=one * value,
        first=one * value,
        last=one * value,
        version=np.array([version], np.uint64),
        expected_low=one * band,
        expected_high=one * (band + 20),
        emitted_ms=np.array([NOON_MS]),
    )


def _rows(database: ClickHouse, user: UUID, size: int) -> pd.DataFrame:
    rows = database.rows(
        f"SELECT metric, toUnixTimestamp64Milli(window_start) AS start, {', '.join(_COLUMNS)}"  # noqa: S608
        f" FROM windows_{SIZE_NAMES[size]} WHERE user_id = {{user:UUID}} ORDER BY metric, start",
        {"user": user},
    )
    return pd.DataFrame(rows).set_index(["metric", "start"])


async def test_the_higher_version_stays(store: Storing, reading: ClickHouse) -> None:
    user = uuid4()
    for version, value in ((7, 70.0), (9, 90.0), (8, 80.0)):
        value_bytes = windows.encode(_live(user, version, value), Codec())
        await store([decode_windows(record(WINDOWS, value_bytes), Codec())])
    found = _rows(reading, user, MINUTE)
    assert found["mean"].tolist() == [90.0]
    assert found["version"].tolist() == [9]


async def test_a_single_sample_has_no_deviation(store: Storing, reading: ClickHouse) -> None:
    user = uuid4()
    value = windows.encode(_live(user, 7, 70.0), Codec())
    await store([decode_windows(record(WINDOWS, value), Codec())])
    [row] = reading.rows(
        "SELECT stddev, expected_low, expected_high FROM windows_1m WHERE user_id = {user:UUID}",
        {"user": user},
    )
    assert row == {"stddev": None, "expected_low": None, "expected_high": None}


async def test_late_windows_equal_pandas(
    store: Storing, backfill: Backfill, reading: ClickHouse
) -> None:
    random = np.random.default_rng(7)
    user = uuid4()
    frames, late = [], set()
    # A local day of UTC+05:30, over two UTC days.
    day = NOON_MS - 12 * HOUR_MS - int(5.5 * HOUR_MS)
    for metric, device in (("heart_rate", "watch"), ("heart_rate", "strap"), ("spo2", "watch")):
        times = np.sort(random.choice(np.arange(-17 * 3600, 11 * 3600), 300, replace=False)) * 1000
        values = random.normal(70, 9, 300).round(1)
        for part in (slice(0, 180), slice(120, 300)):  # overlapping uploads, the later one counts
            received = NOON_MS + int(random.integers(1, 1000))
            samples = list(zip(times[part].tolist(), values[part].tolist(), strict=True))
            frames.append(
                pd.DataFrame(samples, columns=["at", "value"]).assign(
                    metric=metric, device=device, rank=received, time=lambda f: f["at"] + NOON_MS
                )
            )
            upload = Upload(user, samples, device=device, metric=metric, received_ms=received)
            for time in frames[-1]["time"]:
                for size, length in ((MINUTE, MINUTE_MS), (HOUR, HOUR_MS)):
                    start = time // length * length
                    late.add(LateWindow(size, str(user), metric, start, start + length))
                start = day + (time - day) // _DAY_MS * _DAY_MS
                late.add(LateWindow(DAY, str(user), metric, start, start + _DAY_MS))
            await store([applied(batch_of([upload]), late=sorted(late))])
    assert await backfill.batch()
    assert not await backfill.batch()
    data = pd.concat(frames).sort_values(["rank", "value"])
    data = data.drop_duplicates(["metric", "device", "time"], keep="last")
    for size, length, origin in (
        (MINUTE, MINUTE_MS, 0), (HOUR, HOUR_MS, 0), (DAY, _DAY_MS, day),
    ):  # fmt: skip
        _assert_equal(_rows(reading, user, size), _expected(data, length, origin))


def _expected(data: pd.DataFrame, length: int, origin: int) -> pd.DataFrame:
    data = data.assign(start=origin + (data["time"] - origin) // length * length)
    data = data.assign(part=data["rank"] - EPOCH_MS)
    by_first = data.sort_values(["time", "value"]).groupby(["metric", "start"])
    values = by_first["value"]
    return pd.DataFrame(
        {
            "count": values.count(),
            "sum": values.sum(),
            "mean": values.mean(),
            "stddev": values.std(ddof=1),
            "min": values.min(),
            "max": values.max(),
            "first": values.first(),
            "last": values.last(),
            "version": by_first["part"].sum(),
        }
    ).sort_index()


def _assert_equal(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    found = found.astype({"stddev": float})
    pd.testing.assert_frame_equal(
        found, expected, check_dtype=False, rtol=1e-9, atol=1e-6, check_names=False
    )


async def test_a_late_window_keeps_the_band_and_loses_to_one_that_knows_more(
    store: Storing, backfill: Backfill, database: ClickHouse, reading: ClickHouse
) -> None:
    user = uuid4()
    upload = Upload(user, [(0, 60.0), (1000, 62.0)])
    late = LateWindow(MINUTE, str(user), "heart_rate", NOON_MS, NOON_MS + MINUTE_MS)
    live = windows.encode(_live(user, 1, 60.0, band=50.0), Codec())
    await store([decode_windows(record(WINDOWS, live), Codec())])
    await store([applied(batch_of([upload]), late=[late])])
    assert await backfill.batch()
    query = "SELECT count, expected_low, expected_high FROM windows_1m WHERE user_id = {user:UUID}"
    [row] = reading.rows(query, {"user": user})
    assert row == {"count": 2, "expected_low": 50.0, "expected_high": 70.0}
    newer = windows.encode(_live(user, 2**63, 99.0), Codec())
    await store([decode_windows(record(WINDOWS, newer), Codec())])
    recompute(database, MINUTE, [(late.user_id, late.metric, late.start, late.end)])
    [row] = reading.rows(query, {"user": user})
    assert row["count"] == 1
