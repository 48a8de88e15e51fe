"""Concurrent uploads share records; each is there once, whole."""

import asyncio
import uuid
from collections import Counter

import pytest

from app.gateway.validation import CheckedUpload
from schemas.topics import UPLOAD_STATUS, partition_of
from tests.gateway.support import (
    Gateway,
    an_upload,
    deployed,
    read_topic,
    read_uploads,
    running,
    until,
)
from tests.gateway.test_uploads import samples_of
from tests.servers import KafkaServer

pytestmark = pytest.mark.servers


async def test_many_uploads_make_few_records_with_exact_content(gateway: Gateway) -> None:
    users = [str(uuid.uuid4()) for _ in range(30)]
    sent = [
        an_upload(users[n % 30], values=[50.0 + n % 100, 51.0, 52.0], device_id=f"watch-{n % 7}")
        for n in range(300)
    ]
    headers = gateway.headers(role="admin")
    answers = await asyncio.gather(*(gateway.post(upload, **headers) for upload in sent))
    assert all(status == 202 and body["accepted"] == 3 for status, body in answers)
    records = read_uploads(gateway.settings)
    assert len(records) < 150
    written = {}
    for partition, batch in records:
        for row in range(len(batch)):
            user = batch.users[batch.upload_user[row]]
            assert partition == partition_of(user, gateway.settings.partitions)
            upload_id = str(uuid.UUID(bytes=batch.upload_ids[row].tobytes()))
            device = batch.devices[batch.upload_device[row]]
            assert upload_id not in written
            written[upload_id] = user, device, samples_of(batch, row)
    assert written == {
        upload["upload_id"]: (
            upload["user_id"],
            upload["device_id"],
            {
                "heart_rate": list(
                    zip(upload["series"][0]["times"], upload["series"][0]["values"], strict=True)
                )
            },
        )
        for upload in sent
    }


async def test_records_grow_while_uploads_keep_coming(kafka: KafkaServer) -> None:
    settings = deployed(kafka.bootstrap, partitions=1)
    async with running(settings) as gateway:
        user = str(uuid.uuid4())
        headers = gateway.headers(user)
        await gateway.post(an_upload(user), **headers)
        posts = []
        for _ in range(200):  # one after the other, not all in one turn of the loop
            posts.append(asyncio.create_task(gateway.post(an_upload(user), **headers)))
            await asyncio.sleep(0)
        assert {status for status, _ in await asyncio.gather(*posts)} == {202}
        records = read_uploads(settings)
        assert sum(len(batch) for _, batch in records) == 201
        assert len(records) <= 40
        assert not gateway.services.coalescer.uploads
        assert not gateway.services.coalescer.samples
        await until(
            lambda: not gateway.services.coalescer._announced, "the own statuses were read back"
        )


async def test_a_lone_upload_leaves_at_once(kafka: KafkaServer, user: str) -> None:
    settings = deployed(kafka.bootstrap, coalesce_ms=1000, coalesce_busy_ms=1000)
    async with running(settings) as gateway:
        loop, left = asyncio.get_running_loop(), []
        produce = gateway.services.coalescer._produce

        async def noted(number: int, checked: list[CheckedUpload]) -> None:
            left.append(loop.time())
            await produce(number, checked)

        gateway.services.coalescer._produce = noted  # type: ignore[method-assign]
        start = loop.time()
        assert (await gateway.post(an_upload(user)))[0] == 202
        assert left[0] - start < 1.0  # what it would have waited for company


async def test_the_same_upload_sent_at_once_is_written_once(gateway: Gateway, user: str) -> None:
    upload = an_upload(user)
    answers = await asyncio.gather(*(gateway.post(upload) for _ in range(20)))
    assert {status for status, _ in answers} == {202}
    assert Counter(body.get("resent", False) for _, body in answers) == {False: 1, True: 19}
    ids = [
        upload_id.tobytes()
        for _, batch in read_uploads(gateway.settings)
        for upload_id in batch.upload_ids
    ]
    assert ids.count(uuid.UUID(upload["upload_id"]).bytes) == 1


async def test_each_batch_has_one_status_on_its_partition(gateway: Gateway, user: str) -> None:
    await gateway.post(an_upload(user))
    await gateway.services.coalescer.drain()
    await asyncio.to_thread(gateway.services.producer._producer.flush, 5)
    batches = {(p, batch.batch_id) for p, batch in read_uploads(gateway.settings)}
    statuses = [
        (p, bytes.fromhex((key or b"").split(b"-")[0].decode()))
        for p, key, _ in read_topic(gateway.settings, UPLOAD_STATUS)
    ]
    assert set(statuses) == batches
    assert len(statuses) == len(batches)
