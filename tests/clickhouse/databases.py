"""Databases of their own for tests, on the session's ClickHouse."""

from pathlib import Path
from uuid import uuid4

from pydantic import SecretStr

from app.settings import Settings
from tests.servers import ClickHouseServer


def settings_of(
    server: ClickHouseServer, directory: Path, *, bootstrap: str | None = None
) -> Settings:
    """Return settings for a deployment that shares its servers with no other."""
    name = f"test_{uuid4().hex[:12]}"
    return Settings(
        _env_file=None,
        data_dir=directory,
        clickhouse_url=server.url,
        clickhouse_database=name,
        clickhouse_user=server.writer_user,
        clickhouse_password=SecretStr(server.writer_password),
        clickhouse_reader=server.reader_user,
        kafka_bootstrap=bootstrap,
        topic_prefix=f"{name}-",
        partitions=3,
        metrics_port=0,
        sink_within_seconds=0.05,
        log_format="console",
    )
