"""Fixtures: one deployment a module, one server a test; its ClickHouse is away."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from app.kafka.admin import create_topics
from app.settings import Settings
from tests.live.support import Broker, free, serving
from tests.servers import KafkaServer

SECRET = "a-secret-of-the-tests-with-enough-bytes"


def deployment(bootstrap: str, **changes: Any) -> Settings:  # noqa: ANN401 - any setting
    """Return settings of a deployment of its own on a broker."""
    defaults: dict[str, Any] = {
        "kafka_bootstrap": bootstrap,
        "topic_prefix": f"live-{uuid.uuid4().hex[:8]}-",
        "clickhouse_url": f"http://127.0.0.1:{free()}",
        "auth_secret": SecretStr(SECRET),
        "partitions": 3,
        "port": free(),
    }
    return Settings(_env_file=None, **(defaults | changes))


@pytest.fixture(scope="module")
def shared(kafka: KafkaServer) -> Settings:
    """Return the deployment of the module, with topics."""
    settings = deployment(kafka.bootstrap)
    create_topics(settings)
    return settings


@pytest.fixture
def settings(shared: Settings) -> Settings:
    """Return the same for a server of the test alone."""
    return shared.model_copy(update={"port": free()})


@pytest.fixture
def broker(settings: Settings) -> Broker:
    """Return what writes to the live topics."""
    return Broker(settings)


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Settings]:
    """Run a server; yield its settings."""
    async with serving(settings):
        yield settings
