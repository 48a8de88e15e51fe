"""The processes of the whole system: what each is, where it listens, when it is ready."""

import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson

from app.embedded.kafka import EmbeddedKafka
from app.embedded.ports import ensure_port_free
from app.settings import Settings
from app.supervisor.child import Program

_PROBE_SECONDS = 1.0
_WILDCARDS = {"0.0.0.0", "::"}  # noqa: S104  (recognized, not bound)


def command(*arguments: str) -> list[str]:
    """Return the command line that runs ``vitalstream ARGUMENTS`` in a child."""
    return [sys.executable, "-m", "app.cli", *arguments]


def answers(url: str) -> bool:
    """Whether a GET of ``url`` succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as response:  # noqa: S310
            return bool(response.status == 200)
    except (OSError, ValueError):
        return False


def answers_or_is_held(url: str) -> bool:
    """Whether a worker or sink is ready, or does what it should by consuming nothing.

    One whose consumer group is held because of its dead letters waits for an operator; the system
    has to be up for that.
    """
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as response:  # noqa: S310
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        return _held(error.read())
    except (OSError, ValueError):
        return False


def _held(body: bytes) -> bool:
    try:
        return bool(orjson.loads(body)["checks"]["dead_letters"]["held"])
    except (ValueError, KeyError, TypeError):
        return False


@dataclass(frozen=True, slots=True)
class System:
    """The programs of one instance.

    Attributes
    ----------
    settings
        The instance's settings.
    workers
        How many stream workers run.
    """

    settings: Settings
    workers: int = 1

    @property
    def local_host(self) -> str:
        """The host by which this machine reaches its own servers."""
        host = self.settings.host
        return "127.0.0.1" if host in _WILDCARDS else host

    def check_ports(self) -> None:
        """Check that every port that will be used is free.

        Raises
        ------
        PortInUseError
            Naming the port and the setting that changes it.
        """
        for what, port, setting in self._ports():
            ensure_port_free(self.settings.host, port, what=what, setting=setting)

    def kafka(self, broker: EmbeddedKafka) -> Program:
        """Return the embedded broker; its own log is not what Java prints."""
        return Program(
            name="kafka",
            command=broker.prepare,
            ready=broker.ready,
            log=broker.log_path,
            output=broker.output_path,
        )

    def clickhouse(self) -> Program:
        """Return the embedded ClickHouse."""
        port = self.settings.clickhouse_port + self.settings.port_offset
        return self._program("clickhouse", f"http://{self.local_host}:{port}/ping")

    def gateway(self) -> Program:
        """Return the gateway."""
        port = self.settings.port + self.settings.port_offset
        return self._program("gateway", f"http://{self.local_host}:{port}/readyz")

    def sink(self) -> Program:
        """Return the sink, which has the first metrics port."""
        return self._with_metrics("sink", "sink", 0, {})

    def all_workers(self) -> list[Program]:
        """Return the workers, which have the metrics ports after the sink's."""
        return [
            self._with_metrics(
                "worker" if number == 0 else f"worker-{number}",
                "worker",
                1 + number,
                {"VITALSTREAM_WORKER_ID": str(number)},
            )
            for number in range(self.workers)
        ]

    def replay(self, *arguments: str, restarts: bool) -> Program:
        """Return the player of recordings."""
        return Program(
            name="replay",
            command=partial(command, "replay", *arguments),
            log=self._log("replay"),
            restarts=restarts,
        )

    def _program(self, name: str, probe: str) -> Program:
        return Program(
            name=name,
            command=partial(command, name),
            ready=partial(answers, probe),
            log=self._log(name),
        )

    def _with_metrics(self, name: str, verb: str, index: int, env: dict[str, str]) -> Program:
        """Return a program that serves its readiness on a metrics port of its own, if any."""
        base = self.settings.metrics_port
        if base == 0:
            return Program(name=name, command=partial(command, verb), log=self._log(name), env=env)
        port = base + index + self.settings.port_offset
        url = f"http://{self.local_host}:{port}/readyz"
        return Program(
            name=name,
            command=partial(command, verb),
            ready=partial(answers_or_is_held, url),
            log=self._log(name),
            env=env | {"VITALSTREAM_METRICS_PORT": str(port)},
        )

    def _log(self, name: str) -> Path:
        return self.settings.data_dir / "log" / f"{name}.log"

    def _ports(self) -> Iterator[tuple[str, int, str]]:
        settings, offset = self.settings, self.settings.port_offset
        yield "The gateway", settings.port + offset, "VITALSTREAM_PORT"
        if settings.kafka_bootstrap is None:
            yield "The Kafka broker", settings.kafka_port + offset, "VITALSTREAM_KAFKA_PORT"
        if settings.clickhouse_url is None:
            yield "ClickHouse", settings.clickhouse_port + offset, "VITALSTREAM_CLICKHOUSE_PORT"
        if settings.metrics_port:
            names = ["The sink's metrics", *["A worker's metrics"] * self.workers]
            for index, name in enumerate(names):
                yield name, settings.metrics_port + index + offset, "VITALSTREAM_METRICS_PORT"
