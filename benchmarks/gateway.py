"""The gateway against a bare aiohttp handler: uploads a second of one process.

The bare handler reads and parses the same bodies and answers; a second one also writes each body
to Kafka and waits for all replicas, which is the least that a 202 may stand on. All three run side
by side on the measured core and are loaded in turn, from a process on the other cores.
"""

import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import BaseModel, Field

from app.bench.bench import CHECKOUT, Bench
from app.bench.processes import MeasuredProcess
from app.bench.result import Result, Table, ratio
from app.embedded.ports import accepts, free_port
from app.embedded.process import Deadline
from app.errors import ServerFailedError
from app.kafka.admin import create_topics
from app.settings import Settings
from benchmarks.http_uploads import BODIES, Body

_HOST: Final = "127.0.0.1"
_NOWHERE: Final = "http://127.0.0.1:1"
_START_SECONDS: Final = 60.0
_LEAST_RATIO: Final = 0.6
_BARE, _BARE_ACKS, _GATEWAY = "bare handler", "bare handler, acks=all", "gateway, acks=all"
_NAMES: Final[dict[Body, str]] = {
    "json": "JSON",
    "json-rfc3339": "JSON, RFC 3339 times",
    "avro": "Avro",
}


class Parameters(BaseModel):
    """What is sent."""

    seconds: float = Field(6.0, gt=0, description="How long each server is loaded at a time.")
    connections: int = Field(256, gt=0, description="Keep-alive connections, each always busy.")
    people: int = Field(1000, gt=0, description="People who send, each with a token.")
    samples: int = Field(60, gt=0, description="Samples an upload.")
    partitions: int = Field(6, gt=0, description="Partitions of topic uploads.")


QUICK: dict[str, float] = {"seconds": 1.5, "people": 200}


@dataclass(frozen=True, slots=True)
class _Server:
    """A server under load."""

    process: MeasuredProcess
    port: int


def measure(bench: Bench, parameters: Parameters) -> Result:
    """Load the three servers with each kind of body, interleaved."""
    table = Table()
    with bench.kafka() as bootstrap:
        port = free_port()
        environment = bench.environment(
            bootstrap,
            host=_HOST,
            port=port,
            port_offset=0,
            partitions=parameters.partitions,
            clickhouse_url=_NOWHERE,
            rate_limit_per_second=0,
        )
        create_topics(
            Settings(_env_file=None, kafka_bootstrap=bootstrap, partitions=parameters.partitions)
        )
        servers = _start(bench, port, environment)
        try:
            for repeat in range(bench.repeats):
                for body in BODIES:
                    for name, server in servers.items():
                        bench.say(f"repeat {repeat + 1}: {name}, {_NAMES[body]}")
                        found = _load(bench, server, body, parameters, environment)
                        for quantity, value in found.items():
                            table.add(f"{name}, {_NAMES[body]}", quantity, value)
            grown = _uploads_a_record(port)
        finally:
            for server in servers.values():
                server.process.stop()
    figures = table.figures()
    return Result(
        title="Gateway: uploads a second of one process",
        figures=figures,
        ratios=tuple(
            ratio(
                figures,
                quantity,
                f"{_GATEWAY}, {_NAMES[body]}",
                f"{to}, {_NAMES[body]}",
                at_least=_LEAST_RATIO if to == _BARE else None,
            )
            for to in (_BARE, _BARE_ACKS)
            for body in BODIES
            for quantity in ("uploads/CPU-s", "uploads/s")
        ),
        notes=(
            f"{parameters.samples} samples an upload, {parameters.people} people, a token each.",
            f"{parameters.connections} connections, {parameters.partitions} partitions.",
            f"{grown:.1f} uploads a record on average.",
            "The bare handler reads, parses and answers; it checks neither token nor samples.",
        ),
        charted="uploads/CPU-s",
    )


def _start(bench: Bench, port: int, environment: Mapping[str, str]) -> dict[str, _Server]:
    """Start all servers and wait until they are ready."""
    bare = [sys.executable, "-m", "benchmarks.bare_gateway", "--port"]
    one, other = free_port(), free_port()
    servers = {
        _BARE: _Server(bench.start("bare", [*bare, str(one)], environment), one),
        _BARE_ACKS: _Server(
            bench.start("bare acks", [*bare, str(other), "--produce"], environment), other
        ),
        _GATEWAY: _Server(bench.product("gateway", environment), port),
    }
    deadline = Deadline(_START_SECONDS)
    while not (accepts(_HOST, one) and accepts(_HOST, other) and _ready(port)):
        for server in servers.values():
            server.process.check()
        if deadline.passed:
            raise servers[_GATEWAY].process.failure("did not become ready")
        time.sleep(0.1)
    return servers


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{_HOST}:{port}/readyz", timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _load(
    bench: Bench,
    server: _Server,
    body: Body,
    parameters: Parameters,
    environment: Mapping[str, str],
) -> dict[str, float]:
    """Load a server for a while; return its quantities."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.http_load",
        *("--port", str(server.port)),
        *("--body", body),
        *("--seconds", str(parameters.seconds)),
        *("--connections", str(parameters.connections)),
        *("--users", str(parameters.people)),
        *("--samples", str(parameters.samples)),
        *("--cores", ",".join(map(str, sorted(bench.cores.others)))),
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env=dict(environment), cwd=CHECKOUT
    ) as load:
        assert load.stdout is not None
        load.stdout.readline()  # warm
        before = server.process.cpu_seconds()
        line = load.stdout.readline()
        cpu = server.process.cpu_seconds() - before
    if load.returncode or not line:
        raise ServerFailedError(f"the load ended with code {load.returncode}")
    found: dict[str, Any] = orjson.loads(line)
    if found["refused"]:
        raise ServerFailedError(f"{found['refused']} uploads were refused")
    return {
        "uploads/s": found["answered"] / found["seconds"],
        "uploads/CPU-s": found["answered"] / cpu,
        "answered p50, ms": found["p50_ms"],
        "answered p99, ms": found["p99_ms"],
    }


def _uploads_a_record(port: int) -> float:
    with urllib.request.urlopen(f"http://{_HOST}:{port}/metrics", timeout=5) as response:
        text = response.read().decode()
    total, count = (
        float(re.findall(rf"^vitalstream_batch_uploads_{part} (\S+)$", text, re.MULTILINE)[0])
        for part in ("sum", "count")
    )
    return total / max(count, 1)
