"""The embedded ClickHouse of a benchmark."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from app.bench.bench import Bench
from app.bench.processes import pin
from app.clickhouse.client import writer
from app.embedded.ports import free_port
from app.embedded.process import Deadline
from app.errors import ServerFailedError
from app.secret_files import CLICKHOUSE_WRITER_PASSWORD, ensure_secret
from app.settings import Settings

_START_SECONDS: Final = 120.0


@contextmanager
def clickhouse_server(bench: Bench) -> Iterator[tuple[str, str]]:
    """Run an empty server on the cores of "all else"; yield its URL and the writer's password.

    Raises
    ------
    ServerFailedError
        If it ends or does not answer.
    """
    directory: Path = bench.directory / "clickhouse"
    directory.mkdir()
    port = free_port()
    environment = bench.environment("", data_dir=directory, clickhouse_port=port)
    process = bench.product("clickhouse", environment)
    try:
        password = ensure_secret(directory, CLICKHOUSE_WRITER_PASSWORD)
        url = f"http://127.0.0.1:{port}"
        known: dict[str, Any] = {
            "clickhouse_url": url,
            "clickhouse_password": SecretStr(password),
            "data_dir": directory,
        }
        database = writer(Settings(_env_file=None, **known))
        deadline = Deadline(_START_SECONDS)
        while not database.ping():
            process.check()
            if deadline.passed:
                raise ServerFailedError("the embedded ClickHouse does not answer")
            time.sleep(0.1)
        database.close()
        pin(process.pid, bench.cores.others)
        yield url, password
    finally:
        process.stop()
