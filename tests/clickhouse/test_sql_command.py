"""``vitalstream sql``: every format, the limit of the table, and what is refused."""

import json
from uuid import uuid4

import pytest
import typer
from typer.testing import CliRunner, Result

from app.cli.sql import command
from app.clickhouse.client import ClickHouse
from app.embedded.ports import free_port
from app.errors import ClickHouseUnavailableError, QueryError
from app.settings import Settings
from tests.clickhouse.batches import Upload, batch_of
from tests.clickhouse.conftest import Storing
from tests.clickhouse.records import applied
from tests.sink.running import environment

pytestmark = pytest.mark.servers

_app = typer.Typer()
_app.command()(command)


def _sql(settings: Settings, *arguments: str) -> Result:
    result = CliRunner(env=environment(settings)).invoke(_app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


async def test_each_format(store: Storing, settings: Settings) -> None:
    user = uuid4()
    await store([applied(batch_of([Upload(user, [(at, 60.5) for at in range(5)])]))])
    query = f"SELECT metric, value, time FROM samples WHERE user_id = '{user}' ORDER BY time;"  # noqa: S608
    table = _sql(settings, query).output
    assert "heart_rate" in table
    assert "2026-11-23 12:00:00.004" in table
    assert "5 rows" in table
    assert "the first 2 rows" in _sql(settings, query, "--limit", "2").output
    lines = _sql(settings, query, "--format", "json").output.splitlines()
    assert [json.loads(line)["value"] for line in lines] == [60.5] * 5
    assert _sql(settings, query, "--format", "csv").output.startswith('"metric","value","time"\n')


def test_nothing_is_said_as_a_table_too(settings: Settings) -> None:
    output = _sql(settings, "SELECT metric FROM samples WHERE metric = 'none'").output
    assert "metric" in output
    assert "0 rows" in output


@pytest.mark.parametrize("output", ["table", "csv"])
def test_refusals_are_the_servers_words(settings: Settings, output: str) -> None:
    with pytest.raises(QueryError, match="UNKNOWN_TABLE"):
        _sql(settings, "SELECT 1 FROM nowhere", "--format", output)
    with pytest.raises(QueryError):
        _sql(settings, "DROP TABLE samples_data", "--format", output)


def test_a_server_that_is_away_is_named(settings: Settings) -> None:
    away = settings.model_copy(update={"clickhouse_url": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(ClickHouseUnavailableError, match="no answer"):
        _sql(away, "SELECT 1")


def test_the_reader_sees_the_same_database(reading: ClickHouse, settings: Settings) -> None:
    [row] = reading.rows("SELECT currentDatabase() AS name")
    assert row["name"] == settings.clickhouse_database
