"""A deployment of its own for each test, and small applications in it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import KafkaException

from app.embedded.process import Deadline, spawn, stop
from app.kafka.admin import create_topics
from app.settings import Settings
from schemas.topics import UPLOADS, WORKER
from tests.servers import KafkaServer, wait_until
from tests.sink.running import Feed, committed, environment


@pytest.fixture
def settings(kafka: KafkaServer, tmp_path: Path) -> Settings:
    made = Settings(
        _env_file=None,
        kafka_bootstrap=kafka.bootstrap,
        topic_prefix=f"t{uuid4().hex[:8]}-",
        partitions=3,
        data_dir=tmp_path,
        stall_seconds=4,
        dead_ratio_uploads=20,
        log_format="console",
    )
    create_topics(made)
    return made


@pytest.fixture
def feed(settings: Settings) -> Feed:
    return Feed(settings)


class SmallApps:
    """Runs small applications, one after the other."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings = settings
        self._log = directory / "small.log"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, fault: str = "", **variables: str) -> None:
        """Start one with a fault, or none."""
        with self._log.open("wb") as output:
            process = spawn(
                [sys.executable, "-m", "tests.kafka.small_app"],
                output=output,
                env=environment(self._settings) | {"FAULT": fault} | variables,
            )
        self._processes.append(process)

    def wait_ended(self, seconds: float = 40) -> int:
        """Wait until the last one has ended by itself, and return its exit status."""
        process = self._processes[-1]
        wait_until(lambda: process.poll() is not None, "it ends by itself", seconds)
        return int(process.wait())

    @property
    def ended(self) -> bool:
        """Whether the last one has ended."""
        return self._processes[-1].poll() is not None

    @property
    def log(self) -> str:
        """What the last one has written."""
        return self._log.read_text()

    def acknowledged(self) -> int:
        """Return the committed offset of partition 0; negative for none."""
        return committed(self._settings, WORKER, UPLOADS)

    def wait_acknowledged(self, offset: int) -> None:
        """Wait until that many records of partition 0 are acknowledged."""

        def acknowledged() -> bool:
            try:
                return self.acknowledged() >= offset
            except KafkaException:  # a new broker has no coordinator of the group yet
                return False

        wait_until(acknowledged, f"{offset} are acknowledged", 40, 0.1)

    def close(self) -> None:
        """Stop those that are left."""
        for process in self._processes:
            if process.poll() is None:
                stop(process, Deadline(10))


@pytest.fixture
def apps(settings: Settings, tmp_path: Path) -> Iterator[SmallApps]:
    made = SmallApps(settings, tmp_path)
    yield made
    made.close()
