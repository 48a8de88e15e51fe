"""The lexer: where an INSERT's data begin, and which format a query names."""

import time

import pytest

from app.embedded.clickhouse.sql import (
    first_keyword,
    inserts_into_function,
    output_format,
    split_insert,
)


@pytest.mark.parametrize(
    ("sql", "statement", "input_format", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2", "INSERT INTO t ", "CSV", b"1,2"),
        (
            b"insert into t (a, b) format Native\r\n\x00\xff",
            "insert into t (a, b) ",
            "Native",
            b"\x00\xff",
        ),
        (b"INSERT INTO t VALUES (1)", "INSERT INTO t ", "Values", b" (1)"),
        (b"INSERT INTO t FORMAT JSONEachRow {}", "INSERT INTO t ", "JSONEachRow", b"{}"),
        (b"INSERT INTO db.format FORMAT CSV\n", "INSERT INTO db.format ", "CSV", b""),
        (
            b"INSERT INTO `values` (`format`) FORMAT CSV\n",
            "INSERT INTO `values` (`format`) ",
            "CSV",
            b"",
        ),
        (b"INSERT INTO values FORMAT CSV\n", "INSERT INTO values ", "CSV", b""),
        (
            (
                b"/* FORMAT a */ INSERT INTO TABLE t SETTINGS x = 'FORMAT b' -- FORMAT c\n "
                b"FORMAT CSV\n1"
            ),
            "/* FORMAT a */ INSERT INTO TABLE t SETTINGS x = 'FORMAT b' -- FORMAT c\n ",
            "CSV",
            b"1",
        ),
    ],
)
def test_cuts_an_insert(sql: bytes, statement: str, input_format: str, data: bytes) -> None:
    head = split_insert(sql)
    assert head is not None
    assert (head.statement + head.settings, head.input_format) == (statement, input_format)
    assert sql[head.data_start :] == data


@pytest.mark.parametrize(
    "sql",
    [
        b"",
        b"SELECT 1 FORMAT CSV",
        b"INSERT INTO t SELECT 1 FORMAT CSV",
        b"INSERT INTO t (a) WITH x AS (SELECT 1) SELECT * FROM x",
        b"INSERT INTO t FORMAT",
        b"INSERT",
    ],
)
def test_leaves_other_statements_whole(sql: bytes) -> None:
    assert split_insert(sql) is None


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"SELECT 1", None),
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"SELECT 1 format JSON;", "JSON"),
        (b"SELECT 1 FORMAT JSON SETTINGS a = 1", "JSON"),
        (b"SELECT a AS format, b FROM t", None),
        (b"SELECT 'FORMAT JSON'", None),
        (b"SELECT * FROM (SELECT 1 FORMAT JSON)", None),
        (b"SELECT 1 -- FORMAT JSON", None),
        (b"SELECT 1 /* x */ FORMAT /* y */ CSV -- z", "CSV"),
        (b"SELECT $$ FORMAT A $$ FORMAT B", "B"),
    ],
)
def test_finds_the_output_format(sql: bytes, expected: str | None) -> None:
    assert output_format(sql) == expected


def test_first_keywords() -> None:
    assert first_keyword(b" -- x\n select 1") == "SELECT"
    assert first_keyword(b"(SELECT 1)") == "("
    assert first_keyword(b"/* */") == ""


def test_knows_functions_as_targets() -> None:
    assert inserts_into_function(b"INSERT INTO FUNCTION file('x') SELECT 1")
    assert inserts_into_function(b"insert into table function url('x') format CSV")
    assert not inserts_into_function(b"INSERT INTO function (a) VALUES (1)")
    assert not inserts_into_function(b"INSERT INTO t SELECT 1")


@pytest.mark.parametrize(
    "text", [b"/* ", b"$a", b"'", b"`\\", b"INSERT INTO a.", b"FORMAT x ", b"("]
)
def test_takes_time_in_proportion_to_the_text(text: bytes) -> None:
    began = time.process_time()
    sql = text * (256 * 1024 // len(text))
    split_insert(sql)
    output_format(sql)
    assert time.process_time() - began < 5
