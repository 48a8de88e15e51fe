"""One running system for the module: every process under the supervisor, on free ports."""

import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import orjson
import pandas as pd
import pytest

from app.embedded.process import Deadline, last_lines, spawn, stop
from app.security import mint_token
from app.settings import Settings
from tests.servers import wait_until

_PORTS = (8080, 8123, 9092, 9100, 9101)


class RunningSystem:
    """A system started by ``vitalstream up``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.settings = Settings(data_dir=directory, port_offset=_free_offset(), partitions=3)
        self.log = directory / "up.log"

    def start(self) -> None:
        """Start it and wait until every process is ready."""
        environment = os.environ | {
            "VITALSTREAM_DATA_DIR": str(self.directory),
            "VITALSTREAM_PORT_OFFSET": str(self.settings.port_offset),
            "VITALSTREAM_PARTITIONS": str(self.settings.partitions),
            "VITALSTREAM_RATE_LIMIT_PER_SECOND": "0",
        }
        with self.log.open("wb") as output:
            self._process = spawn(
                [sys.executable, "-m", "app.cli", "up"], output=output, env=environment
            )
        wait_until(self._ready, "the system is ready", 120, 0.2)

    def stop(self) -> None:
        """Stop it as Ctrl-C does."""
        stop(self._process, Deadline(15))

    def pid(self, name: str) -> int:
        """Return the process id that a process of the system has written."""
        return int((self.directory / "run" / f"{name}.pid").read_text())

    def kill(self, name: str) -> None:
        """End a process of the system as the power would; the supervisor starts it again."""
        os.kill(self.pid(name), signal.SIGKILL)

    def token(self, *users: str) -> str:
        """Return a token of a device that may write for people."""
        return mint_token(self.settings, "test-device", "device", list(users), 3600)

    def query(self, sql: str) -> pd.DataFrame:
        """Read from ClickHouse as an analyst does."""
        host, port = self.settings.clickhouse.removeprefix("http://").split(":")
        client = clickhouse_connect.get_client(host=host, port=int(port))
        try:
            return client.query_df(sql)
        finally:
            client.close()

    def get(self, path: str, user: str) -> dict[str, Any]:
        """Return the answer of the gateway to a person's own token."""
        return self._ask("GET", path, user, None)

    def put(self, path: str, user: str, body: dict[str, Any]) -> dict[str, Any]:
        """Put a document as a person does."""
        return self._ask("PUT", path, user, orjson.dumps(body))

    def people_with_zone(self) -> int:
        """Return how many people's time zones the worker says it knows."""
        port = self.settings.metrics_port + self.settings.port_offset + 1
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        [line] = [one for one in lines if one.startswith("vitalstream_worker_people_with_zone ")]
        return int(float(line.split()[1]))

    def _ask(self, method: str, path: str, user: str, body: bytes | None) -> dict[str, Any]:
        token = mint_token(self.settings, user, "user", [user], 3600)
        request = urllib.request.Request(  # noqa: S310  (http, our own)
            f"{self.settings.gateway}{path}", data=body, method=method,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            answered: dict[str, Any] = orjson.loads(answer.read())
            return answered

    def _ready(self) -> bool:
        if self._process.poll() is not None:
            said = "\n".join(last_lines(self.log))
            raise AssertionError(f"up ended with {self._process.returncode}:\n{said}")
        ports = (self.settings.metrics_port, self.settings.metrics_port + 1, self.settings.port)
        return all(_answers(port + self.settings.port_offset) for port in ports)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _free_offset() -> int:
    for offset in range(11_000, 40_000, 97):
        try:
            for port in _PORTS:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port + offset))
        except OSError:
            continue
        return offset
    raise AssertionError("no free ports for a system")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    system = RunningSystem(tmp_path_factory.mktemp("system"))
    system.start()
    yield system
    system.stop()
