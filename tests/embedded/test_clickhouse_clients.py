"""clickhouse-connect, unmodified, in another process: reads, inserts, streams, errors."""

import asyncio
import datetime as dt
import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import clickhouse_connect
import lz4.frame
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from backports import zstd
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.embedded.clickhouse_process import WRITER, Server

_NOON = dt.datetime(2026, 1, 1, 12)  # noqa: DTZ001  (the client takes naive times as UTC)
_COLUMNS = ["id", "t", "s", "v"]


@pytest.fixture(scope="module")
def reader(server: Server) -> Client:
    return server.client()


@pytest.fixture(scope="module")
def writer(server: Server) -> Client:
    return server.client(writer=True)


@pytest.fixture
def table(writer: Client) -> Iterator[str]:
    writer.command(
        "CREATE TABLE rows (id UInt64, t DateTime64(3), s LowCardinality(String), v Float64) "
        "ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 10"
    )
    yield "rows"
    writer.command("DROP TABLE rows SYNC")


def test_row_inserts_come_back(writer: Client, reader: Client, table: str) -> None:
    rows = [[1, _NOON, "a", 1.5], [2, _NOON, "b", -2.5]]
    assert writer.insert(table, rows, column_names=_COLUMNS).written_rows == 2
    result = reader.query("SELECT * FROM rows ORDER BY id")
    assert [list(row) for row in result.result_rows] == rows
    assert result.summary["read_rows"] == "2"
    assert result.summary["result_rows"] == "2"


def test_frames_and_arrow_come_back(writer: Client, reader: Client, table: str) -> None:
    frame = pd.DataFrame(
        {
            "id": np.array([1, 2], np.uint64),
            "t": pd.to_datetime([_NOON, _NOON]).astype("datetime64[ms]"),
            "s": ["a", "b"],
            "v": [1.0, 2.0],
        }
    )
    assert writer.insert_df(table, frame).written_rows == 2
    arrow = pa.table(
        {
            "id": pa.array([3], pa.uint64()),
            "t": pa.array([_NOON], pa.timestamp("ms")),
            "s": ["c"],
            "v": [3.0],
        }
    )
    assert writer.insert_arrow(table, arrow).written_rows == 1
    back = reader.query_df("SELECT * FROM rows ORDER BY id")
    assert back["s"].tolist() == ["a", "b", "c"]
    assert reader.query_arrow("SELECT id, v FROM rows").num_rows == 3
    assert reader.query_np("SELECT id FROM rows ORDER BY id").ravel().tolist() == [1, 2, 3]


@pytest.mark.parametrize("compression", [None, "gzip", "zstd", "lz4"])
@pytest.mark.parametrize(
    ("fmt", "data"),
    [
        ("CSV", b"7,2026-01-01 00:00:00,g,1\n"),
        ("JSONEachRow", b'{"id":7,"s":"g","v":1}\n'),
        ("TabSeparated", b"7\t2026-01-01 00:00:00\tg\t1\n"),
        ("Values", b"(7,'2026-01-01 00:00:00','g',1)"),
    ],
)
def test_raw_inserts(
    writer: Client, table: str, fmt: str, data: bytes, compression: str | None
) -> None:
    packers = {"gzip": gzip.compress, "zstd": zstd.compress, "lz4": lz4.frame.compress}
    block = packers[compression](data) if compression else data
    summary = writer.raw_insert(
        table, column_names=_COLUMNS, insert_block=block, fmt=fmt, compression=compression
    )
    assert summary.written_rows == 1
    assert writer.query("SELECT id, s, v FROM rows").result_rows == [(7, "g", 1.0)]


def test_insert_select_with_parameters(writer: Client, table: str) -> None:
    writer.command(
        "INSERT INTO rows SELECT number, now64(), {s:String}, 1 FROM numbers(10)",
        parameters={"s": "it's\n\ta \\ text"},
    )
    assert writer.query("SELECT count(), any(s) FROM rows").result_rows == [
        (10, "it's\n\ta \\ text")
    ]


def test_ddl_and_maintenance(writer: Client, table: str) -> None:
    writer.insert(table, [[1, _NOON, "a", 1.0]], column_names=_COLUMNS)
    writer.command("ALTER TABLE rows ADD COLUMN extra UInt8 DEFAULT 4")
    writer.command("ALTER TABLE rows UPDATE v = 5 WHERE 1 SETTINGS mutations_sync = 1")
    writer.command("OPTIMIZE TABLE rows FINAL")
    assert writer.query("SELECT extra, v FROM rows").result_rows == [(4, 5.0)]
    writer.command("DELETE FROM rows WHERE id = 1")
    assert writer.command("SELECT count() FROM rows") == 0


def test_the_writers_settings_hold(writer: Client, table: str) -> None:
    for value in (1.0, 2.0):  # the token makes the second batch a repetition
        writer.insert(
            table,
            [[1, _NOON, "a", value]],
            column_names=_COLUMNS,
            settings={"insert_deduplication_token": "batch 1"},
        )
    assert writer.command("SELECT count() FROM rows") == 1
    asked = "SELECT getSetting('max_memory_usage'), getSetting('async_insert')"
    result = writer.query(asked, settings={"max_memory_usage": 123_456_789})
    assert result.result_rows == [(123_456_789, False)]
    with pytest.raises(DatabaseError) as failure:
        writer.query("SELECT 1", settings={"no_such_setting": 1})
    assert failure.value.code == 115


def test_final_is_open_to_readers(writer: Client, reader: Client) -> None:
    writer.command(
        "CREATE TABLE versions (k UInt8, n UInt8) ENGINE = ReplacingMergeTree(n) ORDER BY k"
    )
    for number in (1, 2):
        writer.insert("versions", [[1, number]], column_names=["k", "n"])
    result = reader.query("SELECT n FROM versions", settings={"final": 1})
    assert result.result_rows == [(2,)]


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_streams_are_whole(server: Server, compress: bool | str) -> None:
    client = server.client(compress=compress)
    sql = "SELECT number, toString(number) AS s FROM numbers(400000)"
    with client.query_row_block_stream(sql) as blocks:
        assert sum(row[0] for block in blocks for row in block) == 400_000 * 399_999 // 2
    with client.query_arrow_stream("SELECT number FROM numbers(400000)") as batches:
        assert sum(batch.num_rows for batch in batches) == 400_000
    with client.query_df_stream("SELECT number FROM numbers(400000)") as frames:
        assert sum(len(frame) for frame in frames) == 400_000


def test_an_error_within_a_stream_is_raised(reader: Client) -> None:
    sql = "SELECT throwIf(number = 2000000) FROM numbers(3000000)"
    with (
        pytest.raises(DatabaseError, match="FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        reader.query_row_block_stream(sql) as blocks,
    ):
        for _ in blocks:
            pass


@pytest.mark.parametrize(
    ("sql", "code", "name"),
    [
        ("SELECT nosuch", 47, "UNKNOWN_IDENTIFIER"),
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT * FROM nosuch", 60, "UNKNOWN_TABLE"),
        ("SELECT * FROM nosuch.t", 81, "UNKNOWN_DATABASE"),
        ("SELECT throwIf(1)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("INSERT INTO t VALUES (1)", 164, "READONLY"),
    ],
)
def test_errors_have_code_and_name(reader: Client, sql: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError) as failure:
        reader.query(sql)
    assert (failure.value.code, failure.value.name) == (code, name)


@pytest.mark.parametrize("form", [False, True])
def test_parameters_of_every_kind(server: Server, form: bool) -> None:
    client = server.client(form_encode_query_params=form)
    values = {"a": ["x'y", "z"], "b": _NOON, "c": 5, "d": [1.5, 2.5], "e": "number"}
    result = client.query(
        "SELECT {a:Array(String)}, {b:DateTime}, {c:UInt8}, {d:Array(Float64)}, {e:Identifier} "
        "FROM numbers(1)",
        parameters=values,
    )
    assert result.result_rows == [(["x'y", "z"], _NOON, 5, [1.5, 2.5], 0)]


async def test_the_asynchronous_client(server: Server, table: str) -> None:
    client = await clickhouse_connect.get_async_client(
        host="127.0.0.1", port=server.port, username=WRITER[0], password=WRITER[1]
    )
    try:
        await client.insert(table, [[1, _NOON, "a", 1.0]], column_names=_COLUMNS)
        answers = await asyncio.gather(
            *(
                client.query("SELECT count() + {i:UInt8} FROM rows", parameters={"i": i})
                for i in range(20)
            )
        )
        assert [answer.result_rows[0][0] for answer in answers] == list(range(1, 21))
    finally:
        await client.close()


def test_concurrent_inserts_and_reads(server: Server, writer: Client, table: str) -> None:
    def insert(number: int) -> int:
        rows = [[number * 1000 + i, _NOON, "a", 1.0] for i in range(1000)]
        client = server.client(writer=True, autogenerate_session_id=False)
        return int(client.insert(table, rows, column_names=_COLUMNS).written_rows)

    def read(_: int) -> int:
        return int(server.scalar("SELECT count() FROM rows"))

    with ThreadPoolExecutor(8) as threads:
        inserting, reading = threads.map(insert, range(12)), threads.map(read, range(24))
        assert sum(inserting) == 12_000
        assert all(count % 1000 == 0 for count in reading)
    assert writer.command("SELECT uniqExact(id) FROM rows") == 12_000


def test_materialized_views_fire(writer: Client, table: str) -> None:
    writer.command(
        "CREATE MATERIALIZED VIEW doubles ENGINE = MergeTree ORDER BY id "
        "AS SELECT id, v * 2 AS v FROM rows"
    )
    writer.insert(table, [[1, _NOON, "a", 2.0]], column_names=_COLUMNS)
    assert writer.query("SELECT * FROM doubles").result_rows == [(1, 4.0)]
    writer.command("DROP TABLE doubles SYNC")
