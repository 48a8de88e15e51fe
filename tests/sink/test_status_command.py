"""``vitalstream status``: what is up, what is behind, and an exit status that says so."""

import json

import pytest
import typer
from typer.testing import CliRunner, Result

from app.cli.status import command
from app.embedded.ports import free_port
from app.settings import Settings
from schemas.topics import UPLOADS, WORKER
from tests.sink.running import Feed, environment

pytestmark = pytest.mark.servers

_app = typer.Typer()
_app.command()(command)


def _status(settings: Settings, *arguments: str) -> Result:
    env = environment(settings) | {"VITALSTREAM_PORT": str(free_port()), "COLUMNS": "160"}
    return CliRunner(env=env).invoke(_app, arguments)


def test_lag_by_group_and_partition(settings: Settings, feed: Feed) -> None:
    feed.send(UPLOADS, b"one", b"two", partition=1)
    result = _status(settings, "--format", "json")
    report = json.loads(result.output)
    assert result.exit_code == 1, "the gateway is not there"
    health = {one["name"]: one["healthy"] for one in report["health"]}
    assert health == {"kafka": True, "clickhouse": True, "gateway": False}
    lag = {(one["group"], one["topic"], one["partition"]): one for one in report["partitions"]}
    assert lag[WORKER, UPLOADS, 1]["lag"] == 2
    assert lag[WORKER, UPLOADS, 0]["lag"] == 0
    assert report["last_minute"] == {"uploads": 0, "samples": 0}


def test_servers_that_are_away_are_named(settings: Settings) -> None:
    away = f"127.0.0.1:{free_port()}"
    changed = {"clickhouse_url": f"http://{away}"}
    result = _status(settings.model_copy(update=changed))
    assert result.exit_code == 1
    assert f"no answer from ClickHouse at http://{away}" in result.output
    assert "vitalstream-sink" in result.output
