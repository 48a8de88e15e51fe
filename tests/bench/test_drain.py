"""What is measured lies between two commits, seen from outside."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from app.bench.drain import Backlog, follow
from app.bench.processes import MeasuredProcess, Together
from app.errors import ServerFailedError
from benchmarks.loader import Loader
from tests.servers import KafkaServer, wait_until

TOPIC = "bench-drain"
BACKLOG = Backlog(TOPIC, (np.arange(0, 110, 10),))  # ten records of ten uploads


class Watched(Together):
    """Counts how often it was looked at: once a look at the committed offsets."""

    looks = 0

    def cpu_seconds(self) -> float:
        self.looks += 1
        return super().cpu_seconds()


class Group:
    """Commits offsets without consuming."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.name = name
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": name})

    def commit(self, offset: int) -> None:
        wait_until(lambda: self._taken(offset), "the group's coordinator takes a commit")

    def _taken(self, offset: int) -> bool:
        try:
            self._consumer.commit(offsets=[TopicPartition(TOPIC, 0, offset)], asynchronous=False)
        except KafkaException as error:
            if not error.args[0].retriable():
                raise
            return False  # the broker is still electing the coordinator
        return True

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[MeasuredProcess]:
    """Run something that waits for ever."""
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    running = MeasuredProcess(
        "waiter", command, cores=os.sched_getaffinity(0), log=tmp_path / "log"
    )
    yield running
    running.stop()


def drained(
    kafka: KafkaServer, process: MeasuredProcess, name: str, commits: list[int]
) -> tuple[int, float]:
    """Return uploads and CPU seconds that ``follow`` saw, each commit seen by it in turn."""
    watched, group = Watched([process]), Group(kafka.bootstrap, name)
    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(
            follow, kafka.bootstrap, name, BACKLOG, watched, warm_up=0.5, timeout=60.0
        )
        try:
            for offset in commits:
                group.commit(offset)
                looks = watched.looks
                wait_until(lambda looks=looks: seen.done() or watched.looks > looks + 2, "a look")  # type: ignore[misc]
            found = seen.result()
        finally:
            group.close()
    return found.uploads, found.cpu_seconds


def test_the_first_commit_behind_the_warm_up_begins(
    kafka: KafkaServer, process: MeasuredProcess
) -> None:
    loader = Loader(kafka.bootstrap)
    loader.create(TOPIC, 1)
    try:
        assert drained(kafka, process, "regular", [2, 4, 7, 8, 10]) == (30, 0.0)
        assert drained(kafka, process, "rare", [2, 4, 10]) == (60, 0.0)
        with pytest.raises(ServerFailedError, match="too rarely"):
            drained(kafka, process, "once", [10])
    finally:
        loader.delete(TOPIC)


def test_a_process_that_ended_is_told_with_its_last_lines(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('out of luck')"]
    ended = MeasuredProcess("loser", command, cores=os.sched_getaffinity(0), log=tmp_path / "log")
    wait_until(lambda: ended._process.poll() is not None, "it ends")
    with pytest.raises(ServerFailedError, match=r"loser ended with code 1[\s\S]*out of luck"):
        ended.cpu_seconds()
