"""The limit on the dead-letter ratio: when it stops, that it stays stopped, and who lets it go."""

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from app.cli.dlq import app as dlq
from app.errors import DeadRatioError
from app.kafka.clients import ConfirmedProducer
from app.kafka.dead_ratio import DeadRatio, DeadWindow
from app.kafka.effects import EXIT_UNFINISHED
from app.kafka.holds import HOLDS, encode, holds, resume, standing
from app.settings import Settings
from schemas.topics import SINK, UPLOADS, WORKER, partition_of
from tests.kafka.conftest import SmallApps
from tests.servers import wait_until
from tests.sink.running import Feed, environment


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_window_slides_and_counts_by_kind() -> None:
    clock = Clock()
    window = DeadWindow(300, clock)
    window.add(100, {"DecodeError": 4})
    clock.now += 150
    window.add(50, {"DecodeError": 1, "ValueError": 2})
    assert window.totals() == (150, {"DecodeError": 5, "ValueError": 2})
    clock.now += 155
    assert window.totals() == (50, {"DecodeError": 1, "ValueError": 2})
    clock.now += 300
    assert window.totals() == (0, {})


def test_the_window_is_bounded() -> None:
    clock = Clock()
    window = DeadWindow(60, clock)
    for number in range(10_000):
        window.add(1, {f"Error{number}": 1})
        clock.now += 0.1
    uploads, kinds = window.totals()
    assert 590 <= uploads <= 600
    assert kinds.total() == uploads
    assert len(window._buckets) <= 60
    assert all(len(part) <= 21 for _, _, part in window._buckets)


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[ConfirmedProducer]:
    made = ConfirmedProducer(settings)
    yield made
    await made.close()


@pytest.mark.servers
async def test_it_stops_above_the_limit_and_says_why(
    settings: Settings, producer: ConfirmedProducer
) -> None:
    ratio = DeadRatio(settings, WORKER, lambda: producer)
    await ratio.admit(19, {"DecodeError": 19})  # too few to judge
    await ratio.admit(361, {})
    await ratio.admit(20, {"ValueError": 1})
    assert ratio.health() == {
        "held": False, "uploads": 400, "dead": 20, "kinds": {"DecodeError": 19, "ValueError": 1},
    }  # fmt: skip
    with pytest.raises(DeadRatioError, match=r"21 of 401 uploads .*19 DecodeError, 2 ValueError"):
        await ratio.admit(1, {"ValueError": 1})
    assert ratio.held
    assert ratio.health()["kinds"] == {"DecodeError": 19, "ValueError": 2}
    hold = standing(settings, WORKER)
    assert hold is not None
    assert (hold.uploads, hold.dead) == (401, 21)
    assert standing(settings, SINK) is None, "others are not held"


@pytest.mark.servers
async def test_a_raised_limit_lifts_a_hold_that_is_within_it(
    settings: Settings, producer: ConfirmedProducer
) -> None:
    with pytest.raises(DeadRatioError):
        await DeadRatio(settings, WORKER, lambda: producer).admit(100, {"DecodeError": 30})
    assert standing(settings, WORKER) is not None
    assert standing(settings.model_copy(update={"dead_ratio_limit": 0.29}), WORKER) is not None
    raised = settings.model_copy(update={"dead_ratio_limit": 0.3})
    assert standing(raised, WORKER) is None
    await DeadRatio(raised, WORKER, lambda: producer).wait_until_released()


@pytest.mark.servers
def test_records_that_are_no_holds_are_passed_over(settings: Settings, feed: Feed) -> None:
    partition = partition_of(WORKER, settings.partitions)
    feed.send(HOLDS, b"", b"\xff", b"[1]", b'{"group": 1}', b"{}", partition=partition)
    assert standing(settings, WORKER) is None
    resume(settings, WORKER, by="test", reason="nothing")
    [found] = holds(settings, WORKER)
    assert orjson.loads(encode(found))["action"] == "resumed"


@pytest.mark.servers
def test_stopped_stays_stopped_over_restarts_until_it_is_resumed(
    settings: Settings, apps: SmallApps, feed: Feed, tmp_path: Path
) -> None:
    feed.send(UPLOADS, *[b"sound"] * 100)
    apps.start("dead")
    apps.wait_acknowledged(100)
    feed.send(UPLOADS, *[b"dead"] * 200)
    assert apps.wait_ended() == EXIT_UNFINISHED
    assert "too many dead letters, consumption stops" in apps.log
    stood = apps.acknowledged()
    assert stood < 130, "the topic is not drained"
    for fault in ("dead", ""):  # as it was, and repaired
        apps.start(fault)
        wait_until(lambda: "consumption is stopped" in apps.log, "it says that it is held", 30)
        assert not apps.ended
        assert apps.acknowledged() == stood, "nor by starting it again and again"
        if fault:
            apps.close()
    env = environment(settings)
    said = CliRunner(env=env).invoke(dlq, ["resume", "--reason", "repaired"]).output
    assert "vitalstream-worker goes on; it was held because" in said
    apps.wait_acknowledged(300)
    assert "is not held" in CliRunner(env=env).invoke(dlq, ["resume", "--reason", "x"]).output
    first, second = CliRunner(env=env).invoke(dlq, ["holds"]).output.splitlines()
    assert " held by " in first
    assert "DecodeError" in first
    assert " resumed by os:" in second
    assert second.endswith(": repaired")
    assert CliRunner(env=env).invoke(dlq, ["resume"]).exit_code == 2
