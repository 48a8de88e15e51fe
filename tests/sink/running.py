"""A sink process under test, and what is produced for it."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from pydantic import SecretStr

from app.embedded.process import Deadline, kill, last_lines, spawn, stop
from app.kafka.clients import consumer_config, producer_config
from app.settings import Settings
from tests.servers import wait_until


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment that gives a process the same settings."""
    env = dict(os.environ)
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is not None:
            env[f"VITALSTREAM_{name.upper()}"] = str(value)
    return env


class SinkProcess:
    """A sink in a process of its own."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings = settings
        self._log = directory / "sink.log"
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as output:
            self._process = spawn(
                [sys.executable, "-m", "app.cli", "sink"],
                output=output,
                env=environment(self._settings),
            )

    def die_and_start(self) -> None:
        """Kill it with -9 and start it again."""
        kill(self._process)
        self._start()

    def stop(self) -> int:
        """Tell it to stop and return its exit status."""
        stop(self._process, Deadline(10))
        return int(self._process.wait())

    def check_alive(self) -> None:
        """Fail with its last lines when it has ended."""
        assert self._process.poll() is None, "\n".join(last_lines(self._log))

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text()


@contextlib.contextmanager
def running_sink(settings: Settings, directory: Path) -> Iterator[SinkProcess]:
    """Run a sink; on failure its last lines are in the error."""
    sink = SinkProcess(settings, directory)
    try:
        yield sink
    except AssertionError as error:
        error.add_note("\n".join(sink.log.splitlines()[-30:]))
        raise
    finally:
        sink.stop()


class Feed:
    """Produces records as the other processes do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = Producer(producer_config(settings, delivery_seconds=10))

    def send(
        self,
        topic: str,
        *values: bytes,
        key: bytes | None = None,
        partition: int = 0,
        headers: list[tuple[str, str | bytes | None]] | None = None,
    ) -> None:
        """Produce records and wait until the broker has them."""
        refused: list[KafkaError] = []

        def report(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                refused.append(error)

        for value in values:
            self._producer.produce(
                self._settings.topic(topic), value=value, key=key, partition=partition,
                headers=headers, on_delivery=report,
            )  # fmt: skip
        assert self._producer.flush(20) == 0
        assert not refused


def committed(settings: Settings, group: str, topic: str, partition: int = 0) -> int:
    """Return a group's committed offset; -1001 when there is none."""
    consumer = Consumer(consumer_config(settings, group))
    try:
        place = TopicPartition(settings.topic(topic), partition)
        [found] = consumer.committed([place], timeout=10)
        return int(found.offset)
    finally:
        consumer.close()


def read(settings: Settings, topic: str, partition: int = 0, *, until: int) -> list[Message]:
    """Return the first records of a partition."""
    consumer = Consumer(consumer_config(settings, "reading"))
    found: list[Message] = []
    try:
        consumer.assign([TopicPartition(settings.topic(topic), partition, 0)])

        def enough() -> bool:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                found.append(message)
            return len(found) >= until

        wait_until(enough, f"{until} records in {topic}", 30)
    finally:
        consumer.close()
    return found
