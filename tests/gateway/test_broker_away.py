"""Kafka goes away and comes back: quick refusals, nothing acknowledged is lost."""

import asyncio
import os
import signal
import time
import uuid
from pathlib import Path

import pytest

from app.embedded.kafka import EmbeddedKafka
from app.embedded.ports import free_port
from app.kafka.admin import create_topics
from tests.gateway.support import (
    Json,
    an_upload,
    deployed,
    is_ready,
    make_settings,
    read_uploads,
    running,
    until,
)

pytestmark = pytest.mark.servers
PRODUCE_SECONDS = 2.0


async def test_a_broker_that_hangs_is_503_in_time_then_at_once_until_it_answers(
    tmp_path: Path, user: str
) -> None:
    with EmbeddedKafka(tmp_path / "kafka", port=free_port()) as kafka:
        settings = deployed(kafka.bootstrap, produce_timeout_seconds=PRODUCE_SECONDS)
        assert kafka.pid is not None
        async with running(settings) as gateway:
            acknowledged = [an_upload(user)]
            assert (await gateway.post(acknowledged[0]))[0] == 202
            os.kill(kafka.pid, signal.SIGSTOP)
            try:
                refused = an_upload(user)
                start = time.monotonic()
                status, problem = await gateway.post(refused)
                assert (status, problem["status"]) == (503, 503)
                assert time.monotonic() - start < PRODUCE_SECONDS + 2
                assert not gateway.services.broker.up
                start = time.monotonic()
                async with gateway.session.post(
                    "/v1/uploads", json=an_upload(user), headers=gateway.headers(user)
                ) as response:
                    assert response.status == 503
                    assert int(response.headers["Retry-After"]) > 0
                assert time.monotonic() - start < 0.5
                status, body = await gateway.get("/readyz")
                assert (status, body["checks"]["kafka"]) == (503, False)
                assert (await gateway.get("/healthz"))[0] == 200
            finally:
                os.kill(kafka.pid, signal.SIGCONT)
            await until(lambda: gateway.services.broker.up, "Kafka answers again")
            answers = await asyncio.gather(gateway.post(refused), gateway.post(an_upload(user)))
            assert [status for status, _ in answers] == [202, 202]
            acknowledged += [refused, answers_to(answers[1][1])]
            assert (await gateway.get("/readyz"))[0] == 200
        written = {
            str(uuid.UUID(bytes=upload_id.tobytes()))
            for _, batch in read_uploads(settings)
            for upload_id in batch.upload_ids
        }
        assert {upload["upload_id"] for upload in acknowledged} <= written


def answers_to(body: Json) -> Json:
    return {"upload_id": body["upload_id"]}


async def test_a_gateway_may_start_before_kafka(tmp_path: Path, user: str) -> None:
    port = free_port()
    settings = make_settings(f"127.0.0.1:{port}")
    async with running(settings, ready=False) as gateway:
        assert (await gateway.get("/readyz"))[0] == 503
        assert (await gateway.post(an_upload(user)))[0] == 503
        path = f"/v1/users/{user}/settings"
        assert (await gateway.get(path, user))[0] == 503
        with EmbeddedKafka(tmp_path / "kafka", port=port):
            create_topics(settings)
            await until(
                lambda: gateway.services.broker.up and not gateway.services.broker.missing,
                "Kafka answers and has the topics",
            )
            await until(lambda: is_ready(gateway), "the topics are followed")
            assert (await gateway.get("/readyz"))[0] == 200
            assert (await gateway.post(an_upload(user)))[0] == 202
