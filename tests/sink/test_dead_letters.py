"""Dead letters from the command line: found, shown, replayed, given up, and all of it on record."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner, Result

from app.cli.dlq import app
from app.clickhouse.client import ClickHouse, writer
from app.dead_letters.audit import Audit
from app.dead_letters.letters import DeadLetter, Place
from app.dead_letters.replaying import Pace, replay
from app.errors import (
    DeadLetterError,
    DecodeError,
    KafkaUnavailableError,
    PermissionDeniedError,
    ValidationError,
)
from app.metrics import SinkMetrics
from app.security import mint_token
from app.settings import Settings
from app.sink.dead_letter_rows import unstorable
from app.sink.records import Record
from app.sink.store import Store
from schemas import statuses, uploads
from schemas.codec import Codec
from schemas.topics import DEAD_LETTERS, SAMPLES, UPLOAD_STATUS, UPLOADS
from tests.clickhouse.batches import NOON_MS, Upload, batch_of, received
from tests.sink.running import Feed, environment, read

pytestmark = pytest.mark.servers

_USER = uuid4()
_BATCH = batch_of([Upload(_USER, [(0, 60.0), (1000, 66.0)])])
_RECORD = uploads.encode(_BATCH, Codec())
_POISON = b"\x00\x00\x00\x00\x07poison 72.5"


@pytest.fixture
def letters(feed: Feed) -> None:
    """Write three dead letters: 1:0 and 1:1 odd, 2:0 poison."""
    headers: list[tuple[str, str | bytes | None]] = [
        ("vs-error", b"ValidationError: odd [sic]"),
        ("vs-error-chain", b"RegistryUnavailableError: away | ValidationError: odd [sic]"),
        ("vs-origin", b"uploads/1/7"),
        ("vs-attempt", b"3"),
    ]
    feed.send(DEAD_LETTERS, _RECORD, _RECORD, partition=1, headers=headers)
    poison: list[tuple[str, str | bytes | None]] = [("vs-error", b"DecodeError: poison")]
    feed.send(DEAD_LETTERS, _POISON, partition=2, headers=poison)


class Program:
    """``vitalstream dlq`` with the settings of the test."""

    def __init__(self, settings: Settings) -> None:
        self._env = environment(settings) | {"COLUMNS": "200"}

    def __call__(self, *arguments: str, **variables: str) -> Result:
        """Run it."""
        result = CliRunner(env=self._env | variables).invoke(app, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result


@pytest.fixture
def dlq(settings: Settings, letters: None) -> Program:
    return Program(settings)


@pytest.fixture
def writing(settings: Settings) -> Iterator[ClickHouse]:
    connections = writer(settings)
    yield connections
    connections.close()


async def _set_aside(writing: ClickHouse, record: Record) -> None:
    """Keep a record as the sink keeps one that it cannot store."""
    store = Store(writing, SinkMetrics(CollectorRegistry()), Codec())
    await store.store([unstorable(record, ValidationError("refused"), Codec())])


def test_list_filters_and_limits(dlq: Program) -> None:
    assert "3 dead letters: 3 open" in dlq("list").output
    odd = dlq("list", "--error", "ODD", "--limit", "1").output
    assert "ValidationError: odd [sic]" in odd
    assert "2 dead letters: 2 open; 1 of them not shown" in odd
    assert "uploads/1/7" in odd
    assert "2 dead letters" in dlq("list", "--error", "registry").output, "the errors before, too"
    assert "3 dead letters" in dlq("list", "--since", "1h", "--until", "2999-01-01").output
    assert "2 dead letters" in dlq("list", "--user", str(_USER).upper()).output
    for nothing in (
        ("--since", "2999-01-01"), ("--until", "1h"), ("--user", str(uuid4())),
        ("--topic", SAMPLES), ("--state", "replayed"),
    ):  # fmt: skip
        assert "no such" in dlq("list", *nothing).output
    assert dlq("list", "--since", "yesterday").exit_code == 2


def test_list_works_without_clickhouse(dlq: Program) -> None:
    away = {"VITALSTREAM_CLICKHOUSE_URL": "http://127.0.0.1:1"}
    assert "states are unknown" in dlq("list", **away).output
    assert "what was done with it is unknown" in dlq("show", "1:0", **away).output


def test_show_decodes_as_far_as_it_can_and_keeps_values_back(dlq: Program) -> None:
    decoded = dlq("show", "1:0").output
    assert f"of user {_USER}" in decoded
    assert "heart_rate: 2 samples, 2026-11-23 12:00:00Z" in decoded
    assert "66" not in decoded.replace(str(_USER), "").partition("heart_rate")[2]
    assert "error 1: RegistryUnavailableError: away" in decoded
    assert "error 2: ValidationError: odd [sic]" in decoded
    poison = dlq("show", "2:0").output
    assert "16 bytes that are no upload batch; schema id 7" in poison
    assert b"72.5".hex() not in poison.replace(" ", "")


def test_show_gives_values_when_told_to(dlq: Program) -> None:
    assert "2026-11-23 12:00:01Z 66" in dlq("show", "1:0", "--values").output
    assert b"72.5".hex() in dlq("show", "2:0", "--values").output.replace(" ", "")


def test_a_place_without_a_letter_is_named(dlq: Program) -> None:
    for place in ("1:9", "77:0", "samples/0:3"):
        with pytest.raises(DeadLetterError, match=place):
            dlq("show", place)
    assert dlq("show", "here").exit_code == 2


def test_replay_produces_again_marks_and_does_not_repeat(
    dlq: Program, settings: Settings, reading: ClickHouse
) -> None:
    assert "2 dead letters would be replayed" in dlq("replay", "--error", "odd", "--dry-run").output
    assert reading.rows("SELECT * FROM dead_letter_actions") == []
    assert "1 dead letters replayed" in dlq("replay", "1:0", "--reason", "fixed").output
    [message] = read(settings, UPLOADS, 1, until=1)
    assert message.value() == _RECORD
    headers = dict(message.headers() or [])
    assert headers["vs-attempt"] == b"0"
    assert headers["vs-origin"] == b"uploads/1/7"
    assert headers["vs-replayed-from"] == b"uploads-dlq/1/0"
    assert "1:1 replayed\n1 dead letters replayed" in dlq("replay", "--error", "odd").output
    assert "0 dead letters replayed" in dlq("replay", "--error", "odd").output
    assert "3 dead letters: 1 open, 2 replayed" in dlq("list").output
    assert "1 dead letters replayed" in dlq("replay", "1:0").output, "by its place: once more"
    again = read(settings, UPLOADS, 1, until=3)
    assert [one.value() for one in again] == [_RECORD] * 3
    assert dlq("replay").exit_code == 2
    assert dlq("replay", "1:0", "--all").exit_code == 2


def test_discard_wants_a_reason_and_can_be_taken_back(dlq: Program) -> None:
    assert dlq("discard", "2:0").exit_code == 2
    assert dlq("discard", "2:0", "--reason", " ").exit_code == 2
    assert "1 dead letters discarded" in dlq("discard", "2:0", "--reason", "a test").output
    assert "3 dead letters: 1 discarded, 2 open" in dlq("list").output
    assert "2 dead letters would be replayed" in dlq("replay", "--all", "--dry-run").output
    assert "discarded by os:" in dlq("show", "2:0").output
    assert "1 dead letters replayed" in dlq("replay", "2:0").output
    first, second = dlq("history", "2:0").output.splitlines()
    assert "2:0 discarded by os:" in first
    assert first.endswith(": a test")
    assert "2:0 replayed by os:" in second


def test_a_token_says_who_acts(dlq: Program, settings: Settings) -> None:
    admin = mint_token(settings, "olga", "admin")
    dlq("discard", "--all", "--reason", "a test", VITALSTREAM_TOKEN=admin)
    history = dlq("history").output
    assert history.count("discarded by token:olga: a test") == 3
    with pytest.raises(PermissionDeniedError):
        dlq("replay", "--all", VITALSTREAM_TOKEN=mint_token(settings, "watch", "device"))
    assert "replayed" not in dlq("history").output


def _letters(count: int, partition: int = 0) -> list[DeadLetter]:
    return [
        DeadLetter(Place(DEAD_LETTERS, partition, offset), NOON_MS, b"%d" % offset, {})
        for offset in range(count)
    ]


def test_an_interrupted_replay_goes_on_where_it_stopped(
    dlq: Program, settings: Settings, writing: ClickHouse
) -> None:
    odd = [DeadLetter(Place(DEAD_LETTERS, 1, offset), NOON_MS, _RECORD, {}) for offset in (0, 1)]
    going = replay(settings, odd, Audit(writing, "test", ""), Codec(), Pace(1, wait=lambda _: None))
    assert next(going) == odd[0].place
    going.close()  # type: ignore[attr-defined]
    rest = dlq("replay", "--all").output
    assert "1:0" not in rest
    assert "2 dead letters replayed" in rest


def test_the_rate_is_kept(settings: Settings, writing: ClickHouse) -> None:
    now, waited = [100.0], []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    pace = Pace(2, clock=lambda: now[0], wait=wait)
    places = list(replay(settings, _letters(5), Audit(writing, "test", ""), Codec(), pace))
    assert [place.offset for place in places] == [0, 1, 2, 3, 4]
    assert waited == [1.0, 1.0]


def test_what_the_broker_did_not_take_is_not_marked(
    settings: Settings, writing: ClickHouse, reading: ClickHouse
) -> None:
    nowhere = _letters(1, partition=99)
    with pytest.raises(KafkaUnavailableError):
        list(replay(settings, nowhere, Audit(writing, "test", ""), Codec()))
    assert reading.rows("SELECT * FROM dead_letter_actions") == []


async def test_what_the_sink_could_not_store_is_found_and_replayed_too(
    settings: Settings, feed: Feed, writing: ClickHouse
) -> None:
    program = Program(settings)
    status = statuses.encode(received(_BATCH), Codec())
    await _set_aside(writing, Record(SAMPLES, 0, 5, NOON_MS, b"\x00\xff no samples", {}))
    await _set_aside(writing, Record(UPLOAD_STATUS, 1, 6, NOON_MS, status, {}))
    await _set_aside(writing, Record(UPLOAD_STATUS, 1, 7, NOON_MS, b"no status", {}))
    listed = program("list").output
    assert "samples/0:5" in listed
    assert "ValidationError: refused" in listed
    assert "3 dead letters: 3 open" in listed
    assert "1 dead letters" in program("list", "--topic", SAMPLES).output
    assert "13 bytes that are no upload batch" in program("show", "samples/0:5").output
    assert "1 dead letters replayed" in program("replay", "samples/0:5").output
    [message] = read(settings, SAMPLES, until=1)
    assert message.value() == b"\x00\xff no samples"
    assert "1 dead letters replayed" in program("replay", "upload-status/1:6").output
    [told] = read(settings, UPLOAD_STATUS, 1, until=1)
    assert told.key() == received(_BATCH).key, "a compacted topic takes no record without its key"
    with pytest.raises(DeadLetterError, match="upload-status/1:7"):
        program("replay", "upload-status/1:7")


async def test_a_letter_that_has_left_the_topic_is_found_in_the_table(
    settings: Settings, writing: ClickHouse
) -> None:
    record = Record(DEAD_LETTERS, 2, 77, NOON_MS, _RECORD, {})
    await _set_aside(writing, record)
    program = Program(settings)
    assert f"of user {_USER}" in program("show", "2:77").output
    assert "1 dead letters replayed" in program("replay", "2:77").output
    assert [one.value() for one in read(settings, UPLOADS, 2, until=1)] == [_RECORD]
    assert DecodeError.__name__ not in program("show", "2:77").output
