"""A running gateway and the client that tests speak to it with."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from pydantic import SecretStr

from app.embedded.ports import free_port
from app.gateway import make_app, make_runner
from app.gateway.services import SERVICES, Services
from app.kafka.admin import create_topics
from app.kafka.clients import consumer_config
from app.security import Role, mint_token
from app.settings import Settings
from schemas import uploads
from schemas.codec import Codec
from schemas.topics import UPLOADS
from schemas.uploads import UploadBatch

Json = dict[str, Any]
SECRET = "a-secret-of-the-tests-with-enough-bytes"


def make_settings(bootstrap: str, **changes: Any) -> Settings:  # noqa: ANN401
    """Return settings of a deployment of its own on a broker; its ClickHouse is away."""
    defaults: Json = {
        "kafka_bootstrap": bootstrap,
        "topic_prefix": f"gateway-{uuid.uuid4().hex[:8]}-",
        "clickhouse_url": f"http://127.0.0.1:{free_port()}",
        "auth_secret": SecretStr(SECRET),
        "partitions": 3,
        "rate_limit_per_second": 0,
    }
    return Settings(_env_file=None, **(defaults | changes))


def deployed(bootstrap: str, **changes: Any) -> Settings:  # noqa: ANN401
    """Return such settings, with the topics made."""
    settings = make_settings(bootstrap, **changes)
    create_topics(settings)
    return settings


def an_upload(user: str, *, values: list[Any] | None = None, **changes: Any) -> Json:  # noqa: ANN401
    """Return an upload of heart rates, a second apart, that ends a minute ago."""
    values = [61.0, 62.5] if values is None else values
    start = int(time.time() * 1000) - 60_000 - 1000 * len(values)
    times = [start + 1000 * n for n in range(len(values))]
    series = {"metric": "heart_rate", "unit": "/min", "times": times, "values": values}
    return {
        "upload_id": str(uuid.uuid4()),
        "user_id": user,
        "device_id": "watch-1",
        "source": "test",
        "series": [series],
    } | changes


@dataclass(slots=True)
class Gateway:
    """A gateway that listens, a session whose base is its address, and its parts."""

    settings: Settings
    session: aiohttp.ClientSession
    services: Services
    runner: web.AppRunner

    def token(self, *users: str, role: Role = "device") -> str:
        return mint_token(self.settings, "tester", role, users)

    def headers(self, *users: str, role: Role = "device") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(*users, role=role)}"}

    async def post(self, upload: Json, **headers: str) -> tuple[int, Json]:
        """Send an upload with a token for its user; return status and body."""
        own = self.headers(str(upload.get("user_id"))) | headers
        async with self.session.post("/v1/uploads", json=upload, headers=own) as response:
            return response.status, await response.json(content_type=None)

    async def status(self, upload: Json) -> tuple[int, Json]:
        return await self.get(f"/v1/uploads/{upload['upload_id']}", str(upload["user_id"]))

    async def get(self, path: str, *users: str, role: Role = "user") -> tuple[int, Json]:
        headers = self.headers(*users, role=role) if users else {}
        async with self.session.get(path, headers=headers) as response:
            return response.status, await response.json(content_type=None)


@asynccontextmanager
async def running(settings: Settings, *, ready: bool = True) -> AsyncIterator[Gateway]:
    """Run a gateway on a free port; by default wait until it is ready."""
    app = make_app(settings)
    runner = make_runner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            gateway = Gateway(settings, session, app[SERVICES], runner)
            if ready:
                await until(lambda: is_ready(gateway), "the gateway is ready")
            yield gateway
    finally:
        await runner.cleanup()


def is_ready(gateway: Gateway) -> bool:
    services = gateway.services
    tails = services.people_tail, services.status_tail
    return services.broker.up and all(tail.following for tail in tails)


async def until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait until ``condition`` holds; fail naming ``what`` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.01)


def read_topic(settings: Settings, topic: str) -> list[tuple[int, bytes | None, bytes]]:
    """Return partition, key and value of every record that a topic holds now."""
    consumer = Consumer(consumer_config(settings, "tests") | {"enable.partition.eof": True})
    places = [
        TopicPartition(settings.topic(topic), n, OFFSET_BEGINNING)
        for n in range(settings.partitions)
    ]
    consumer.assign(places)
    found, open_partitions = [], set(range(settings.partitions))
    try:
        while open_partitions:
            for message in consumer.consume(500, 0.1):
                partition = message.partition() or 0
                if message.error():
                    open_partitions.discard(partition)
                else:
                    key = message.key()
                    value = message.value()
                    assert value is not None
                    found.append((partition, key if isinstance(key, bytes) else None, value))
    finally:
        consumer.close()
    return found


def read_uploads(settings: Settings) -> list[tuple[int, UploadBatch]]:
    """Return partition and batch of every record of topic ``uploads``."""
    codec = Codec()
    return [(p, uploads.decode(value, codec)) for p, _, value in read_topic(settings, UPLOADS)]
