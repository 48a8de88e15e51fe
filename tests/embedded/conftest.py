"""One embedded ClickHouse for the tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.embedded.clickhouse_process import Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server with the table ``t`` of ten rows and the view ``v`` of it."""
    with serving(tmp_path_factory.mktemp("clickhouse")) as server:
        server.write(
            "CREATE TABLE t (a UInt64, b String, ts DateTime) "
            "ENGINE = ReplacingMergeTree ORDER BY a SAMPLE BY a"
        )
        server.write("INSERT INTO t SELECT number, 'x', now() FROM numbers(10)")
        server.write("CREATE VIEW v AS SELECT * FROM t")
        yield server
