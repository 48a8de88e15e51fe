"""Dead letters from the command line: listed, shown, replayed, and not replayed twice."""

from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from app.cli.dlq import app
from app.clickhouse.client import ClickHouse
from app.errors import DeadLetterError
from app.settings import Settings
from schemas import uploads
from schemas.codec import Codec
from schemas.topics import DEAD_LETTERS, UPLOADS
from tests.clickhouse.batches import Upload, batch_of
from tests.sink.running import Feed, environment, read

pytestmark = pytest.mark.servers

_USER = uuid4()
_BATCH = uploads.encode(batch_of([Upload(_USER, [(0, 60.0), (1000, 66.0)])]), Codec())


@pytest.fixture
def letters(feed: Feed) -> None:
    """Write three dead letters: 1:0 and 1:1 odd, 2:0 poison."""
    headers: list[tuple[str, str | bytes | None]] = [
        ("vs-error", b"ValidationError: odd [sic]"),
        ("vs-origin", b"uploads/1/7"),
        ("vs-attempt", b"3"),
    ]
    feed.send(DEAD_LETTERS, _BATCH, _BATCH, partition=1, headers=headers)
    poison: list[tuple[str, str | bytes | None]] = [("vs-error", b"DecodeError: poison")]
    feed.send(DEAD_LETTERS, b"\x00poison", partition=2, headers=poison)


class Program:
    """``vitalstream dlq`` with the settings of the test."""

    def __init__(self, settings: Settings) -> None:
        self._env = environment(settings) | {"COLUMNS": "200"}

    def __call__(self, *arguments: str) -> Result:
        """Run it."""
        result = CliRunner(env=self._env).invoke(app, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result


@pytest.fixture
def dlq(settings: Settings, letters: None) -> Program:
    return Program(settings)


def test_list_filters_and_limits(dlq: Program) -> None:
    assert "3 dead letters" in dlq("list").output
    odd = dlq("list", "--error", "ODD", "--limit", "1").output
    assert "ValidationError: odd [sic]" in odd
    assert "2 dead letters, 1 of them not shown" in odd
    assert "uploads/1/7" in odd
    assert "3 dead letters" in dlq("list", "--since", "1h").output
    assert "no such" in dlq("list", "--since", "2999-01-01").output
    assert dlq("list", "--since", "yesterday").exit_code == 2


def test_show_decodes_as_far_as_it_can(dlq: Program) -> None:
    decoded = dlq("show", "1:0").output
    assert f"of user {_USER}" in decoded
    assert "heart_rate: 2 samples, 2026-11-23 12:00:00Z" in decoded
    assert "60 to 66" in decoded
    assert "00706f 69736f6e" in dlq("show", "2:0").output
    for place in ("1:9", "77:0"):
        with pytest.raises(DeadLetterError, match=place):
            dlq("show", place)
    assert dlq("show", "here").exit_code == 2


def test_replay_produces_again_marks_and_does_not_repeat(
    dlq: Program, settings: Settings, reading: ClickHouse
) -> None:
    assert "2 dead letters would be replayed" in dlq("replay", "--error", "odd", "--dry-run").output
    assert "1 dead letters replayed" in dlq("replay", "1:0").output
    [message] = read(settings, UPLOADS, 1, until=1)
    assert message.value() == _BATCH
    headers = dict(message.headers() or [])
    assert headers["vs-attempt"] == b"0"
    assert headers["vs-origin"] == b"uploads/1/7"
    assert headers["vs-replayed-from"] == b"uploads-dlq/1/0"
    marks = "SELECT count() AS n FROM dead_letter_replays_data"
    assert reading.rows(marks) == [{"n": 1}]
    assert "1 dead letters replayed" not in dlq("list").output
    assert dlq("replay").exit_code == 2
    assert dlq("replay", "1:0", "--all").exit_code == 2
