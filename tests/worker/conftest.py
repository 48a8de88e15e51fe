"""A worker process on the session's broker, and what it writes."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from app.embedded.ports import free_port
from app.embedded.process import Deadline, kill, spawn, stop
from app.kafka.admin import create_topics
from app.kafka.clients import consumer_config, producer_config
from app.settings import Settings
from schemas.topics import UPLOADS
from tests.servers import KafkaServer, wait_until


class System:
    """One deployment on the session's broker: its settings, its workers, its topics."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.directory = directory
        self.workers: list[subprocess.Popen[bytes]] = []
        self._producer = Producer(producer_config(settings, delivery_seconds=30))
        create_topics(settings)

    def start_worker(self, *, wait: bool = True, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker process; with ``wait``, until it streams."""
        port = free_port()
        env = os.environ | {
            "VITALSTREAM_KAFKA_BOOTSTRAP": self.settings.bootstrap,
            "VITALSTREAM_TOPIC_PREFIX": self.settings.topic_prefix,
            "VITALSTREAM_PARTITIONS": str(self.settings.partitions),
            "VITALSTREAM_DATA_DIR": str(self.directory),
            "VITALSTREAM_METRICS_PORT": str(port),
            "VITALSTREAM_WORKER_ID": str(len(self.workers)),
        }
        log = (self.directory / f"worker-{len(self.workers)}.log").open("wb")
        process = spawn(
            [sys.executable, "-m", "app.cli", "worker"], output=log, env=env | environment
        )
        log.close()
        self.workers.append(process)
        if wait:
            wait_until(lambda: _ready(process, port), "the worker streams", 60)
        return process

    def produce(self, records: list[tuple[int, bytes]], topic: str = UPLOADS) -> None:
        """Write records and wait until the broker has them."""
        for partition, value in records:
            self._producer.produce(self.settings.topic(topic), value, partition=partition)
            self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def read(self, *topics: str) -> Iterator[tuple[str, bytes, dict[str, bytes]]]:
        """Yield (topic, value, headers) of everything that stands in topics now."""
        consumer = Consumer(consumer_config(self.settings, f"test-{uuid4()}"))
        places = []
        for topic in topics:
            name = self.settings.topic(topic)
            for partition in range(self.settings.partitions):
                _, end = consumer.get_watermark_offsets(TopicPartition(name, partition))
                if end:
                    places.append((TopicPartition(name, partition, OFFSET_BEGINNING), end))
        missing = {(place.topic, place.partition): end for place, end in places}
        consumer.assign([place for place, _ in places])
        deadline = Deadline(30)
        while missing:
            assert not deadline.passed, "the topics could not be read to their ends"
            for message in consumer.consume(500, 1):
                assert message.error() is None, message.error()
                place = (message.topic() or "", message.partition() or 0)
                headers = dict(cast("list[tuple[str, bytes]]", message.headers() or []))
                yield place[0], message.value() or b"", headers
                if (message.offset() or 0) + 1 >= missing.get(place, 0):
                    missing.pop(place, None)
        consumer.close()

    def wait_applied(self, group: str, topic: str = UPLOADS, seconds: float = 60) -> None:
        """Block until a consumer group has committed all of a topic."""
        name = self.settings.topic(topic)
        consumer = Consumer(consumer_config(self.settings, group))
        places = [TopicPartition(name, number) for number in range(self.settings.partitions)]

        def applied() -> bool:
            committed = {p.partition: p.offset for p in consumer.committed(places, timeout=10)}
            return all(
                max(committed[place.partition], 0) >= consumer.get_watermark_offsets(place)[1]
                for place in places
            )

        try:
            wait_until(applied, f"{group} has applied {topic}", seconds, 0.1)
        finally:
            consumer.close()

    def kill_worker(self, process: subprocess.Popen[bytes]) -> None:
        """End a worker as the power would."""
        kill(process)

    def close(self) -> None:
        """Stop the workers that are left."""
        for process in self.workers:
            if process.poll() is None:
                stop(process, Deadline(10))

    def log(self, number: int) -> str:
        """Return what a worker has logged."""
        return (self.directory / f"worker-{number}.log").read_text()


def _ready(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, f"the worker ended with {process.returncode}"
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@pytest.fixture
def system(kafka: KafkaServer, tmp_path: Path) -> Iterator[System]:
    made = System(
        Settings(
            kafka_bootstrap=kafka.bootstrap,
            topic_prefix=f"t{uuid4().hex[:8]}-",
            partitions=3,
            data_dir=tmp_path,
        ),
        tmp_path,
    )
    yield made
    made.close()
