"""The Kafka broker and the ClickHouse server of a test session, embedded or in Docker."""

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from app.embedded.kafka import EmbeddedKafka
from app.embedded.ports import accepts, free_port
from app.embedded.process import Deadline, last_lines, spawn, stop
from app.secret_files import CLICKHOUSE_WRITER_PASSWORD, ensure_secret

KAFKA_IMAGE = "apache/kafka:4.1.1"
CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:25.8"
START_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class KafkaServer:
    """A broker that tests share: they make topics of their own."""

    bootstrap: str


@dataclass(frozen=True, slots=True)
class ClickHouseServer:
    """A server that tests share: they make databases of their own."""

    url: str
    writer_user: str
    writer_password: str
    reader_user: str


def wait_until(
    condition: Callable[[], bool], what: str, seconds: float = 30.0, poll: float = 0.05
) -> None:
    """Block until ``condition`` holds; fail naming ``what`` when it does not in time."""
    deadline = Deadline(seconds)
    while not condition():
        if deadline.passed:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(poll)


def answers(url: str) -> bool:
    """Whether a GET of ``url`` is answered with success."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  (http, our own)
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@contextmanager
def embedded_kafka(directory: Path) -> Iterator[KafkaServer]:
    """Run the embedded broker on a free port."""
    with EmbeddedKafka(directory, port=free_port()) as kafka:
        yield KafkaServer(kafka.bootstrap)


@contextmanager
def embedded_clickhouse(directory: Path) -> Iterator[ClickHouseServer]:
    """Run the embedded ClickHouse in a process of its own on a free port."""
    port = free_port()
    env = os.environ | {
        "VITALSTREAM_DATA_DIR": str(directory),
        "VITALSTREAM_CLICKHOUSE_PORT": str(port),
        "VITALSTREAM_PORT_OFFSET": "0",
    }
    url = f"http://127.0.0.1:{port}"
    log = directory / "clickhouse.log"
    with log.open("wb") as output:
        process = spawn([sys.executable, "-m", "app.cli", "clickhouse"], output=output, env=env)
    try:
        wait_until(
            lambda: process.poll() is not None or answers(f"{url}/ping"),
            "the embedded ClickHouse answers",
            START_SECONDS,
        )
        if process.poll() is not None:
            said = "\n".join(last_lines(log))
            raise AssertionError(f"the embedded ClickHouse ended:\n{said}")
        password = ensure_secret(directory, CLICKHOUSE_WRITER_PASSWORD)
        yield ClickHouseServer(url, "writer", password, "default")
    finally:
        stop(process, Deadline(10))


@contextmanager
def docker_kafka() -> Iterator[KafkaServer]:
    """Run Apache's own image."""
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415  (needs Docker)

    port = free_port()
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(port, port)
    environment = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://localhost:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_MESSAGE_MAX_BYTES": str(16 << 20),
    }
    for key, value in environment.items():
        container = container.with_env(key, value)
    with container:
        wait_until(lambda: accepts("localhost", port), "Kafka's container accepts", START_SECONDS)
        yield KafkaServer(f"localhost:{port}")


@contextmanager
def docker_clickhouse() -> Iterator[ClickHouseServer]:
    """Run ClickHouse's own image, with a writer and a reader as the embedded server has them."""
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415  (needs Docker)

    password = "writer-of-the-test-session"
    container = (
        DockerContainer(CLICKHOUSE_IMAGE)
        .with_exposed_ports(8123)
        .with_env("CLICKHOUSE_USER", "writer")
        .with_env("CLICKHOUSE_PASSWORD", password)
        .with_env("CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT", "1")
    )
    with container:
        url = f"http://{container.get_container_host_ip()}:{container.get_exposed_port(8123)}"
        wait_until(lambda: answers(f"{url}/ping"), "ClickHouse's container answers", START_SECONDS)
        for statement in (
            "CREATE USER reader IDENTIFIED WITH no_password SETTINGS readonly = 2",
            "GRANT SELECT ON *.* TO reader",
        ):
            request = urllib.request.Request(  # noqa: S310  (http, our own container)
                f"{url}/?query={quote(statement)}",
                method="POST",
                headers={"X-ClickHouse-User": "writer", "X-ClickHouse-Key": password},
            )
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
        yield ClickHouseServer(url, "writer", password, "reader")
