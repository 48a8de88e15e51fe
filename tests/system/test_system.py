"""Nothing lost, nothing twice, from HTTP to ClickHouse, whatever is killed meanwhile."""

import asyncio
import os
import signal
import time

import pandas as pd
import pytest
from confluent_kafka import Producer

from app.kafka.clients import producer_config
from tests.servers import wait_until
from tests.system.conftest import RunningSystem
from tests.system.workload import (
    Sender,
    Upload,
    expected_windows,
    make_uploads,
    shuffled_with_repetitions,
    stored_windows,
)

pytestmark = [pytest.mark.servers, pytest.mark.chaos, pytest.mark.timeout(300)]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def ledger_of(system: RunningSystem, made: list[Upload]) -> pd.DataFrame:
    users = ", ".join(f"'{user}'" for user in sorted({upload.user_id for upload in made}))
    return system.query(
        "SELECT count() AS uploads, sum(accepted) AS accepted, sum(stored) AS stored, "  # noqa: S608
        "sum(duplicate) AS duplicate, sum(dead_lettered) AS dead, countIf(NOT balanced) AS open "
        f"FROM ledger WHERE user_id IN ({users})"
    )


def assert_exact(system: RunningSystem, made: list[Upload]) -> None:
    """Check windows of every size and the ledger, once everything has arrived."""
    distinct = len({(upload.user_id, t) for upload in made for t in upload.times})

    def arrived() -> bool:
        found = ledger_of(system, made).iloc[0]
        return bool(found["uploads"] == len(made) and found["open"] == 0)

    wait_until(arrived, f"{len(made)} uploads are in a balanced ledger", 90, 0.3)
    ledger = ledger_of(system, made).iloc[0]
    assert ledger["stored"] == distinct
    assert ledger["accepted"] == ledger["stored"] + ledger["duplicate"]
    for table, size in (("windows_1m", "min"), ("windows_1h", "h"), ("windows_1d", "D")):
        wanted = expected_windows(made, size)
        found = pd.DataFrame()

        def complete(table: str = table, wanted: pd.DataFrame = wanted) -> bool:
            nonlocal found
            found = stored_windows(system, made, table)
            return len(found) == len(wanted) and found["count"].sum() == wanted["count"].sum()

        wait_until(complete, f"{table} holds every sample", 60, 0.3)
        pd.testing.assert_frame_equal(
            found[wanted.columns].astype(float), wanted.astype(float), check_index_type=False,
            rtol=1e-9,
        )  # fmt: skip


def test_a_thousand_shuffled_uploads_end_in_the_windows_that_pandas_computes(
    running: RunningSystem,
) -> None:
    made = make_uploads(1_000, users=8, seed=1, end_ms=now_ms() - 1_000)
    sender = Sender(running, made)
    asyncio.run(sender.send(shuffled_with_repetitions(made, 2)))
    assert sender.accepted == 1_100
    assert_exact(running, made)
    status = running.get(f"/v1/uploads/{made[0].upload_id}", made[0].user_id)
    assert status["status"] == "stored"
    assert status["accepted"] == len(made[0].times)


def test_days_are_those_of_the_persons_time_zone(running: RunningSystem) -> None:
    made = make_uploads(4, users=1, seed=31, end_ms=now_ms() - 1_000)
    user = made[0].user_id
    running.put(f"/v1/users/{user}/settings", user, {"time_zone": "Asia/Kolkata"})
    wait_until(lambda: running.people_with_zone() == 1, "the worker knows the zone", 10)
    asyncio.run(Sender(running, made).send(made))

    def stored() -> bool:
        return bool(ledger_of(running, made).iloc[0]["stored"] == 34)

    wait_until(stored, "the samples are stored", 60, 0.3)
    query = f"SELECT window_start FROM windows_1d WHERE user_id = '{user}'"  # noqa: S608
    wait_until(lambda: not running.query(query).empty, "the day is stored", 30, 0.3)
    for start in pd.to_datetime(running.query(query)["window_start"], utc=True):
        assert start.tz_convert("Asia/Kolkata").strftime("%H:%M") == "00:00"


@pytest.mark.parametrize(
    "victims", [("worker",), ("sink",), ("gateway",), ("worker", "sink", "gateway")]
)
def test_killed_processes_lose_nothing_and_count_nothing_twice(
    running: RunningSystem, victims: tuple[str, ...]
) -> None:
    made = make_uploads(600, users=12, seed=len("-".join(victims)), end_ms=now_ms() - 1_000)
    sent = shuffled_with_repetitions(made, 3)
    sender = Sender(running, made)

    async def send_while_killing() -> None:
        sending = asyncio.ensure_future(sender.send(sent))
        for number, victim in enumerate(victims, 1):
            await sender.reached(number * len(sent) // (len(victims) + 1))
            running.kill(victim)
        await sending

    asyncio.run(send_while_killing())
    assert_exact(running, made)


def test_while_clickhouse_is_away_uploads_are_taken_and_processed(running: RunningSystem) -> None:
    made = make_uploads(400, users=5, seed=77, end_ms=now_ms() - 1_000)
    sender = Sender(running, made)
    clickhouse = running.pid("clickhouse")
    os.kill(clickhouse, signal.SIGSTOP)
    try:
        away_until = time.monotonic() + 20
        asyncio.run(sender.send(made))
        assert sender.accepted == len(made)
        assert sender.refusals == 0
        wait_until(lambda: time.monotonic() > away_until, "20 s have passed", 25)
    finally:
        os.kill(clickhouse, signal.SIGCONT)
    assert_exact(running, made)


def test_a_broker_that_is_killed_and_comes_back_costs_no_upload(running: RunningSystem) -> None:
    made = make_uploads(600, users=6, seed=99, end_ms=now_ms() - 1_000)
    sent = shuffled_with_repetitions(made, 5)
    sender = Sender(running, made)

    async def send_while_killing() -> None:
        sending = asyncio.ensure_future(sender.send(sent))
        await sender.reached(len(sent) // 3)
        running.kill("kafka")
        await sending

    asyncio.run(send_while_killing())
    assert sender.refusals > 0, "without a broker nothing may be accepted"
    assert_exact(running, made)


def test_a_poison_record_is_a_dead_letter_with_its_bytes(running: RunningSystem) -> None:
    made = make_uploads(60, users=3, seed=123, end_ms=now_ms() - 1_000)
    producer = Producer(producer_config(running.settings, delivery_seconds=20))
    for partition in range(3):
        producer.produce("uploads", b"poison %d" % partition, partition=partition)
    assert producer.flush(20) == 0
    asyncio.run(Sender(running, made).send(made))
    assert_exact(running, made)

    def arrived() -> bool:
        found = running.query(
            "SELECT count() AS n FROM dead_letters WHERE error LIKE 'DecodeError%'"
        )
        return bool(found["n"][0] == 3)

    wait_until(arrived, "the poison is in dead_letters", 30, 0.3)
