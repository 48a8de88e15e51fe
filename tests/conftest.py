"""Fixtures that every test may use: the servers of the session, started when first asked for."""

from collections.abc import Iterator

import pytest

from tests import servers


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--servers",
        choices=["embedded", "docker"],
        default="embedded",
        help="run Kafka and ClickHouse embedded (default) or in containers",
    )


@pytest.fixture(scope="session")
def kafka(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.KafkaServer]:
    """One broker for the session; ``kafka.bootstrap`` is its address."""
    if request.config.getoption("--servers") == "docker":
        with servers.docker_kafka() as server:
            yield server
    else:
        with servers.embedded_kafka(tmp_path_factory.mktemp("kafka")) as server:
            yield server


@pytest.fixture(scope="session")
def clickhouse(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.ClickHouseServer]:
    """One ClickHouse for the session: ``.url``, and ``.writer_user``, ``.writer_password``."""
    if request.config.getoption("--servers") == "docker":
        with servers.docker_clickhouse() as server:
            yield server
    else:
        with servers.embedded_clickhouse(tmp_path_factory.mktemp("clickhouse")) as server:
            yield server
