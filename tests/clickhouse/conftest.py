"""A migrated database for each module, and a short way to store records in it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
from prometheus_client import CollectorRegistry

from app.clickhouse.client import ClickHouse, reader, writer
from app.clickhouse.migrate import migrate
from app.metrics import SinkMetrics
from app.settings import Settings
from app.sink.backfill import Backfill
from app.sink.records import Decoded
from app.sink.store import Store
from schemas.codec import Codec
from tests.clickhouse.databases import settings_of
from tests.servers import ClickHouseServer


@pytest.fixture(scope="module")
def settings(
    clickhouse: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    made = settings_of(clickhouse, tmp_path_factory.mktemp("data"))
    migrate(made)
    yield made
    database = writer(made)
    database.command(f"DROP DATABASE {made.clickhouse_database}")
    database.close()


@pytest.fixture(scope="module")
def database(settings: Settings) -> Iterator[ClickHouse]:
    """Connect as the writer."""
    connections = writer(settings)
    yield connections
    connections.close()


@pytest.fixture(scope="module")
def reading(settings: Settings) -> Iterator[ClickHouse]:
    """Connect as the reader."""
    connections = reader(settings)
    yield connections
    connections.close()


class Storing:
    """Stores decoded records as the sink's agents do."""

    def __init__(self, database: ClickHouse) -> None:
        self.codec = Codec()
        self._store = Store(database, SinkMetrics(CollectorRegistry()), self.codec)

    async def __call__(
        self, group: Sequence[Decoded], *, earlier: "asyncio.Task[None] | None" = None
    ) -> list[Decoded]:
        """Store records and return those refused; their late windows wait."""
        return await self._store.store(group, earlier=earlier)


@pytest.fixture
def store(database: ClickHouse) -> Storing:
    return Storing(database)


@pytest.fixture
async def backfill(database: ClickHouse, settings: Settings) -> AsyncIterator[Backfill]:
    """Give the test a lane that computes when it is told to."""
    quick = settings.model_copy(update={"backfill_share": 1.0})
    lane = Backfill(database, quick, SinkMetrics(CollectorRegistry()), lambda: True)
    yield lane
    await lane.stop()
