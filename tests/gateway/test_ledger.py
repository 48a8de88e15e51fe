"""Uploads older than the gateway's memory are looked up in ClickHouse."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from app.clickhouse.client import writer
from app.clickhouse.migrate import migrate
from app.kafka.admin import create_topics
from app.settings import Settings
from tests.clickhouse.batches import Upload, batch_of
from tests.clickhouse.conftest import Storing
from tests.clickhouse.databases import settings_of
from tests.clickhouse.records import applied, dead, declared
from tests.gateway.support import SECRET, Gateway
from tests.servers import ClickHouseServer, KafkaServer

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def settings(
    kafka: KafkaServer, clickhouse: ClickHouseServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    directory: Path = tmp_path_factory.mktemp("data")
    made = settings_of(clickhouse, directory, bootstrap=kafka.bootstrap).model_copy(
        update={"auth_secret": SecretStr(SECRET)}
    )
    create_topics(made)
    migrate(made)
    yield made
    database = writer(made)
    database.command(f"DROP DATABASE {made.clickhouse_database}")
    database.close()


async def test_old_uploads_are_received_stored_or_failed(gateway: Gateway, user: str) -> None:
    database = writer(gateway.settings)
    store = Storing(database)
    batches = [batch_of([Upload(UUID(user), [(n, 60.0), (n + 1, 61.0)])]) for n in (0, 10, 20)]
    await store([declared(batch) for batch in batches])
    await store([applied(batches[1]), dead(batches[2])])
    database.close()
    for batch, stage in zip(batches, ("received", "stored", "failed"), strict=True):
        upload_id = UUID(bytes=batch.upload_ids[0].tobytes())
        status, body = await gateway.get(f"/v1/uploads/{upload_id}", user)
        assert (status, body["status"], body["accepted"]) == (200, stage, 2)
        assert (body["upload_id"], body["user_id"]) == (str(upload_id), user)
        assert ("reason" in body) == (stage == "failed")
        assert (await gateway.get(f"/v1/uploads/{upload_id}", str(uuid4())))[0] == 403


async def test_what_nobody_knows_is_404(gateway: Gateway, user: str) -> None:
    assert (await gateway.get(f"/v1/uploads/{uuid4()}", user))[0] == 404
