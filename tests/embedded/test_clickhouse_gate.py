"""The reader's sandbox: what must not pass, and what must."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.embedded.clickhouse_process import Server

_STATEMENTS = Path(__file__).with_name("statements")
_READONLY, _SYNTAX = 164, 62
_SECRET = "the secret of the file"


def _statements(name: str) -> list[str]:
    lines = (_STATEMENTS / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, socket.socket]]:
    """Make a file with a secret, name a file that must not come to be, open a port."""
    directory = tmp_path_factory.mktemp("outside")
    (directory / "secret.txt").write_text(_SECRET)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield directory / "secret.txt", directory / "out", listener


@pytest.mark.parametrize("statement", _statements("refused.sql"))
def test_refuses(server: Server, outside: tuple[Path, Path, socket.socket], statement: str) -> None:
    secret, out, listener = outside
    sql = (
        statement.replace("@FILE@", str(secret))
        .replace("@OUT@", str(out))
        .replace("@PORT@", str(listener.getsockname()[1]))
    )
    reply = server.ask(sql)
    # Some are not even ClickHouse's SQL; the others fail for the gate's reason and no other.
    assert reply.code in {_READONLY, _SYNTAX}, reply.body
    assert _SECRET not in reply.text
    assert not out.exists()
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_refused_statements_changed_nothing(server: Server) -> None:
    assert server.scalar("SELECT count() FROM t") == "10"
    assert set(server.scalar("SHOW TABLES").splitlines()) >= {"t", "v"}


@pytest.mark.parametrize("statement", _statements("allowed.sql"))
def test_allows(server: Server, statement: str) -> None:
    reply = server.ask(statement, param_p="1")
    assert reply.status == 200, reply.text


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("SELECT count() FROM {x:Identifier}", "system.processes"),
        ("SELECT count() FROM {x:Identifier}", "/etc/passwd"),
        ("SELECT 1 IN {x:Identifier}", "system.users"),
        ("SELECT arrayMap({x:Identifier}, ['/etc/passwd'])", "file"),
        ("SELECT * FROM system.{x:Identifier}", "processes"),
        ("SELECT * FROM {x:Identifier}.processes", "system"),
    ],
)
def test_refuses_names_from_parameters(server: Server, statement: str, value: str) -> None:
    assert server.ask(statement, param_x=value).code == _READONLY


def test_a_parameter_is_never_sql(server: Server) -> None:
    assert server.ask("SELECT {x:String}", param_x="', file(''/etc/passwd'')").text == (
        "\\', file(\\'\\'/etc/passwd\\'\\')\n"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT a AS `x\n Function y` FROM t",
        "SELECT a AS `x)\nExplain y (alias z`, (SELECT 1 SETTINGS max_threads = 3)",
        "SELECT (SELECT 1 AS `x)\nExplain y (alias z` SETTINGS max_threads = 9) AS q",
        "SELECT ('a' AS `x)\n     Literal y (alias z`) IN `/etc/passwd`",
        "SELECT length(a AS `b) (children 1)\n     Explain (alias c`) FROM t",
    ],
)
def test_names_cannot_fake_the_tree(server: Server, statement: str) -> None:
    assert server.ask(statement).code == _READONLY


@pytest.mark.parametrize(
    "setting",
    [
        {"format_template_resultset": "/etc/passwd"},
        {"format_schema": "/etc/passwd"},
        {"output_format_schema": "/etc/passwd"},
        {"additional_result_filter": "1"},
        {"additional_table_filters": "{'t': '1'}"},
        {"format_avro_schema_registry_url": "http://127.0.0.1"},
        {"input_format_record_errors_file_path": "x"},
        {"allow_introspection_functions": "1"},
        {"implicit_select": "1"},
        {"dialect": "prql"},
        {"allow_ddl": "1"},
        {"max_parser_depth": "1000000"},
    ],
)
def test_refuses_settings(server: Server, setting: dict[str, Any]) -> None:
    assert server.ask("SELECT 1", **setting).code == _READONLY


def test_limits_go_down_only(server: Server) -> None:
    asked = "SELECT getSetting('max_execution_time'), getSetting('readonly')"
    raised = server.ask(asked, max_execution_time="0", readonly="0", max_memory_usage="1e15")
    assert raised.text == "15\t1\n"
    assert server.ask(asked, max_execution_time="3").text == "3\t1\n"


def test_a_reader_cannot_work_in_the_system_database(server: Server) -> None:
    assert server.ask("SELECT * FROM processes", database="system").code == _READONLY


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT " + "(" * 100_000 + "1" + ")" * 100_000, 306),
        ("SELECT 1" + " + 1" * 20_000, 167),
        ("SELECT 1" + " UNION ALL SELECT 1" * 10_000, 168),
        ("SELECT '" + "a" * 300_000 + "'", 229),
        ("SELECT range(1000000000)", None),
        ("SELECT repeat('x', 2000000000)", None),
        ("SELECT sum(number) FROM numbers(1000000000000)", None),
    ],
)
def test_survives_what_is_too_large(server: Server, statement: str, code: int | None) -> None:
    reply = server.ask(statement)
    assert reply.status >= 400
    assert code is None or reply.code == code, reply.text[:200]
    assert server.scalar("SELECT 1") == "1"
