"""Taking uploads in over HTTP: what is answered, and what stands on the topics afterwards."""

import gzip
import time
import uuid
from collections.abc import Callable

import numpy as np
import orjson
import pytest
from backports import zstd

from app.gateway.validation import REASONS
from schemas.codec import Codec
from schemas.columns import F64, I64, pack
from schemas.topics import REJECTED, partition_of
from schemas.uploads import UploadBatch
from tests.gateway.support import Gateway, Json, an_upload, read_topic, read_uploads

pytestmark = pytest.mark.servers


def stored(gateway: Gateway, upload: Json) -> tuple[int, UploadBatch, int]:
    """Return partition, batch and row of the only record that holds an upload."""
    wanted = uuid.UUID(upload["upload_id"]).bytes
    found = [
        (partition, batch, row)
        for partition, batch in read_uploads(gateway.settings)
        for row in range(len(batch))
        if batch.upload_ids[row].tobytes() == wanted
    ]
    assert len(found) == 1, f"{len(found)} records hold the upload"
    return found[0]


def samples_of(batch: UploadBatch, row: int) -> dict[str, list[tuple[int, float]]]:
    starts = batch.series_start
    return {
        batch.metrics[batch.series_metric[s]]: list(
            zip(
                batch.times[starts[s] : starts[s + 1]].tolist(),
                batch.values[starts[s] : starts[s + 1]].tolist(),
                strict=True,
            )
        )
        for s in np.flatnonzero(batch.series_upload == row)
    }


async def test_an_accepted_upload_stands_on_its_users_partition(
    gateway: Gateway, user: str
) -> None:
    upload = an_upload(user)
    before = int(time.time() * 1000)
    status, body = await gateway.post(upload)
    assert status == 202
    assert body["upload_id"] == upload["upload_id"]
    assert (body["status"], body["accepted"], body["rejected"]) == ("accepted", 2, [])
    partition, batch, row = stored(gateway, upload)
    assert partition == partition_of(user, gateway.settings.partitions)
    assert batch.users[batch.upload_user[row]] == user
    assert batch.devices[batch.upload_device[row]] == "watch-1"
    assert batch.sources[batch.upload_source[row]] == "test"
    assert before <= batch.received_ms[row] <= time.time() * 1000
    series = upload["series"][0]
    expected = list(zip(series["times"], series["values"], strict=True))
    assert samples_of(batch, row) == {"heart_rate": expected}


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("identity", bytes), ("gzip", gzip.compress), ("zstd", zstd.compress)],
)
async def test_json_may_be_compressed(
    gateway: Gateway, user: str, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    upload = an_upload(user)
    headers = gateway.headers(user) | {
        "Content-Type": "application/json",
        "Content-Encoding": encoding,
    }
    async with gateway.session.post(
        "/v1/uploads", data=compress(orjson.dumps(upload)), headers=headers
    ) as response:
        assert response.status == 202
        assert (await response.json())["accepted"] == 2
    stored(gateway, upload)


async def test_avro_is_taken_in_the_wire_format(gateway: Gateway, user: str) -> None:
    upload = an_upload(user)
    (series,) = upload["series"]
    record = upload | {
        "series": [
            series
            | {"times": pack(series["times"], I64), "values": pack([60.0, float("nan")], F64)}
        ]
    }
    headers = gateway.headers(user) | {"Content-Type": "application/avro"}
    async with gateway.session.post(
        "/v1/uploads", data=Codec().encode("upload", record), headers=headers
    ) as response:
        assert response.status == 202
        body = await response.json()
    assert body["accepted"] == 1
    assert [(r["index"], r["reason"]) for r in body["rejected"]] == [(1, "not_a_number")]
    _, batch, row = stored(gateway, upload)
    assert samples_of(batch, row) == {"heart_rate": [(series["times"][0], 60.0)]}


async def test_each_bad_sample_is_rejected_alone_and_kept(gateway: Gateway, user: str) -> None:
    now = int(time.time() * 1000)
    good = now - 5_000
    upload = an_upload(
        user,
        series=[
            {
                "metric": "heart_rate",
                "unit": "/min",
                "times": [good, good + 1, "yesterday", now + 3_600_000, good + 2, None],
                "values": [60, 999, 61, 62, "high", 64, 65],
            },
            {"metric": "heart_rate", "unit": "parsec", "times": [good], "values": [1]},
            {"metric": "aura", "unit": "1", "times": [good], "values": [1]},
            {"metric": "spo2", "unit": "%", "times": [good, good + 1], "values": [97]},
        ],
    )
    status, body = await gateway.post(upload)
    assert status == 202
    assert body["accepted"] == 2
    rejected = [(r["series"], r["index"], r["reason"]) for r in body["rejected"]]
    assert rejected == [
        (0, 1, "out_of_range"),
        (0, 2, "bad_time"),
        (0, 3, "future_time"),
        (0, 4, "not_a_number"),
        (0, 5, "missing_time"),
        (0, 6, "missing_time"),
        (1, 0, "bad_unit"),
        (2, 0, "unknown_metric"),
        (3, 1, "missing_value"),
    ]
    assert {reason for _, _, reason in rejected} == set(REASONS)
    _, batch, row = stored(gateway, upload)
    assert samples_of(batch, row) == {"heart_rate": [(good, 60.0)], "spo2": [(good, 97.0)]}
    assert (batch.accepted[row], batch.rejected[row]) == (2, 9)
    codec = Codec()
    (record,) = [
        codec.decode("rejected_samples", value)
        for partition, key, value in read_topic(gateway.settings, REJECTED)
        if key == user.encode() and partition == partition_of(user, gateway.settings.partitions)
    ]
    assert record["upload_id"] == upload["upload_id"]
    assert [(s["series"], s["index"], s["reason"]) for s in record["samples"]] == rejected
    assert (record["samples"][1]["time"], record["samples"][1]["value"]) == ("yesterday", "61")
    assert record["samples"][3]["value"] == "high"


async def test_an_upload_of_bad_samples_alone_is_accepted_and_recorded(
    gateway: Gateway, user: str
) -> None:
    upload = an_upload(user, values=[1000.0])
    status, body = await gateway.post(upload)
    assert (status, body["accepted"], len(body["rejected"])) == (202, 0, 1)
    _, batch, row = stored(gateway, upload)
    assert (batch.accepted[row], batch.rejected[row]) == (0, 1)
    assert samples_of(batch, row) == {}


async def test_series_of_a_metric_are_merged_and_the_last_of_an_instant_counts(
    gateway: Gateway, user: str
) -> None:
    start = int(time.time() * 1000) - 60_000
    upload = an_upload(
        user,
        series=[
            {
                "metric": "body_temperature",
                "unit": "Cel",
                "times": [start + 2, start, start + 2],
                "values": [36.0, 36.5, 37.0],
            },
            {
                "metric": "body_temperature",
                "unit": "[degF]",
                "times": [start, start + 1],
                "values": [98.6, 100.4],
            },
        ],
    )
    _, body = await gateway.post(upload)
    assert (body["accepted"], body["repeated"]) == (5, 2)
    _, batch, row = stored(gateway, upload)
    expected = [(start, 37.0), (start + 1, 38.0), (start + 2, 37.0)]
    assert samples_of(batch, row) == {"body_temperature": expected}
    assert batch.repeated[row] == 2


async def test_an_upload_sent_again_is_answered_alike_and_not_written_again(
    gateway: Gateway, user: str
) -> None:
    upload = an_upload(user, values=[60.0, 999.0, 61.0])
    _, first = await gateway.post(upload)
    status, again = await gateway.post(upload)
    assert status == 202
    assert again == first | {"resent": True}
    stored(gateway, upload)


async def test_an_upload_id_of_another_user_is_a_conflict(gateway: Gateway, user: str) -> None:
    upload = an_upload(user)
    await gateway.post(upload)
    status, body = await gateway.post(upload | {"user_id": str(uuid.uuid4())})
    assert (status, body["type"]) == (409, "urn:vitalstream:problem:conflict")
