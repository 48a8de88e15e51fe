"""The embedded broker: a real one, that keeps what it acknowledged and explains its failures."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from app.embedded.java import find_java
from app.embedded.kafka import EmbeddedKafka
from app.embedded.ports import free_port
from app.errors import ConfigurationError, PortInUseError, ServerFailedError
from tests.processes import alive
from tests.servers import KafkaServer

pytestmark = pytest.mark.servers


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """Give the test a broker of its own."""
    broker = EmbeddedKafka(tmp_path / "kafka", port=free_port(), heap_mb=256)
    yield broker
    broker.kill()


def _produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce(topic, value, partition=0)
    assert producer.flush(20) == 0


def _read(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return [message.value() for message in consumer.consume(count, 20)]
    finally:
        consumer.close()


def test_it_keeps_records_over_stop_and_kill(broker: EmbeddedKafka) -> None:
    broker.start()
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(20)
    _produce(broker.bootstrap, "kept", b"before a stop")
    first = broker.pid
    broker.start()
    assert broker.pid == first  # it runs already
    broker.stop()
    assert not alive(first)
    broker.start()
    _produce(broker.bootstrap, "kept", b"before a kill")
    broker.kill()
    broker.start()
    assert _read(broker.bootstrap, "kept", 2) == [b"before a stop", b"before a kill"]
    assert broker.log_path.stat().st_size > 0


def test_no_topic_appears_by_accident_and_large_records_pass(kafka: KafkaServer) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.list_topics("never-created", timeout=10)
    assert "never-created" not in admin.list_topics(timeout=10).topics
    admin.create_topics([NewTopic("large", 1, 1, config={"max.message.bytes": str(9 << 20)})])[
        "large"
    ].result(20)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.max.bytes": 9 << 20})
    errors: list[object] = []
    producer.produce(
        "large", bytes(8 << 20), partition=0, on_delivery=lambda error, _: errors.append(error)
    )
    assert producer.flush(20) == 0
    assert errors == [None]


def test_a_busy_port_is_named(kafka: KafkaServer, tmp_path: Path) -> None:
    port = int(kafka.bootstrap.rpartition(":")[2])
    second = EmbeddedKafka(tmp_path, port=port)
    with pytest.raises(PortInUseError, match=rf":{port}\b.*VITALSTREAM_KAFKA_PORT"):
        second.start()


def test_a_broker_that_ends_says_why_in_its_own_words(broker: EmbeddedKafka) -> None:
    broker.prepare()
    metadata = broker.log_path.parent / "data" / "__cluster_metadata-0"
    shutil.rmtree(metadata)
    metadata.write_text("in the way")
    with pytest.raises(ServerFailedError, match=r"(?s)ended with code.*__cluster_metadata"):
        broker.start()


def test_there_is_no_process_before_a_start(broker: EmbeddedKafka) -> None:
    with pytest.raises(ServerFailedError, match="not started"):
        _ = broker.pid
    broker.stop()
    assert not broker.ready()


def test_the_pinned_java_is_new_enough() -> None:
    told = subprocess.run([find_java(), "-version"], capture_output=True, text=True, check=True)
    found = re.search(r'version "(\d+)', told.stderr)
    assert found is not None
    assert int(found[1]) >= 17


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (None, "is not a program"),
        ("echo 'openjdk version \"11.0.2\" 2019' >&2", "is 11; set VITALSTREAM_JAVA"),
        ("echo hello", "not a Java at all"),
    ],
)
def test_a_java_that_will_not_do_is_refused(
    script: str | None, message: str, tmp_path: Path
) -> None:
    java = tmp_path / "java"
    if script is not None:
        java.write_text(f"#!/bin/sh\n{script}\n")
        java.chmod(0o755)
    with pytest.raises(ConfigurationError, match=message):
        find_java(java)


def test_a_java_that_was_chosen_is_used(tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\" 2023' >&2\n")
    java.chmod(0o755)
    assert find_java(java) == str(java)
