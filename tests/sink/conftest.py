"""A deployment of its own for each test of the sink: topics and tables."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.clickhouse.client import ClickHouse, reader, writer
from app.clickhouse.migrate import migrate
from app.kafka.admin import create_topics
from app.settings import Settings
from tests.clickhouse.databases import settings_of
from tests.servers import ClickHouseServer, KafkaServer
from tests.sink.running import Feed


@pytest.fixture
def settings(
    kafka: KafkaServer, clickhouse: ClickHouseServer, tmp_path: Path
) -> Iterator[Settings]:
    made = settings_of(clickhouse, tmp_path, bootstrap=kafka.bootstrap)
    create_topics(made)
    migrate(made)
    yield made
    database = writer(made)
    database.command(f"DROP DATABASE {made.clickhouse_database}")
    database.close()


@pytest.fixture
def reading(settings: Settings) -> Iterator[ClickHouse]:
    connections = reader(settings)
    yield connections
    connections.close()


@pytest.fixture
def feed(settings: Settings) -> Feed:
    return Feed(settings)
