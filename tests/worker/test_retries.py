"""What waits in a retry topic comes back in time, blocks nothing and costs nothing."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from agents.failures import ATTEMPT, NOT_BEFORE
from agents.retries import RetryForwarder
from app.kafka.clients import producer_config
from schemas.topics import RETRIES, RETRY_5S, RETRY_10M, UPLOADS
from tests.servers import wait_until
from tests.sink.running import committed
from tests.worker.conftest import System

pytestmark = pytest.mark.servers


class Tiers:
    """The retry topics of a deployment, and what came back from them."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._producer = Producer(producer_config(system.settings, delivery_seconds=20))
        self.forwarded: list[str] = []
        self.forwarder = RetryForwarder(system.settings, self.forwarded.append)

    def put(
        self, value: bytes, not_before: bytes, *, partition: int = 0, tier: str = RETRY_5S,
        age_ms: int = 0,
    ) -> None:  # fmt: skip
        """Write a record, as if it had been written a while ago."""
        self._producer.produce(
            self._system.settings.topic(tier), value, partition=partition,
            timestamp=now_ms() - age_ms, headers=[(NOT_BEFORE, not_before), (ATTEMPT, b"1")],
        )  # fmt: skip

    def flush(self) -> None:
        """Wait until the broker has all records."""
        assert self._producer.flush(20) == 0

    def wait_forwarded(self, count: int) -> None:
        """Wait until so many records have come back."""
        wait_until(lambda: len(self.forwarded) >= count, f"{count} records came back", 40)

    def back(self) -> list[bytes]:
        """Return what has come back, in the order of each partition."""
        return [value for _, value, _ in self._system.read(UPLOADS)]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def cpu_seconds(thread_id: int) -> float:
    """Return what a thread has used of a processor so far."""
    fields = Path(f"/proc/self/task/{thread_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def tiers(system: System) -> Iterator[Tiers]:
    made = Tiers(system)
    made.forwarder.start()
    yield made
    made.forwarder.stop()


def test_what_is_due_comes_back_and_what_is_not_blocks_nothing(
    system: System, tiers: Tiers
) -> None:
    soon = now_ms() + 3_000
    tiers.put(b"later", b"%d" % (now_ms() + 500_000), tier=RETRY_10M)
    tiers.put(b"soon", b"%d" % soon, partition=1)
    tiers.put(b"behind", b"0", partition=1)
    for number in range(200):
        tiers.put(
            b"due",
            b"0",
            partition=number % 3,
            tier=RETRY_5S if number % 3 != 1 else "uploads-retry-1m",
        )
    tiers.flush()
    tiers.wait_forwarded(200)
    tiers.wait_forwarded(202)
    assert now_ms() >= soon
    back = tiers.back()
    assert sorted(set(back)) == [b"behind", b"due", b"soon"]
    assert len(back) == 202, "each once"
    assert back.index(b"soon") < back.index(b"behind"), "a partition keeps its order"
    headers = {value: found for _, value, found in system.read(UPLOADS)}
    assert headers[b"due"][ATTEMPT] == b"1"
    wait_until(
        lambda: committed(system.settings, RETRIES, RETRY_5S, 1) == 2, "they are committed", 20
    )
    assert committed(system.settings, RETRIES, RETRY_10M) < 0, "what waits is not"


def test_no_header_keeps_a_record_for_longer_than_its_tier(tiers: Tiers) -> None:
    tiers.put(b"garbage", b"tomorrow", partition=0)
    tiers.put(b"far", b"%d" % (now_ms() + 10**12), partition=1, age_ms=6_500)
    tiers.put(b"huge", b"9" * 300, partition=2)
    tiers.flush()
    tiers.wait_forwarded(3)
    assert sorted(tiers.back()) == [b"far", b"garbage", b"huge"]


def test_waiting_costs_no_processor(tiers: Tiers) -> None:
    soon = now_ms() + 4_000
    for partition in range(3):
        tiers.put(b"soon", b"%d" % soon, partition=partition)
    tiers.put(b"due", b"0", partition=0, tier=RETRY_10M)
    tiers.flush()
    tiers.wait_forwarded(1)
    thread = tiers.forwarder._thread.native_id
    assert thread is not None
    used, began = cpu_seconds(thread), time.monotonic()
    tiers.wait_forwarded(4)
    assert cpu_seconds(thread) - used < 0.1 * (time.monotonic() - began) + 0.05


def test_what_waits_survives_rebalances(system: System, tiers: Tiers) -> None:
    soon = now_ms() + 4_000
    for partition in range(3):
        tiers.put(b"%d" % partition, b"%d" % soon, partition=partition)
    tiers.put(b"due", b"0", tier=RETRY_10M)
    tiers.flush()
    tiers.wait_forwarded(1)
    other: list[str] = []
    second = RetryForwarder(system.settings, other.append)
    second.start()
    tiers.put(b"due", b"0", tier=RETRY_10M, partition=1)
    tiers.put(b"due", b"0", tier=RETRY_10M, partition=2)
    tiers.flush()
    wait_until(lambda: len(tiers.forwarded) + len(other) >= 3, "the group goes on", 30)
    second.stop()
    wait_until(lambda: {b"0", b"1", b"2"} <= set(tiers.back()), "what waited comes back", 40, 0.5)
