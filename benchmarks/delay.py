"""From a POST that is answered to a browser that is told, at a given rate.

Background uploads of many people come at a steady rate. Among them some people are watched on live
WebSockets: the time from the answer to each of their uploads until a message shows its last sample.
Others send a fever, one each: the time from that answer to its alarm.
"""

import asyncio
import itertools
import math
import random
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import numpy as np
import orjson
from pydantic import BaseModel, Field

from app.bench.bench import Bench
from app.bench.processes import MeasuredProcess
from app.bench.result import Ratio, Result, Table, find
from app.embedded.ports import free_port
from app.embedded.process import Deadline
from app.errors import ServerFailedError
from app.kafka.admin import create_topics
from app.live.protocol import SUBPROTOCOL
from app.security import mint_token
from app.settings import Settings
from benchmarks.http_client import Connection, connect
from benchmarks.http_uploads import templates, users_of

_HOST: Final = "127.0.0.1"
_NOWHERE: Final = "http://127.0.0.1:1"
_START_SECONDS: Final = 90.0
_SETTLE_SECONDS: Final = 3.0
_CONNECTIONS: Final = 64
_EVERY_SECONDS: Final = 0.5  # a watched person's uploads: rarer than the 4 Hz of live data
_TICK_SECONDS: Final = 0.005
_RAMP: Final = (250, 500, 1000, 1500, 2000, 3000, 4000, 6000, 8000)
_RAMP_SECONDS: Final = 3.0
_KEPT_UP: Final = 0.95
_VALUE, _ALARM = "value on a live page", "alarm on a live page"


class Parameters(BaseModel):
    """What is sent."""

    rate: float = Field(
        0, ge=0, description="Uploads a second; 0: half of what a short ramp finds sustained."
    )
    seconds: float = Field(20.0, gt=0, description="How long delays are measured at a time.")
    people: int = Field(500, gt=0, description="People whose uploads make the rate.")
    watched: int = Field(10, gt=0, le=50, description="People whom somebody watches.")
    alarms: int = Field(40, gt=0, description="People who send a fever at some time, one each.")
    samples: int = Field(60, gt=0, description="Samples an upload.")


QUICK: dict[str, float] = {"seconds": 5.0, "people": 100, "alarms": 10, "rate": 100}


@dataclass(slots=True)
class _Seen:
    """When uploads were answered and when they were seen, by (person, last instant)."""

    answered: dict[tuple[str, int], float] = field(default_factory=dict)
    shown: dict[tuple[str, int], float] = field(default_factory=dict)
    alarmed: dict[str, float] = field(default_factory=dict)

    def delays_ms(self) -> list[float]:
        """Return the delays of values, unseen ones as infinite."""
        return [
            1000 * (self.shown.get(key, math.inf) - at)
            for key, at in self.answered.items()
            if key[1]
        ]

    def alarm_delays_ms(self) -> list[float]:
        """Return the delays of alarms, unseen ones as infinite."""
        return [
            1000 * (self.alarmed.get(user, math.inf) - at)
            for (user, time_ms), at in self.answered.items()
            if not time_ms
        ]


def measure(bench: Bench, parameters: Parameters) -> Result:
    """Find the rate, then measure delays at it."""
    table = Table()
    with bench.kafka() as bootstrap, _system(bench, bootstrap) as settings:
        rate = parameters.rate or asyncio.run(_sustained(bench, settings, parameters)) / 2
        for repeat in range(bench.repeats):
            bench.say(f"repeat {repeat + 1}: {rate:,.0f} uploads a second")
            seen = asyncio.run(_watch(settings, parameters, rate, repeat))
            for subject, delays in (
                (_VALUE, seen.delays_ms()),
                (_ALARM, seen.alarm_delays_ms()),
            ):
                for share in (50, 99):
                    value = float(np.percentile(delays, share, method="higher"))
                    table.add(subject, f"p{share}, ms", value)
                table.add(subject, "seen", float(np.isfinite(delays).sum()))
    figures = table.figures()
    value_50, value_99 = (find(figures, _VALUE, f"p{n}, ms").values for n in (50, 99))
    return Result(
        title="Delay: from a POST that is answered to a live page",
        figures=figures,
        ratios=(
            Ratio(f"{_VALUE}, p50, ms", value_50, at_most=60),
            Ratio(f"{_VALUE}, p99, ms", value_99, at_most=250),
            Ratio(f"{_ALARM}, p99, ms", find(figures, _ALARM, "p99, ms").values, at_most=500),
        ),
        notes=(
            f"{rate:,.0f} uploads a second of {parameters.samples} samples, gateway and worker on "
            + ("a core of their own." if bench.cores.separate else "the only core."),
            f"{parameters.watched} people watched, {parameters.alarms} alarms a repeat.",
        ),
        charted="p99, ms",
    )


@contextmanager
def _system(bench: Bench, bootstrap: str) -> Iterator[Settings]:
    """Run a gateway and a worker; yields the settings of their clients."""
    port = free_port()
    environment = bench.environment(
        bootstrap,
        host=_HOST,
        port=port,
        port_offset=0,
        clickhouse_url=_NOWHERE,
        rate_limit_per_second=0,
    )
    settings = Settings(
        _env_file=None,
        data_dir=bench.directory / "data",
        kafka_bootstrap=bootstrap,
        host=_HOST,
        port=port,
        port_offset=0,
    )
    create_topics(settings)
    running: list[MeasuredProcess] = []
    try:
        running += [bench.product(name, environment) for name in ("gateway", "worker")]
        deadline = Deadline(_START_SECONDS)
        while not _ready(settings.gateway):
            for process in running:
                process.check()
            if deadline.passed:
                raise running[0].failure("did not become ready")
            time.sleep(0.1)
        asyncio.run(_first_answers(settings, deadline))
        yield settings
    finally:
        for process in reversed(running):
            process.stop()


def _ready(gateway: str) -> bool:
    try:
        with urllib.request.urlopen(f"{gateway}/readyz", timeout=2) as response:  # noqa: S310 - http
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


async def _first_answers(settings: Settings, deadline: Deadline) -> None:
    """Wait until uploads of every partition are answered and shown: brokers elect at first."""
    seen = _Seen()
    people = users_of(0, 4 * settings.partitions)
    admin = mint_token(settings, "benchmark", "admin")
    parameters = Parameters(seconds=_EVERY_SECONDS)
    async with aiohttp.ClientSession(settings.gateway) as session:
        socket = await _subscribed(session, admin, people)
        reader = asyncio.create_task(_read(socket, seen))
        for user in people:
            await _send_values(session, admin, user, parameters, seen)
        while not _all_seen(seen):
            if deadline.passed:
                raise ServerFailedError("uploads were answered but not shown on a live page")
            await asyncio.sleep(_TICK_SECONDS)
        reader.cancel()
        await socket.close()


async def _sustained(bench: Bench, settings: Settings, parameters: Parameters) -> float:
    """Return the highest rate of the ramp that the gateway answered and a page saw in time."""
    found = 0.0
    for rate in _RAMP:
        seen = await _watch(
            settings,
            parameters.model_copy(update={"seconds": _RAMP_SECONDS, "alarms": 1}),
            rate,
            -rate,
        )
        delays = seen.delays_ms()
        shown = float(np.mean(np.less(delays, 1000.0))) if delays else 0.0
        bench.say(f"{rate:,} uploads a second: {100 * shown:.0f} % shown within a second")
        if shown < _KEPT_UP:
            break
        found = rate
    if not found:
        raise ServerFailedError(f"not even {_RAMP[0]} uploads a second were sustained")
    return found


async def _watch(settings: Settings, parameters: Parameters, rate: float, turn: int) -> _Seen:
    """Send at a rate for a while and watch; ``turn`` makes people who were never seen before."""
    seen = _Seen()
    seed = 1000 + turn
    watched = users_of(seed, parameters.watched)
    admin = mint_token(settings, "benchmark", "admin")
    async with aiohttp.ClientSession(settings.gateway) as session:
        socket = await _subscribed(session, admin, watched)
        reader = asyncio.create_task(_read(socket, seen))
        try:
            await asyncio.gather(
                _background(settings, parameters, rate, seed),
                *(_send_values(session, admin, user, parameters, seen) for user in watched),
                _send_fevers(session, admin, parameters, seed, seen),
            )
            deadline = Deadline(_SETTLE_SECONDS)
            while not deadline.passed and not _all_seen(seen):  # noqa: ASYNC110 - with a deadline
                await asyncio.sleep(_TICK_SECONDS)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await socket.close()
    return seen


def _all_seen(seen: _Seen) -> bool:
    delays = seen.delays_ms() + seen.alarm_delays_ms()
    return all(map(math.isfinite, delays))


async def _subscribed(
    session: aiohttp.ClientSession, token: str, people: list[str]
) -> aiohttp.ClientWebSocketResponse:
    """Open a live connection that shows people and all alarms; return it after the snapshots."""
    socket = await session.ws_connect("/v1/live", protocols=(SUBPROTOCOL,), max_msg_size=0)
    await socket.send_json({"t": "init", "token": token})
    channels = [f"person:{user}" for user in people]
    for number, channel in enumerate(["alerts", *channels]):
        await socket.send_json({"t": "sub", "id": str(number), "ch": channel})
    waiting = len(channels) + 1
    while waiting:
        message = await socket.receive_json(timeout=10)
        waiting -= message["t"] == "snap"
    return socket


async def _read(socket: aiohttp.ClientWebSocketResponse, seen: _Seen) -> None:
    """Note when last samples and alarms are shown."""
    async for message in socket:
        now = time.perf_counter()
        told: dict[str, Any] = orjson.loads(message.data)
        if told["t"] == "alarm":
            seen.alarmed.setdefault(told["alarm"]["user_id"], now)
        elif told["t"] == "data":
            for series in told["rows"].get("samples", ()):
                seen.shown.setdefault((series["device"], series["times"][-1]), now)
        elif told["t"] == "ping":
            await socket.send_json({"t": "pong"})


async def _background(settings: Settings, parameters: Parameters, rate: float, seed: int) -> None:
    """Send the uploads that make the rate; those that find no free connection are not made up."""
    sent = itertools.cycle(
        templates(
            settings,
            "json",
            users=users_of(-seed, parameters.people),
            samples=parameters.samples,
            seed=abs(seed),
        )
    )
    loop = asyncio.get_running_loop()
    free: list[Connection] = []
    for _ in range(_CONNECTIONS):
        free.append(
            await connect((_HOST, settings.port), lambda connection, *_: free.append(connection))
        )
    every, due = free.copy(), loop.time()
    end = due + parameters.seconds
    while due < end:
        due += _TICK_SECONDS
        for _ in range(min(len(free), _in_tick(rate, due))):
            free.pop().send(next(sent).request(uuid.uuid4()))
        await asyncio.sleep(max(0.0, due - loop.time()))
    for connection in every:
        connection.close()


def _in_tick(rate: float, due: float) -> int:
    """Return how many uploads belong to the tick that ends at ``due``."""
    return math.floor(rate * due) - math.floor(rate * (due - _TICK_SECONDS))


async def _send_values(
    session: aiohttp.ClientSession, token: str, user: str, parameters: Parameters, seen: _Seen
) -> None:
    """Send a watched person's uploads, each a little later than the one before."""
    source = random.Random(user)  # noqa: S311 - a workload, not a secret
    await asyncio.sleep(source.random() * _EVERY_SECONDS)
    end = time.perf_counter() + parameters.seconds
    while time.perf_counter() < end:
        last = int(time.time() * 1000)
        times = list(range(last - 5 * (parameters.samples - 1), last + 1, 5))
        values = [source.randint(60, 80) for _ in times]
        await _post(session, token, user, ("heart_rate", "/min", times, values))
        seen.answered[user, last] = time.perf_counter()
        await asyncio.sleep(_EVERY_SECONDS)


async def _send_fevers(
    session: aiohttp.ClientSession, token: str, parameters: Parameters, seed: int, seen: _Seen
) -> None:
    """Send one fever each of people who were never seen before, spread over the time."""
    for user in users_of(seed + 500_000, parameters.alarms):
        await asyncio.sleep(parameters.seconds / parameters.alarms)
        now = int(time.time() * 1000)
        await _post(session, token, user, ("body_temperature", "Cel", [now], [40.0]))
        seen.answered[user, 0] = time.perf_counter()


async def _post(
    session: aiohttp.ClientSession,
    token: str,
    user: str,
    series: tuple[str, str, list[int], list[Any]],
) -> None:
    """Send an upload of one series; the device is named like the person."""
    body = {
        "upload_id": str(uuid.uuid4()),
        "user_id": user,
        "device_id": user,
        "source": "benchmark",
        "series": [dict(zip(("metric", "unit", "times", "values"), series, strict=True))],
    }
    headers = {"Authorization": f"Bearer {token}"}
    deadline = Deadline(_START_SECONDS)
    while True:  # a device sends again what was answered with 503, under the same id
        async with session.post("/v1/uploads", json=body, headers=headers) as response:
            if response.status == 202:
                return
            if response.status != 503 or deadline.passed:
                raise ServerFailedError(f"an upload was answered with {response.status}")
        await asyncio.sleep(_EVERY_SECONDS)
