"""The player against a server that keeps the gateway's contract, over real sockets."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from app.embedded.ports import free_port
from app.errors import AuthenticationError, RecordingError
from app.replay.demo import Pace
from app.replay.participants import DemoState, Participant, load_all, participants
from app.replay.player import Player
from app.replay.progress import Lines
from app.replay.recording import bundled, load
from app.security import mint_token
from app.settings import Settings
from tests.replay.gateways import LOST, FakeGateway, Identity

ROOT = Path(__file__).parents[2]
ANNA, BERT = "1c7315b1-2908-404d-b746-9ab9f1f03f0a", "2507e9d7-01e4-4502-a9e0-371b16b8ae59"
START_MS = 1_790_000_000_000


@pytest.fixture
def gateway(tmp_path: Path) -> FakeGateway:
    settings = Settings(data_dir=tmp_path / "data", port=free_port(), _env_file=None)
    return FakeGateway(settings)


def write(path: Path, person: str, count: int, *, pause_ms: int = 1_000) -> Path:
    """Write ``count`` heart rates of a watch, and every tenth one as a phone's steps too."""
    lines = ["time,metric,unit,value,device,person"]
    for number in range(count):
        instant = START_MS + number * pause_ms
        lines.append(f"{instant},heart_rate,/min,{60 + number % 40},watch-{person[:4]},{person}")
        if number % 10 == 0:
            lines.append(f"{instant},steps,{{steps}},{number},phone-{person[:4]},{person}")
    path.write_text("\n".join(lines) + "\n")
    return path


def expected(paths: list[Path], shift_ms: int = 0) -> dict[Identity, float]:
    return {
        (
            str(r.person),
            r.metrics[r.metric[row]],
            r.devices[r.device[row]],
            int(r.time_ms[row]) + shift_ms,
        ): float(r.value[row])
        for path in paths
        for r in load(path)
        for row in range(len(r))
    }


def summary(gateway: FakeGateway) -> dict[str, Any]:
    text = (gateway.settings.data_dir / "run" / "replay.json").read_bytes()
    document: dict[str, Any] = orjson.loads(text)
    return document


def upload_ids(written: dict[str, Any]) -> list[str]:
    return sorted(Path(written["upload_ids_file"]).read_text().split())


def assert_once_and_in_order(gateway: FakeGateway) -> None:
    """Check that no identity came in two uploads, and each device's instants came in order."""
    instants = defaultdict(list)
    for (user, metric, device, time_ms), _ in gateway.samples():
        instants[user, metric, device].append(time_ms)
    for times in instants.values():
        assert all(earlier < later for earlier, later in pairwise(times))


async def until(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110  (polls what the server saw)
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {seconds:g} s: {what}")


# Once


async def test_files_arrive_whole_at_their_own_times(gateway: FakeGateway, tmp_path: Path) -> None:
    paths = [write(tmp_path / "a.csv", ANNA, 500), write(tmp_path / "b.csv", BERT, 90)]
    player = Player(gateway.settings, gateway.url)
    async with gateway.running():
        assert await player.once(paths, retime=False)
    wanted = expected(paths)
    assert dict(gateway.samples()) == wanted
    assert_once_and_in_order(gateway)
    assert all(
        len(series["times"]) <= 60 for u in gateway.uploads.values() for series in u["series"]
    )
    written = summary(gateway)
    assert written["complete"]
    assert written["uploads"] == len(gateway.uploads) == len(gateway.requests)
    assert written["samples_sent"] == written["accepted"] == len(wanted)
    assert written["rejected"] == written["failed_uploads"] == written["retries"] == 0
    assert set(written["user_ids"]) == {ANNA, BERT}
    assert upload_ids(written) == sorted(gateway.uploads)


async def test_nothing_is_lost_or_doubled_when_requests_fail(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    paths = [write(tmp_path / "a.csv", ANNA, 900), write(tmp_path / "b.csv", BERT, 300)]
    faults = {0: (503, {"Retry-After": "0"}), 3: (429, {}), 5: LOST, 8: (502, {})}
    gateway.fault = lambda number: faults.get(number % 10)
    player = Player(gateway.settings, gateway.url)
    async with gateway.running():
        assert await player.once(paths, retime=False)
    assert dict(gateway.samples()) == expected(paths)
    assert_once_and_in_order(gateway)
    sent = Counter(upload_id for upload_id, _ in gateway.requests)
    assert set(sent) == set(gateway.uploads)  # what was sent again kept its id
    assert player.tally.retries == sum(sent.values()) - len(sent) > 0
    assert summary(gateway)["accepted"] == len(expected(paths))


async def test_retry_after_is_honoured(gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.fault = lambda number: (429, {"Retry-After": "1"}) if number == 1 else None
    player = Player(gateway.settings, gateway.url)
    async with gateway.running():
        assert await player.once([write(tmp_path / "a.csv", ANNA, 5)], retime=False)
    (first, sent), (second, sent_again) = gateway.requests[:2]
    assert first == second
    assert sent_again - sent >= 1


async def test_waits_for_a_gateway_that_is_not_up_yet(gateway: FakeGateway, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ANNA, 200)
    player = Player(gateway.settings, gateway.url)
    replay = asyncio.create_task(player.once([path], retime=False))
    await until(lambda: player.tally.retries >= 2, "two refused connections")
    assert "no answer" in player.tally.trouble
    async with gateway.running():
        assert await replay
    assert dict(gateway.samples()) == expected([path])


async def test_retimed_recordings_end_now_with_shorter_pauses(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    now_ms = time.time_ns() // 1_000_000
    path = write(tmp_path / "a.csv", ANNA, 5, pause_ms=3_600_000)
    player = Player(gateway.settings, gateway.url, now_ms=lambda: now_ms)
    async with gateway.running():
        assert await player.once([path], retime=True, max_gap_ms=600_000)
    instants = sorted({identity[3] for identity, _ in gateway.samples()})
    assert instants == [now_ms - back * 600_000 for back in (4, 3, 2, 1, 0)]


async def test_the_bundled_rider_with_four_impossible_heart_rates(gateway: FakeGateway) -> None:
    [path] = [p for p in bundled() if p.name.startswith("a36d6575")]
    player = Player(gateway.settings, gateway.url)
    async with gateway.running():
        assert await player.once([path], retime=False)
    assert summary(gateway)["rejected_by_reason"] == {"out_of_range": 4}
    assert player.tally.accepted == len(expected([path])) - 4
    assert dict(gateway.samples()) == expected([path])


async def test_files_of_one_person_follow_each_other(gateway: FakeGateway, tmp_path: Path) -> None:
    early = write(tmp_path / "a.csv", ANNA, 200)
    late = write(tmp_path / "b.csv", ANNA, 100)
    late.write_text(late.read_text().replace(str(START_MS)[:5], str(START_MS + 10**9)[:5]))
    player = Player(gateway.settings, gateway.url)
    async with gateway.running():
        assert await player.once([early, late], retime=False)
    assert dict(gateway.samples()) == expected([early, late])
    assert_once_and_in_order(gateway)


async def test_refused_uploads_and_unreadable_files_are_told(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    good, bad = write(tmp_path / "a.csv", ANNA, 150), tmp_path / "bad.csv"
    bad.write_text("time,metric\n")
    gateway.fault = lambda number: (422, {}) if number == 1 else None
    player = Player(gateway.settings, gateway.url)
    async with gateway.running():
        assert not await player.once([bad, good, tmp_path / "absent.csv"], retime=False)
    written = summary(gateway)
    assert not written["complete"]
    assert written["failed_uploads"] == 1
    assert written["failures"].pop("HTTP 422 Refused: as told") == 1
    assert sorted(key.split(":")[0] for key in written["failures"]) == [
        str(tmp_path / "absent.csv"),
        str(bad),
    ]
    assert player.tally.done == pytest.approx(player.tally.work)
    assert upload_ids(written) == sorted(gateway.uploads)


async def test_a_token_that_is_unknown_ends_the_replay(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    gateway.fault = lambda _number: (401, {})
    player = Player(gateway.settings, gateway.url)
    async with gateway.running():
        with pytest.raises(AuthenticationError, match="does not accept the token"):
            await player.once([write(tmp_path / "a.csv", ANNA, 500)], retime=False)


async def test_a_given_token_is_used_for_everybody(gateway: FakeGateway, tmp_path: Path) -> None:
    paths = [write(tmp_path / "a.csv", ANNA, 20), write(tmp_path / "b.csv", BERT, 20)]
    token = mint_token(gateway.settings, "sync", "device", [ANNA, BERT])
    elsewhere = Settings(data_dir=tmp_path / "elsewhere", _env_file=None)
    player = Player(elsewhere, gateway.url, token=token)
    async with gateway.running():
        assert await player.once(paths, retime=False)
    assert dict(gateway.samples()) == expected(paths)
    assert not (elsewhere.data_dir / "secrets").exists()


async def test_stopping_gives_up_an_unreachable_gateway(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    player = Player(gateway.settings, gateway.url)
    replay = asyncio.create_task(player.once([write(tmp_path / "a.csv", ANNA, 500)], retime=False))
    await until(lambda: player.tally.retries > 0, "a refused connection")
    player.stop()
    async with asyncio.timeout(2):
        assert not await replay
    assert summary(gateway)["failures"] == {"interrupted": 1}


# The demo


def cast(tmp_path: Path, gateway: FakeGateway, count: int) -> tuple[DemoState, list[Participant]]:
    """Two short recordings (one sample every 50 ms) and the people who replay them."""
    paths = [
        write(tmp_path / "a.csv", ANNA, 60, pause_ms=50),
        write(tmp_path / "b.csv", BERT, 40, pause_ms=50),
    ]
    now_ms = time.time_ns() // 1_000_000
    state = DemoState.load(gateway.settings.data_dir / "run" / "replay-demo.json", now_ms)
    return state, participants(load_all(paths), count, state)


PACE = Pace(stretch_ms=20_000, speed=40.0, interval_scale=0.05)


def assert_gapless(gateway: FakeGateway, people: Sequence[Participant]) -> None:
    """Check that each person's samples are a whole piece of the track, none from the future."""
    assert_once_and_in_order(gateway)
    for upload_id, upload in gateway.uploads.items():
        newest = max(max(series["times"]) for series in upload["series"])
        assert newest <= gateway.taken_ms[upload_id]
    received: dict[str, dict[Identity, float]] = defaultdict(dict)
    for identity, value in gateway.samples():
        received[identity[0]][identity] = value
    assert set(received) == {person.user_id for person in people}
    for person in people:
        track, source = person.track, person.track.recording
        times = [identity[3] for identity in received[person.user_id]]
        first, end = track.position(min(times) - 1), track.position(max(times))
        assert end - first > 2 * len(source)  # several loops
        assert received[person.user_id] == {
            (
                person.user_id,
                source.metrics[source.metric[row]],
                source.devices[source.device[row]],
                track.instant_ms(position),
            ): float(source.value[row])
            for position, row in ((p, p % len(source)) for p in range(first, end))
        }


async def test_the_demo_catches_up_goes_on_and_resumes(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    state, people = cast(tmp_path, gateway, 6)
    started_ms = time.time_ns() // 1_000_000
    async with gateway.running():
        for _ in range(2):  # the second goes on where the first one stopped
            player = Player(gateway.settings, gateway.url)
            demo = asyncio.create_task(player.demo(people, state, PACE))
            begun = time.time_ns() // 1_000_000

            def live(since: int = begun) -> bool:
                newest: dict[str, int] = {}
                for (user, _, _, instant), _ in gateway.samples():
                    newest[user] = instant
                return len(newest) == 6 and min(newest.values()) > since

            await until(live, "everybody's data are of the present")
            player.stop()
            async with asyncio.timeout(2):
                await demo
            state, again = cast(tmp_path, gateway, 6)
            assert [p.user_id for p in again] == [p.user_id for p in people]
            people = again
    assert_gapless(gateway, people)
    oldest = min(identity[3] for identity, _ in gateway.samples())
    assert started_ms - 20_000 <= oldest < started_ms - 19_000


async def test_a_demo_that_was_away_for_long_sends_the_last_stretch_only(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    state, people = cast(tmp_path, gateway, 3)
    started_ms = time.time_ns() // 1_000_000
    state.sent_ms = {person.user_id: started_ms - 10**8 for person in people}
    player = Player(gateway.settings, gateway.url)
    async with gateway.running():
        demo = asyncio.create_task(player.demo(people, state, PACE))
        await until(lambda: len(gateway.uploads) >= 30, "thirty uploads")
        player.stop()
        await demo
    assert min(identity[3] for identity, _ in gateway.samples()) >= started_ms - 20_000


async def test_what_a_long_outage_left_behind_is_skipped_and_counted(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    state, people = cast(tmp_path, gateway, 1)
    ahead_ms = 0
    player = Player(
        gateway.settings, gateway.url, now_ms=lambda: time.time_ns() // 1_000_000 + ahead_ms
    )
    demo = asyncio.create_task(player.demo(people, state, PACE))
    await until(lambda: player.tally.retries > 0, "a refused connection")
    ahead_ms = 60_000  # three times what devices keep
    async with gateway.running():
        await until(lambda: player.tally.skipped > 0, "skipped samples are counted")
        await until(lambda: player.tally.uploads > 3, "uploads go on")
        player.stop()
        await demo
    assert_once_and_in_order(gateway)
    stretches = {identity[3] for identity, _ in gateway.samples()}
    assert max(later - earlier for earlier, later in pairwise(sorted(stretches))) >= 20_000


def test_further_people_have_ids_of_their_own(tmp_path: Path, gateway: FakeGateway) -> None:
    state, people = cast(tmp_path, gateway, 12)
    assert [str(p.track.recording.person) for p in people[:2]] == [ANNA, BERT]
    assert len({p.user_id for p in people}) == 12
    assert len({d for p in people for d in p.track.recording.devices}) == 24
    assert len({p.track.namespace for p in people}) == 12
    assert all(1 <= p.interval_seconds <= 5 for p in people)
    assert people[0].track.instant_ms(len(people[0].track.recording) - 1) == state.epoch_ms
    assert len({p.track.shift_ms for p in people}) > 8


def test_a_damaged_state_begins_a_new_demo(tmp_path: Path) -> None:
    path = tmp_path / "run" / "state.json"
    DemoState(UUID(ANNA), 5, {BERT: 7}).save(path)
    assert DemoState.load(path, 9) == DemoState(UUID(ANNA), 5, {BERT: 7})
    path.write_text('{"seed": 3}')
    assert DemoState.load(path, 9).epoch_ms == 9


def test_a_demo_takes_each_person_once(tmp_path: Path) -> None:
    paths = [write(tmp_path / "a.csv", ANNA, 5), write(tmp_path / "b.csv", ANNA, 5)]
    with pytest.raises(RecordingError, match="another file"):
        load_all(paths)


async def test_progress_is_told(gateway: FakeGateway, tmp_path: Path) -> None:
    seconds = iter([0.0, 2.0])
    player = Player(gateway.settings, gateway.url)
    lines = Lines(player.tally, lambda: next(seconds))
    async with gateway.running():
        assert await player.once([write(tmp_path / "a.csv", ANNA, 100)], retime=False)
    assert lines.next() == "100%  2.0 uploads/s  55 samples/s  0 rejected  0 retries"


# The command


async def command(gateway: FakeGateway, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "replay", "--gateway", gateway.url, *arguments),
        *("--data-dir", str(gateway.settings.data_dir)),
        cwd=ROOT,
        env=os.environ | {"VITALSTREAM_TOKEN": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_command_replays_a_file(gateway: FakeGateway, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ANNA, 100)
    async with gateway.running():
        process = await command(gateway, str(path))
        out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    assert b"4 uploads accepted with 110 samples" in out
    assert dict(gateway.samples()) == expected([path])


async def test_the_command_tells_why_it_failed(gateway: FakeGateway, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("no header of ours\n")
    process = await command(gateway, str(path))
    _, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert b"bad.csv" in err
    assert b"Traceback" not in err


async def test_sigterm_ends_the_demo_in_good_order(gateway: FakeGateway, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ANNA, 300)
    async with gateway.running():
        process = await command(gateway, "--demo", "--users", "5", str(path))
        await until(lambda: len(gateway.uploads) > 10, "uploads", 60)
        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), 5)
    assert process.returncode == 0, err.decode()
    state = DemoState.load(gateway.settings.data_dir / "run" / "replay-demo.json", 0)
    assert len(state.sent_ms) == 5
    assert_once_and_in_order(gateway)
