"""How far an upload has come: from the gateway's memory, from the topic, from ClickHouse."""

import uuid
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.batches import received
from app.gateway.statuses import Outcome, StatusCache
from app.settings import Settings
from schemas import statuses
from schemas.codec import Codec
from schemas.columns import I32
from schemas.statuses import STAGES, Stage, StatusBatch
from schemas.topics import UPLOAD_STATUS
from tests.gateway.support import Gateway, an_upload, read_uploads, running, until

USER = "6f1c8a52-0d1e-4e57-9a37-2f0a4c8b9d10"


def outcome(stage: Stage, at_ms: int, **changes: int) -> Outcome:
    base = Outcome(USER, stage, at_ms, "", 1000, 5, 1, 0)
    return replace(base, **changes)  # type: ignore[arg-type]


def test_outcomes_join_to_the_same_in_any_order() -> None:
    said = [
        outcome("received", 1),
        outcome("retrying", 2, duplicate=1),
        outcome("failed", 3, received_ms=900),
        outcome("processed", 4, duplicate=2, late=3),
    ]
    joined = set()
    for order in permutations(said):
        result = order[0]
        for other in order[1:]:
            result = result.join(other)
        joined.add(result)
    assert joined == {outcome("processed", 4, received_ms=900, duplicate=2, late=3)}


def test_the_cache_forgets_the_oldest_beyond_its_size() -> None:
    sizes: list[int] = []
    cache = StatusCache(3, sizes.append)
    ids = [uuid.uuid4() for _ in range(5)]
    for upload_id in ids:
        cache.apply(status_of(upload_id, "received", 1))
    cache.apply(status_of(ids[2], "stored", 2))
    cache.apply(status_of(uuid.uuid4(), "received", 3))
    assert [cache.get(upload_id.bytes) is not None for upload_id in ids] == [
        False, False, True, False, True,
    ]  # fmt: skip
    assert max(sizes) == len(cache) == 3


stages: st.SearchStrategy[Stage] = st.sampled_from(STAGES)
saying = st.tuples(stages, st.integers(1, 4), st.integers(998, 1000), st.lists(st.integers(0, 3)))


@given(st.lists(saying, min_size=1, max_size=5))
def test_the_cache_joins_as_outcomes_do(said: list[tuple[Stage, int, int, list[int]]]) -> None:
    cache, upload_id, joined = StatusCache(3), uuid.uuid4(), None
    for stage, at_ms, received_ms, counts in said:
        late = np.array([sum(counts)], I32)
        duplicate = np.array([len(counts)], I32)
        status = replace(
            status_of(upload_id, stage, at_ms),
            received_ms=np.array([received_ms]),
            late=late,
            duplicate=duplicate,
        )
        cache.apply(status)
        heard = Outcome(USER, stage, at_ms, "", received_ms, 0, 0, 0, len(counts), sum(counts))
        joined = heard if joined is None else joined.join(heard)
    assert cache.get(upload_id.bytes) == joined


def status_of(upload_id: uuid.UUID, stage: Stage, at_ms: int) -> StatusBatch:
    none = np.zeros(1, I32)
    return StatusBatch(
        batch_id=b"0" * 16,
        stage=stage,
        at_ms=at_ms,
        reason="",
        users=[USER],
        upload_ids=np.frombuffer(upload_id.bytes, "V16"),
        upload_user=none,
        received_ms=np.array([1000]),
        accepted=none,
        rejected=none,
        repeated=none,
        duplicate=none,
        late=none,
    )


@pytest.mark.servers
async def test_an_upload_is_received_then_processed_then_stored(
    gateway: Gateway, user: str
) -> None:
    upload = an_upload(user, values=[60.0, 61.0, 999.0])
    await gateway.post(upload)
    status, body = await gateway.status(upload)
    assert status == 200
    assert (body["status"], body["accepted"], body["rejected"]) == ("received", 2, 1)
    upload_id = uuid.UUID(upload["upload_id"])
    partition, batch = next(
        (p, b)
        for p, b in read_uploads(gateway.settings)
        if upload_id.bytes in b.upload_ids.tobytes()
    )
    codec = Codec()
    stages: tuple[tuple[Stage, str], ...] = (
        ("retrying", "KafkaUnavailableError"), ("processed", ""), ("stored", ""),
    )  # fmt: skip
    for n, (stage, reason) in enumerate(stages):
        said = replace(received(batch, 2**41 + n), stage=stage, reason=reason)
        await gateway.services.producer.send(
            UPLOAD_STATUS, statuses.encode(said, codec), key=said.key, partition=partition
        )

        def reached(stage: Stage = stage) -> bool:
            known = gateway.services.cache.get(upload_id.bytes)
            return known is not None and known.stage == stage

        await until(reached, f"the upload is {stage}")
        status, body = await gateway.status(upload)
        assert (status, body["status"], body.get("reason", "")) == (200, stage, reason)


@pytest.mark.servers
async def test_a_gateway_that_starts_knows_what_others_received(
    settings: Settings, gateway: Gateway, user: str
) -> None:
    upload = an_upload(user)
    _, first = await gateway.post(upload)
    async with running(settings) as other:
        await until(other.services.status_tail.caught_up.is_set, "the statuses are read")
        await until(
            lambda: other.services.cache.get(uuid.UUID(upload["upload_id"]).bytes) is not None,
            "the upload is known",
        )
        _, again = await other.post(upload)
        assert again == first | {"resent": True}


@pytest.mark.servers
async def test_anothers_upload_is_403_and_an_unknown_id_404(gateway: Gateway, user: str) -> None:
    upload = an_upload(user)
    await gateway.post(upload)
    path = f"/v1/uploads/{upload['upload_id']}"
    assert (await gateway.get(path, str(uuid.uuid4())))[0] == 403
    assert (await gateway.get(path, role="admin"))[0] == 401
    assert (await gateway.get("/v1/uploads/no-uuid", user))[0] == 404


@pytest.mark.servers
async def test_without_clickhouse_an_old_upload_is_503_not_404(gateway: Gateway, user: str) -> None:
    status, body = await gateway.get(f"/v1/uploads/{uuid.uuid4()}", user)
    assert (status, body["type"]) == (503, "urn:vitalstream:problem:unavailable")
