"""The HTTP interface itself: accounts, encodings, formats, summaries, overload, departures."""

import base64
import csv
import gzip
import http.client
import io
import json
import socket
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lz4.frame
import pyarrow as pa
import pytest
from backports import zstd

from app.embedded.clickhouse.framing import FrameDecoder, FrameEncoder
from app.errors import QueryError
from tests.embedded.clickhouse_process import WRITER, Server
from tests.servers import wait_until

_SLOW = "SELECT sum(sipHash64(number)) FROM numbers(190000000)"
_RUNNING = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sum(sipHash64(number))%'"


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("path", ["/ping", "/replicas_status", "/"])
def test_answers_that_it_lives(server: Server, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", path)
    assert connection.getresponse().read() == b"Ok.\n"
    connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        _basic(WRITER[0], "wrong"),
        _basic("nobody", ""),
        _basic("default", "wrong"),
        {"X-ClickHouse-User": WRITER[0], "X-ClickHouse-Key": ""},
        {"Authorization": "Basic not-base64!"},
        {"Authorization": "Bearer token"},
    ],
)
def test_wrong_credentials(server: Server, headers: dict[str, str]) -> None:
    reply = server.ask("SELECT 1", headers=headers)
    assert (reply.status, reply.code) == (403, 516)
    assert "AUTHENTICATION_FAILED" in reply.text


@pytest.mark.parametrize("how", ["basic", "headers", "url"])
def test_the_ways_to_sign_in(server: Server, how: str) -> None:
    user, password = WRITER
    by_header = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}
    headers = {"basic": _basic(user, password), "headers": by_header}.get(how, {})
    url: dict[str, Any] = {"user": user, "password": password} if how == "url" else {}
    assert server.ask("CREATE DATABASE IF NOT EXISTS ways", headers=headers, **url).status == 200


def test_web_pages_cannot_read_under_a_name_of_their_own(server: Server) -> None:
    reply = server.ask("SELECT 1", headers={"Host": f"rebound.example:{server.port}"})
    assert reply.code == 516


def test_get_only_reads(server: Server) -> None:
    assert server.ask("SELECT 1", method="GET").text == "1\n"
    reply = server.ask("CREATE TABLE by_get (a UInt8) ENGINE = Memory", method="GET", writer=True)
    assert reply.code == 164
    assert server.ask("INSERT INTO t VALUES (1)", method="GET", writer=True).code == 164


@pytest.mark.parametrize(
    "sql",
    [
        "SYSTEM SHUTDOWN",
        "SELECT 1 INTO OUTFILE 'x'",
        "INSERT INTO FUNCTION file('x', 'CSV') SELECT 1",
        "BACKUP DATABASE default TO File('x')",
    ],
)
def test_the_writer_stays_inside_too(server: Server, sql: str) -> None:
    assert server.ask(sql, writer=True).code == 164


def test_ids_and_names_in_headers(server: Server) -> None:
    reply = server.ask("SELECT 1 FORMAT JSON", query_id="mine-1", session_id="ignored")
    assert reply.headers["X-ClickHouse-Query-Id"] == "mine-1"
    assert reply.headers["X-ClickHouse-Format"] == "JSON"
    assert reply.headers["X-ClickHouse-Timezone"] == "UTC"
    assert reply.headers["Content-Type"].startswith("application/json")
    assert json.loads(reply.body)["data"] == [{"1": 1}]


@pytest.mark.parametrize("wait", ["0", "1"])
def test_summaries_count(server: Server, wait: str) -> None:
    reply = server.ask("SELECT a FROM t WHERE a < 4", wait_end_of_query=wait)
    summary = json.loads(reply.headers["X-ClickHouse-Summary"])
    assert (summary["read_rows"], summary["result_rows"]) == ("10", "4")
    server.write("CREATE OR REPLACE TABLE counted (a UInt64) ENGINE = MergeTree ORDER BY a")
    for sql, rows in (
        ("INSERT INTO counted SELECT number FROM numbers(1234)", "1234"),
        ("INSERT INTO counted VALUES (1), (2)", "2"),
        ("INSERT INTO counted FORMAT CSV\n1\n2\n3\n", "3"),
        ("/* why */ insert into counted(a) settings max_threads = 1 format CSV\n1\n", "1"),
    ):
        reply = server.write(sql)
        assert json.loads(reply.headers["X-ClickHouse-Summary"])["written_rows"] == rows


def test_insert_with_the_statement_in_the_url(server: Server) -> None:
    server.write("CREATE OR REPLACE TABLE apart (a UInt64) ENGINE = MergeTree ORDER BY a")
    server.write(b"1\n2\n", query="INSERT INTO apart FORMAT TSV")
    server.write(b"(3),(4)", query="INSERT INTO apart VALUES")
    server.write(
        FrameEncoder().encode(b"5\n6\n"), query="INSERT INTO apart FORMAT TSV", decompress=1
    )
    server.write(b"7\n", query="INSERT INTO {table:Identifier} FORMAT TSV", param_table="apart")
    assert server.scalar("SELECT groupArray(a) FROM (SELECT a FROM apart ORDER BY a)") == (
        "[1,2,3,4,5,6,7]"
    )


def test_a_broken_insert_is_an_error(server: Server) -> None:
    server.write("CREATE OR REPLACE TABLE broken (a UInt64) ENGINE = MergeTree ORDER BY a")
    cases: list[tuple[dict[str, Any], bytes, int]] = [
        ({"query": "INSERT INTO broken FORMAT JSONEachRow"}, b"{x", 26),
        ({"query": "INSERT INTO broken FORMAT NoSuch"}, b"1\n", 73),
        ({"query": "INSERT INTO nosuch FORMAT CSV"}, b"1\n", 60),
        ({"query": "INSERT INTO broken FORMAT CSV", "decompress": "1"}, b"1" * 40, 271),
    ]
    for options, data, code in cases:
        reply = server.ask(data, writer=True, **options)
        assert reply.code == code, reply.text
    truncated = gzip.compress(b"1\n" * 1000)[:-10]
    reply = server.ask(
        truncated,
        writer=True,
        query="INSERT INTO broken FORMAT CSV",
        headers={"Content-Encoding": "gzip"},
    )
    assert reply.code == 271
    assert server.scalar("SELECT count() FROM broken") == "0"


@pytest.mark.parametrize(
    ("encoding", "unpack"),
    [
        ("gzip", gzip.decompress),
        ("deflate", zlib.decompress),
        ("zstd", zstd.decompress),
        ("lz4", lz4.frame.decompress),
    ],
)
@pytest.mark.parametrize("rows", [3, 300_000])
def test_responses_are_compressed(
    server: Server, encoding: str, unpack: Callable[[bytes], bytes], rows: int
) -> None:
    reply = server.ask(
        "SELECT number FROM numbers({rows:UInt64})",
        headers={"Accept-Encoding": encoding},
        param_rows=rows,
    )
    assert reply.headers["Content-Encoding"] == encoding
    assert unpack(reply.body).count(b"\n") == rows


@pytest.mark.parametrize("sql", ["SELECT number FROM numbers(300000)", "SELECT nosuch"])
def test_clickhouse_blocks(server: Server, sql: str) -> None:
    reply = server.ask(sql, compress=1)
    decoder = FrameDecoder()
    data = b"".join(decoder.decode(reply.body))
    decoder.finish()
    assert data.endswith(b"299999\n") or b"UNKNOWN_IDENTIFIER" in data
    spoiled = bytearray(reply.body)
    spoiled[30] ^= 1
    with pytest.raises(QueryError, match="Checksum"):
        list(FrameDecoder().decode(bytes(spoiled)))


@pytest.mark.parametrize(
    "name",
    [
        "TabSeparated",
        "TSVRaw",
        "TSVWithNames",
        "TabSeparatedWithNamesAndTypes",
        "CSV",
        "CSVWithNames",
        "CSVWithNamesAndTypes",
        "JSONEachRow",
        "JSONCompactEachRowWithNamesAndTypes",
        "RowBinary",
        "RowBinaryWithNames",
        "RowBinaryWithNamesAndTypes",
        "Native",
    ],
)
def test_streams_equal_whole_results(server: Server, name: str) -> None:
    sql = 'SELECT number AS "a ""b""\nc", toString(number) AS s FROM numbers(5000)'
    # The writer asks: readers' names have no line breaks.
    streamed = server.write(sql, default_format=name, max_block_size=700)
    whole = server.write(sql, default_format=name, max_block_size=100_000)
    if name == "Native":
        assert len(streamed.body) > len(whole.body)
    else:
        assert streamed.body == whole.body
    empty = server.write(f"{sql} WHERE 0", default_format=name)
    assert whole.body.startswith(empty.body)


def test_arrow_streams_are_one_stream(server: Server) -> None:
    reply = server.ask("SELECT number FROM numbers(5000) FORMAT ArrowStream", max_block_size=700)
    assert pa.ipc.open_stream(reply.body).read_all().num_rows == 5000
    reply = server.ask("SELECT number FROM numbers(0) FORMAT ArrowStream")
    assert pa.ipc.open_stream(reply.body).read_all().num_rows == 0


def test_totals_and_extremes_are_kept(server: Server) -> None:
    sql = "SELECT a % 2 AS k, count() FROM t GROUP BY k WITH TOTALS ORDER BY k FORMAT CSV"
    rows = [row for row in csv.reader(io.StringIO(server.ask(sql).text)) if row]
    assert rows == [["0", "5"], ["1", "5"], ["0", "10"]]
    reply = server.ask("SELECT a FROM t ORDER BY a LIMIT 2 FORMAT JSON", extremes=1)
    assert json.loads(reply.body)["extremes"] == {"min": {"a": 0}, "max": {"a": 1}}


def test_a_result_too_large_to_hold_is_an_error(server: Server) -> None:
    reply = server.ask("SELECT repeat('x', 1000) FROM numbers(140000) FORMAT JSON")
    assert reply.code == 396
    sql = "SELECT repeat('x', 1000) FROM numbers(140000) FORMAT TSV"
    assert len(server.ask(sql).body) == 140_000 * 1001
    assert server.ask(sql, wait_end_of_query=1).code == 396


def _send(server: Server, sql: str) -> socket.socket:
    """Send a statement and read nothing."""
    client = socket.create_connection(("127.0.0.1", server.port))
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(sql)}\r\n\r\n"
    client.sendall(head.encode() + sql.encode())
    return client


def test_too_many_requests_are_turned_away(server: Server) -> None:
    with ExitStack() as clients:
        for _ in range(3 + 64):  # what runs and what may wait
            clients.enter_context(_send(server, _SLOW))
        reply = server.ask("SELECT 1")
        assert (reply.status, reply.code) == (503, 202)
        assert reply.headers["Retry-After"] == "1"
        assert server.ask("SELECT 1", writer=True).code == 202
    wait_until(lambda: server.ask("SELECT 1").text == "1\n", "the slots are free again")


def test_readers_leave_room_for_the_writer(server: Server) -> None:
    with ExitStack() as clients:
        for _ in range(10):
            clients.enter_context(_send(server, _SLOW))
        wait_until(lambda: server.write(_RUNNING).text == "3\n", "as many run as may")


def test_a_query_ends_with_its_client(server: Server) -> None:
    with _send(server, _SLOW):
        wait_until(lambda: server.write(_RUNNING).text == "1\n", "the query runs")
    wait_until(lambda: server.write(_RUNNING).text == "0\n", "the query has ended", 2.0)


def test_a_reader_that_takes_nothing_holds_no_memory(server: Server) -> None:
    sql = "SELECT repeat('x', 1000) FROM numbers(100000000) FORMAT TSV"
    status = Path(f"/proc/{server.process.pid}/statm")

    def resident() -> int:
        return int(status.read_text().split()[1]) * 4096

    before = resident()
    with _send(server, sql) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        for _ in range(20):
            assert server.scalar("SELECT 1") == "1"
        assert resident() - before < 200 << 20
