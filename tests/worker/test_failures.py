"""Where failed records go, and that what waits in a retry topic comes back."""

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from agents.failures import (
    ATTEMPT,
    ERROR_CHAIN,
    FIRST_FAILED,
    NOT_BEFORE,
    ORIGIN,
    Origin,
    reroute,
)
from agents.retries import RetryForwarder
from app.errors import DecodeError, RegistryUnavailableError
from app.kafka.clients import producer_config
from schemas.topics import DEAD_LETTERS, RETRY_1M, RETRY_5S, RETRY_10M, UPLOADS
from tests.servers import wait_until
from tests.worker.conftest import System

NOW = 1_795_428_000_000
HERE = Origin("uploads", 2, 41)


def test_a_retriable_failure_goes_through_every_tier_and_then_to_the_dead_letters() -> None:
    error = RegistryUnavailableError("no answer")
    headers: dict[str, bytes] = {}
    seen = []
    for attempt in range(4):
        moved = reroute(
            error, b"x", Origin("uploads", 2, 41 + attempt), headers,
            now_ms=NOW + attempt, attempts=3,
        )  # fmt: skip
        headers = dict(moved.headers)
        seen.append(moved.topic)
    assert seen == [RETRY_5S, RETRY_1M, RETRY_10M, DEAD_LETTERS]
    assert headers[ORIGIN] == b"uploads/2/41", "the first place is kept"
    assert headers[FIRST_FAILED] == b"%d" % NOW
    assert headers[ERROR_CHAIN].count(b"RegistryUnavailableError") == 4
    assert headers[ATTEMPT] == b"3"


def test_the_delay_of_a_tier_is_at_least_its_name_and_at_most_a_fifth_more() -> None:
    moved = reroute(RegistryUnavailableError(""), b"x", HERE, {}, now_ms=NOW, attempts=3)
    assert 5_000 <= int(dict(moved.headers)[NOT_BEFORE]) - NOW <= 6_000


def test_a_permanent_failure_goes_to_the_dead_letters_at_once() -> None:
    moved = reroute(DecodeError("not Avro"), b"bytes", HERE, {}, now_ms=NOW, attempts=3)
    assert moved.dead
    assert (moved.partition, moved.value) == (2, b"bytes")


def test_an_error_of_a_library_tells_its_class_only() -> None:
    moved = reroute(ValueError("heart rate 61"), b"", HERE, {}, now_ms=NOW, attempts=3)
    assert dict(moved.headers)["vs-error"] == b"ValueError"


@pytest.fixture
def forwarded(system: System) -> Iterator[list[str]]:
    seen: list[str] = []
    forwarder = RetryForwarder(system.settings, seen.append)
    forwarder.start()
    yield seen
    forwarder.stop()


@pytest.mark.servers
def test_what_is_due_comes_back_and_what_is_not_waits(system: System, forwarded: list[str]) -> None:
    producer = Producer(producer_config(system.settings, delivery_seconds=20))
    soon = time.time_ns() // 1_000_000 + 1_500
    later = soon + 3_600_000
    for partition, (value, due) in enumerate([(b"due", 0), (b"soon", soon), (b"later", later)]):
        producer.produce(
            system.settings.topic(RETRY_5S), value, partition=partition,
            headers=[(NOT_BEFORE, b"%d" % due), (ATTEMPT, b"1")],
        )  # fmt: skip
    assert producer.flush(20) == 0
    wait_until(lambda: len(forwarded) == 2, "two records have been forwarded", 30)
    assert time.time_ns() // 1_000_000 >= soon
    back = {value: headers for _, value, headers in system.read(UPLOADS)}
    assert back.keys() == {b"due", b"soon"}
    assert back[b"due"][ATTEMPT] == b"1"
