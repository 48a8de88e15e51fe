"""Fixtures: one deployment and one gateway a module; its tests share an event loop."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.settings import Settings
from tests.gateway.support import Gateway, deployed, running
from tests.servers import KafkaServer

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if pytest_asyncio.is_async_test(item) and item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@pytest.fixture(scope="module")
def settings(kafka: KafkaServer) -> Settings:
    """Make a deployment of the module's own, with topics."""
    return deployed(kafka.bootstrap)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """Run a gateway; it is ready."""
    async with running(settings) as gateway:
        yield gateway


@pytest.fixture
def user() -> str:
    """Return the id of a person of the test's own."""
    return str(uuid.uuid4())
