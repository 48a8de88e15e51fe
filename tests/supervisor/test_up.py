"""The whole system under its supervisor: it starts, heals, stops, and leaves no orphan."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.embedded.ports import free_port
from app.supervisor.system import answers
from tests.processes import alive
from tests.servers import wait_until

pytestmark = [pytest.mark.servers, pytest.mark.chaos, pytest.mark.timeout(240)]

CHECKOUT = Path(__file__).parents[2]
NAMES = {"kafka", "clickhouse", "sink", "worker", "gateway", "supervisor"}


class Instance:
    """A running ``vitalstream up`` and what it printed."""

    def __init__(self, process: subprocess.Popen[bytes], data: Path, output: Path) -> None:
        self.process, self.data, self.output = process, data, output

    def printed(self, text: str) -> bool:
        """Whether it has printed ``text``; fails when it has ended instead."""
        said = self.output.read_text()
        if text not in said and self.process.poll() is not None:
            raise AssertionError(f"up ended with {self.process.returncode}:\n{said}")
        return text in said

    def pids(self) -> dict[str, int]:
        """Return the process id of every part that has one."""
        return {path.stem: int(path.read_text()) for path in (self.data / "run").glob("*.pid")}


def _two_free_ports() -> int:
    """Return the first of two neighbouring free ports."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@pytest.fixture
def ports() -> dict[str, str]:
    """Choose free ports for one instance."""
    return {
        "VITALSTREAM_PORT": str(free_port()),
        "VITALSTREAM_KAFKA_PORT": str(free_port()),
        "VITALSTREAM_CLICKHOUSE_PORT": str(free_port()),
        "VITALSTREAM_METRICS_PORT": str(_two_free_ports()),
    }


@contextmanager
def up(data: Path, ports: dict[str, str]) -> Iterator[Instance]:
    """Run ``vitalstream up`` until it is ready."""
    output = data.parent / "up.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "up", "--data-dir", str(data)],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=CHECKOUT,
            env=os.environ | ports,
        )
    instance = Instance(process, data, output)
    try:
        wait_until(lambda: instance.printed("Ctrl-C stops everything"), "up is ready", 120)
        yield instance
    finally:
        process.kill()  # what it started dies with it
        process.wait()


def test_it_heals_stops_and_leaves_nothing(tmp_path: Path, ports: dict[str, str]) -> None:
    data = tmp_path / "var"
    with up(data, ports) as instance:
        pids = instance.pids()
        assert set(pids) == NAMES
        assert all(map(alive, pids.values()))
        assert answers(f"http://127.0.0.1:{ports['VITALSTREAM_PORT']}/readyz")

        os.kill(pids["worker"], signal.SIGKILL)
        wait_until(lambda: instance.printed("worker was started again"), "the worker is back")
        assert instance.printed("worker was killed by SIGKILL")
        assert instance.pids()["worker"] != pids["worker"]

        instance.process.kill()  # the supervisor itself: it can say goodbye to nobody
        orphans = set(pids.values()) | set(instance.pids().values())
        wait_until(lambda: not any(map(alive, orphans)), "every child is gone", 10)

    with up(data, ports) as instance:  # the stale files are no hindrance
        pids = instance.pids()
        assert set(pids) == NAMES
        started = time.monotonic()
        instance.process.send_signal(signal.SIGINT)
        assert instance.process.wait(15) == 0
        assert time.monotonic() - started < 10
        assert not any(map(alive, pids.values()))
        assert not list((data / "run").iterdir())
        assert {path.stem for path in (data / "log").glob("*.log")} >= NAMES - {"supervisor"}
