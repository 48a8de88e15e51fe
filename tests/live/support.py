"""What tests of the live pages share: records of the live topics, a server, a client."""

import asyncio
import itertools
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import numpy as np
import orjson
from aiohttp import web
from confluent_kafka import Producer

from app import live, pages
from app.embedded.ports import free_port
from app.gateway import middleware
from app.kafka.clients import producer_config
from app.live.protocol import SUBPROTOCOL
from app.security import Role, mint_token
from app.settings import Settings
from schemas import accepted, topics, uploads, windows
from schemas.codec import Codec

CODEC: Final = Codec()
MINUTE: Final = 60_000
_VERSION = itertools.count(1)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def person() -> str:
    return str(uuid.uuid4())


def samples_record(
    user: str,
    values: Mapping[str, Sequence[tuple[int, float]]],
    *,
    device: str = "watch",
    received_ms: int | None = None,
    set_aside: bool = False,
) -> bytes:
    """Return a record of topic ``samples`` with one upload."""
    times = [t for series in values.values() for t, _ in series]
    batch = uploads.UploadBatch(
        batch_id=uuid.uuid4().bytes,
        users=[user],
        devices=[device],
        sources=["test"],
        metrics=list(values),
        upload_ids=np.frombuffer(uuid.uuid4().bytes, "V16"),
        upload_user=np.zeros(1, np.int32),
        upload_device=np.zeros(1, np.int32),
        upload_source=np.zeros(1, np.int32),
        received_ms=np.array([now_ms() if received_ms is None else received_ms]),
        accepted=np.array([len(times)], np.int32),
        rejected=np.zeros(1, np.int32),
        repeated=np.zeros(1, np.int32),
        series_upload=np.zeros(len(values), np.int32),
        series_metric=np.arange(len(values), dtype=np.int32),
        series_length=np.array([len(series) for series in values.values()], np.int32),
        times=np.array(times, np.int64),
        values=np.array([v for series in values.values() for _, v in series], np.float64),
    )
    none32, none64 = np.zeros(0, np.int32), np.zeros(0, np.int64)
    return accepted.encode(
        accepted.AcceptedBatch(
            source_topic=topics.UPLOADS,
            source_partition=0,
            source_offset=0,
            batch=uploads.encode(batch, CODEC),
            set_aside=np.zeros(1 if set_aside else 0, np.int32),
            users=[],
            metrics=[],
            late_user=none32,
            late_metric=none32,
            late_size=np.zeros(0, np.int8),
            late_start=none64,
            late_end=none64,
            late_samples=0,
        ),
        CODEC,
    )


def windows_record(
    user: str,
    metric: str,
    rows: Sequence[tuple[int, float]],
    *,
    size: int = windows.MINUTE,
    length: int = MINUTE,
    spread: float = 3.0,
    band: tuple[float, float] = (math.nan, math.nan),
) -> bytes:
    """Return a record of topic ``windows``: (start, mean) of each window."""
    start = np.array([s for s, _ in rows], np.int64)
    mean = np.array([m for _, m in rows], np.float64)
    ones = np.ones(len(rows))
    return windows.encode(
        windows.WindowBatch(
            users=[user],
            metrics=[metric],
            user=np.zeros(len(rows), np.int32),
            metric=np.zeros(len(rows), np.int32),
            size=np.full(len(rows), size, np.int8),
            start=start,
            end=start + length,
            count=np.full(len(rows), 10),
            sum=mean * 10,
            sum_sq=mean * mean * 10,
            min=mean - spread,
            max=mean + spread,
            first=mean,
            last=mean,
            version=np.full(len(rows), next(_VERSION), np.uint64),
            expected_low=ones * band[0],
            expected_high=ones * band[1],
            emitted_ms=np.full(len(rows), now_ms()),
        ),
        CODEC,
    )


def alert(user: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - a record
    """Return an alert about a person's heart rate, opened now."""
    now = now_ms()
    record: dict[str, Any] = {
        "alert_id": str(uuid.uuid4()),
        "user_id": user,
        "metric": "heart_rate",
        "device_id": "watch",
        "rule": "threshold",
        "rule_version": 1,
        "severity": "critical",
        "status": "opened",
        "revision": 1,
        "opened_ms": now,
        "changed_ms": now,
        "resolved_ms": None,
        "value": 148.0,
        "unit": "/min",
        "expected_low": 50.0,
        "expected_high": 130.0,
        "baseline_count": 0,
        "window_start_ms": now - MINUTE,
        "window_end_ms": now,
        "explanation": "Heart rate was above 130 bpm for one minute.",
        "sample_times": [],
        "sample_values": [],
    }
    return record | changes


class Broker:
    """Writes records of the live topics, each to its person's partition, and waits for them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = Producer(producer_config(settings, delivery_seconds=10))

    def samples(
        self,
        user: str,
        values: Mapping[str, Sequence[tuple[int, float]]],
        **options: Any,  # noqa: ANN401 - those of samples_record
    ) -> None:
        self.put(topics.SAMPLES, user, samples_record(user, values, **options))

    def windows(
        self,
        user: str,
        metric: str,
        rows: Sequence[tuple[int, float]],
        **options: Any,  # noqa: ANN401 - those of windows_record
    ) -> None:
        self.put(topics.WINDOWS, user, windows_record(user, metric, rows, **options))

    def alert(self, record: dict[str, Any]) -> None:
        self.put(topics.ALERTS, record["user_id"], CODEC.encode("alert", record))

    def put(self, topic: str, user: str, value: bytes) -> None:
        partition = topics.partition_of(user, self._settings.partitions)
        self._producer.produce(self._settings.topic(topic), value, partition=partition)

    def flush(self) -> None:
        assert self._producer.flush(10) == 0


def make_app(settings: Settings) -> web.Application:
    """Return the parts under test with the gateway's treatment of errors, and nothing else."""
    app = web.Application(middlewares=[middleware.problems])
    live.setup(app, settings)
    pages.setup(app, settings)
    return app


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[web.Application]:
    """Serve on ``settings.port`` until the end of the block; the feed reads when it begins."""
    app = make_app(settings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", settings.port).start()
        async with asyncio.timeout(30):
            while not app[live.REGISTRY].get_sample_value("vitalstream_live_feed_connected"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # a metric has nothing to wait for
        yield app
    finally:
        await runner.cleanup()


class Client:
    """A program that speaks the live protocol; asserts the chain of positions as it reads."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.positions: dict[str, str] = {}
        self.epochs: dict[str, str] = {}

    async def send(self, kind: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        await self.socket.send_str(orjson.dumps({"t": kind, **fields}).decode())

    async def subscribe(self, sub_id: str, channel: str, **cursor: str) -> None:
        await self.send("sub", id=sub_id, ch=channel, **cursor)

    async def next(self, *kinds: str, seconds: float = 15) -> dict[str, Any]:
        """Return the next message of one of ``kinds``, passing by any other."""
        async with asyncio.timeout(seconds):
            while True:
                message = await self.socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise AssertionError(f"closed with {self.socket.close_code}: {message.extra}")
                content: dict[str, Any] = orjson.loads(message.data)
                self._follow(content)
                if content["t"] in kinds:
                    return content

    async def closed(self, seconds: float = 15) -> int | None:
        """Read to the end, answering pings, and return the close code."""
        async with asyncio.timeout(seconds):
            async for message in self.socket:
                if orjson.loads(message.data)["t"] == "ping":
                    await self.send("pong")
        return self.socket.close_code

    async def values(
        self, metric: str, until: Callable[[dict[int, float]], bool], found: dict[int, float]
    ) -> dict[int, float]:
        """Collect a metric's samples by instant until there are enough."""
        while not until(found):
            message = await self.next("data", "snap")
            rows = message["rows"] if message["t"] == "data" else message["state"]
            found |= samples_in(rows, metric)
        return found

    def _follow(self, message: dict[str, Any]) -> None:
        if message["t"] in {"snap", "subbed"}:
            self.epochs[message["id"]] = message["epoch"]
            self.positions[message["id"]] = message["pos"]
        elif message["t"] in {"data", "alarm"}:
            assert message["prev"] == self.positions[message["id"]]
            self.positions[message["id"]] = message["pos"]


def samples_in(rows: dict[str, Any], metric: str) -> dict[int, float]:
    """Return a metric's samples by instant in the rows of a message."""
    return {
        time: value
        for series in rows.get("samples", [])
        if series["metric"] == metric
        for time, value in zip(series["times"], series["values"], strict=True)
    }


def token(settings: Settings, role: Role = "admin", users: Sequence[str] = ()) -> str:
    return mint_token(settings, "tester", role, users)


@asynccontextmanager
async def connected(settings: Settings, credential: str | None = None) -> AsyncIterator[Client]:
    """Connect and introduce oneself, as an operator unless told otherwise."""
    url = f"http://127.0.0.1:{settings.port}/v1/live"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=(SUBPROTOCOL,), max_msg_size=0) as socket,
    ):
        client = Client(socket)
        await client.send("init", token=credential or token(settings))
        await client.next("ack")
        yield client


def free() -> int:
    return free_port()
