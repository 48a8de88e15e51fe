"""Fixtures: a deployment, a server that signs local visitors in, and a real browser."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from app.kafka.admin import create_topics
from app.settings import Settings
from tests.live.conftest import deployment
from tests.live.support import Broker, free, serving
from tests.servers import KafkaServer

ARTIFACTS = Path(__file__).parents[1] / "artifacts"


@pytest.fixture(scope="module")
def shared(kafka: KafkaServer) -> Settings:
    """Return the deployment of the module, with topics."""
    settings = deployment(kafka.bootstrap, auth_demo_sign_in=True)
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """Run a headless Chromium for the module, or skip its tests where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no chromium on PATH")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(shared: Settings) -> AsyncIterator[Settings]:
    """Run one server for the module; yield its settings."""
    found = shared.model_copy(update={"port": free()})
    async with serving(found):
        yield found


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Return the directory of screenshots."""
    ARTIFACTS.mkdir(exist_ok=True)
    return ARTIFACTS
