"""The worker against a real broker: exact windows, poison, crashes, rebalances."""

import random

import pytest

from schemas import statuses
from schemas.topics import DEAD_LETTERS, SAMPLES, UPLOAD_STATUS, WINDOWS, WORKER
from tables.days import Calendar
from tests.worker.conftest import System
from tests.worker.workload import (
    CODEC,
    Facts,
    Key,
    Outcome,
    Upload,
    expected_rows,
    records_of,
    seeded_uploads,
)

pytestmark = pytest.mark.servers
UTC = Calendar.of_zone("UTC")


def outcome(system: System) -> Outcome:
    found = Outcome()
    for topic, value, _ in system.read(SAMPLES, WINDOWS):
        found.read(topic, value)
    return found


def assert_same_rows(found: dict[Key, Facts], wanted: dict[Key, Facts]) -> None:
    assert found.keys() == wanted.keys()
    for key, facts in wanted.items():
        got = found[key]
        assert (got[0], *got[2:]) == (facts[0], *facts[2:]), key
        assert got[1] == pytest.approx(facts[1], rel=1e-12)


def test_shuffled_uploads_with_repetitions_end_in_the_windows_of_a_batch(system: System) -> None:
    made = seeded_uploads(600, users=7)
    sent = made + random.Random(3).sample(made, 60)
    random.Random(4).shuffle(sent)
    system.start_worker()
    system.produce(list(records_of(sent, 3)))
    system.wait_applied(WORKER)
    assert_same_rows(outcome(system).settled(), expected_rows(made, UTC))


def test_a_poison_record_becomes_a_dead_letter_and_its_neighbours_do_not_notice(
    system: System,
) -> None:
    made = seeded_uploads(40, users=4)
    records = list(records_of(made, 3))
    middle = len(records) // 2
    poison = (records[middle][0], b"\x00\x00\x00\x00\x02not an upload batch")
    system.start_worker()
    system.produce([*records[:middle], poison, *records[middle:]])
    system.wait_applied(WORKER)
    assert_same_rows(outcome(system).settled(), expected_rows(made, UTC))
    [(_, value, headers)] = list(system.read(DEAD_LETTERS))
    assert value == poison[1]
    assert headers["vs-error"].startswith(b"DecodeError")
    assert headers["vs-origin"].decode().startswith(system.settings.topic("uploads"))
    assert headers["vs-attempt"] == b"0"


def test_an_upload_of_an_unknown_metric_is_set_aside_alone(system: System) -> None:
    good = seeded_uploads(4, users=1)
    bad = Upload(
        seeded_uploads(9, users=1, seed=8)[-1].upload_id, good[0].user_id,
        good[0].received_ms, (1_795_428_000_000,), (1.0,), metric="no_such_metric",
    )  # fmt: skip
    system.start_worker()
    system.produce(list(records_of([*good[:2], bad, *good[2:]], 3)))
    system.wait_applied(WORKER)
    found = outcome(system)
    assert_same_rows(found.settled(), expected_rows(good, UTC))
    assert len(list(system.read(DEAD_LETTERS))) == 1
    stages = {
        statuses.decode(value, CODEC).stage: statuses.decode(value, CODEC)
        for _, value, _ in system.read(UPLOAD_STATUS)
    }
    assert len(stages["processed"].upload_ids) == 4
    assert stages["failed"].upload_ids[0].tobytes() == bad.upload_id.bytes
    assert "catalogue" in stages["failed"].reason


@pytest.mark.chaos
def test_killed_and_rebalanced_under_load_the_windows_stay_exact(system: System) -> None:
    made = seeded_uploads(6_000, users=60, samples=6)
    sent = made + random.Random(5).sample(made, 300)
    random.Random(6).shuffle(sent)
    records = list(records_of(sent, 3, size=4))
    first = system.start_worker()
    second = system.start_worker(wait=False)
    part = len(records) // 4
    system.produce(records[:part])
    system.kill_worker(first)
    system.produce(records[part : 2 * part])
    third = system.start_worker(wait=False)
    system.produce(records[2 * part : 3 * part])
    system.kill_worker(second)
    system.start_worker(wait=False)
    system.produce(records[3 * part :])
    system.wait_applied(WORKER, seconds=120)
    assert third.poll() is None
    assert_same_rows(outcome(system).settled(), expected_rows(made, UTC))
    for number in range(len(system.workers)):
        assert "OffsetGapError" not in system.log(number), "the guard should never fire"
