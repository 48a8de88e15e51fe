"""Schema ids of a registry: over HTTP, against a registry and against the gateway's own API."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from app.embedded.ports import free_port
from app.errors import (
    ConfigurationError,
    DecodeError,
    RegistryUnavailableError,
    UnknownSchemaError,
)
from app.gateway import middleware, schema_registry
from app.kafka.schema_ids import COMPATIBILITY, RegistryIds, codec_for, registry_subjects
from app.settings import Settings
from schemas import registry
from schemas.codec import Codec
from tests.schemas.registry_server import Registry, serving

SETTINGS: dict[str, Any] = {
    "user_id": "5b0e6b2e-6b0c-4c0e-9a43-0d7f5f3c1c55",
    "zones": [{"since_ms": 0, "zone": "Europe/Berlin"}],
}


@dataclass
class Clock:
    """Seconds that pass when the test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Registry:
    """Return a registry that holds nothing yet."""
    return Registry()


@pytest.fixture
def url(server: Registry) -> Iterator[str]:
    """Serve it; return where."""
    with serving(server.application()) as url:
        yield url


class Clients:
    """Codecs and ids of registries; their connections are closed after the test."""

    def __init__(self) -> None:
        self._opened: list[RegistryIds] = []

    def ids(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> RegistryIds:
        self._opened.append(RegistryIds(settings, clock))
        return self._opened[-1]

    def codec(self, settings: Settings) -> Codec:
        codec = codec_for(settings)
        assert isinstance(codec._ids, RegistryIds)
        self._opened.append(codec._ids)
        return codec

    def close(self) -> None:
        for ids in self._opened:
            ids._client.close()


@pytest.fixture
def clients() -> Iterator[Clients]:
    """Return what connects to registries."""
    clients = Clients()
    yield clients
    clients.close()


def settings_of(url: str | None, prefix: str = "") -> Settings:
    return Settings(schema_registry_url=url, topic_prefix=prefix)


def user_settings() -> dict[str, Any]:
    """Return a record with every field that the newest version has."""
    fields = registry.latest("user_settings").parsed["fields"]
    return {f["name"]: SETTINGS.get(f["name"], 0) for f in fields}


def test_records_carry_the_ids_of_the_registry(
    clients: Clients, server: Registry, url: str
) -> None:
    writer, reader = clients.codec(settings_of(url)), clients.codec(settings_of(url))
    data = writer.encode("user_settings", user_settings())
    [schema_id] = server.subjects["user-settings-value"]
    assert data[:5] == b"\0" + schema_id.to_bytes(4, "big")
    assert reader.decode("user_settings", data) == user_settings()
    assert server.levels == {"user-settings-value": COMPATIBILITY}


def test_a_subject_is_registered_for_each_of_its_topics(
    clients: Clients, server: Registry, url: str
) -> None:
    settings = settings_of(url, "eu.")
    schema_id = clients.ids(settings).id_of("upload_batch")
    assert server.subjects == {
        f"eu.{topic}-value": [schema_id]
        for topic in ("uploads", "uploads-retry-5s", "uploads-retry-1m", "uploads-retry-10m")
    }
    assert set(server.levels) == set(server.subjects)


def test_a_subject_without_a_topic_has_its_own_name() -> None:
    assert registry_subjects(settings_of(None), "upload") == ["upload"]
    assert registry_subjects(settings_of(None), "alert") == ["alerts-value"]


def test_every_subject_is_registered_and_read_back(
    clients: Clients, server: Registry, url: str
) -> None:
    ids = clients.ids(settings_of(url))
    fresh = clients.ids(settings_of(url))
    for subject in registry.subjects():
        assert fresh.schema_of(ids.id_of(subject)) == registry.latest(subject).parsed


def test_the_registry_is_asked_one_time(clients: Clients, server: Registry, url: str) -> None:
    codec = clients.codec(settings_of(url))
    data = codec.encode("user_settings", user_settings())
    asked = len(server.requests)
    for _ in range(3):
        assert codec.decode("user_settings", codec.encode("user_settings", user_settings()))
        assert codec.decode("user_settings", data)
    assert len(server.requests) == asked


def test_the_compatibility_that_somebody_chose_stays(
    clients: Clients, server: Registry, url: str
) -> None:
    server.levels["user-settings-value"] = "FULL_TRANSITIVE"
    clients.codec(settings_of(url)).encode("user_settings", user_settings())
    assert server.levels == {"user-settings-value": "FULL_TRANSITIVE"}


def test_where_others_register_the_version_is_looked_up(
    clients: Clients, server: Registry, url: str
) -> None:
    expected = clients.ids(settings_of(url)).id_of("alert")
    server.writers = False
    server.levels.clear()
    assert clients.ids(settings_of(url)).id_of("alert") == expected
    with pytest.raises(ConfigurationError, match=r"SCHEMA_REGISTRY_URL.*window_batch.*Forbidden"):
        clients.ids(settings_of(url)).id_of("window_batch")


def test_an_incompatible_version_is_refused_by_name(
    clients: Clients, server: Registry, url: str
) -> None:
    server.incompatible.add("alerts-value")
    with pytest.raises(ConfigurationError, match=r"version 1 of alert .*alerts-value: 409 Schema"):
        clients.ids(settings_of(url)).id_of("alert")


def test_an_id_that_the_registry_does_not_know(
    clients: Clients, server: Registry, url: str
) -> None:
    ids = clients.ids(settings_of(url))
    for _ in range(3):
        with pytest.raises(UnknownSchemaError, match="no id 77"):
            ids.schema_of(77)
    assert server.requests == ["GET /schemas/ids/77"]


def test_an_unknown_id_is_asked_for_again_later(
    clients: Clients, server: Registry, url: str
) -> None:
    clock = Clock()
    ids = clients.ids(settings_of(url), clock)
    with pytest.raises(UnknownSchemaError):
        ids.schema_of(100_001)
    assert server.put(registry.latest("alert").text) == 100_001
    clock.now += 61
    assert ids.schema_of(100_001) == registry.latest("alert").parsed


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("message M {}", "PROTOBUF"),
        ('{"type": "object"}', "JSON"),
        ('"string"', "AVRO"),
        ('["null", "long"]', "AVRO"),
        ('{"type": "record", "name": "R"}', "AVRO"),
        ('{"type": "no such type"}', "AVRO"),
        ('{"type": "array", "items": "long"}', "AVRO"),
    ],
)
def test_a_schema_that_is_none_of_ours(
    clients: Clients, server: Registry, url: str, text: str, kind: str
) -> None:
    schema_id = server.put(text, kind)
    data = b"\0" + schema_id.to_bytes(4, "big") + b"\0\0"
    with pytest.raises(UnknownSchemaError):
        clients.codec(settings_of(url)).decode("alert", data)


@pytest.mark.parametrize("status", [0, 401, 403, 404, 408, 429, 500, 502, 503])
def test_any_other_answer_says_nothing_about_the_record(
    clients: Clients, server: Registry, url: str, status: int
) -> None:
    data = clients.codec(settings_of(url)).encode("user_settings", user_settings())
    server.broken = status
    with pytest.raises(RegistryUnavailableError) as caught:
        clients.codec(settings_of(url)).decode("user_settings", data)
    assert caught.value.retriable


def test_a_registry_that_is_away_is_left_alone_for_a_while(
    clients: Clients, server: Registry, url: str
) -> None:
    clock = Clock()
    codec = Codec(clients.ids(settings_of(url), clock))
    server.broken = 503
    for _ in range(5):
        with pytest.raises(RegistryUnavailableError):
            codec.encode("user_settings", user_settings())
    assert len(server.requests) == 1
    server.broken = None
    clock.now += 5.1
    assert codec.encode("user_settings", user_settings())


def test_nobody_listens(clients: Clients) -> None:
    codec = clients.codec(settings_of(f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(RegistryUnavailableError, match="no answer"):
        codec.encode("user_settings", user_settings())


def test_a_silent_registry_holds_a_call_for_seconds_only(
    clients: Clients, server: Registry, url: str
) -> None:
    server.broken = -1
    codec = clients.codec(settings_of(url))
    begun = time.monotonic()
    with pytest.raises(RegistryUnavailableError):
        codec.encode("upload_batch", {})
    with pytest.raises(RegistryUnavailableError):
        codec.decode("alert", b"\0\0\0\0\7")
    assert time.monotonic() - begun < 5


def test_threads_register_once(clients: Clients, server: Registry, url: str) -> None:
    ids = clients.ids(settings_of(url))
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(ids.id_of("upload_batch"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(found)) == 1
    assert len(found) == 8
    assert sum("/versions" in request for request in server.requests) == 4


def test_credentials_are_sent_and_not_told(
    clients: Clients, server: Registry, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.credentials = "reader:p@ss word"
    with_credentials = url.replace("//", "//reader:p%40ss%20word@")
    with caplog.at_level(logging.DEBUG):
        assert clients.codec(settings_of(with_credentials)).encode("user_settings", user_settings())
        server.credentials = "somebody:else"
        with pytest.raises(ConfigurationError) as caught:
            clients.codec(settings_of(with_credentials)).encode("user_settings", user_settings())
    told = f"{caught.value} {caplog.text}"
    assert "ss word" not in told
    assert "ss%20word" not in told


@pytest.mark.parametrize("wrong", ["registry:8081", "ftp://registry", "http://", "http://a,b"])
def test_what_is_no_url(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="VITALSTREAM_SCHEMA_REGISTRY_URL"):
        codec_for(settings_of(wrong))


def test_without_a_registry_the_ids_are_the_projects_own() -> None:
    data = codec_for(settings_of(None)).encode("user_settings", user_settings())
    assert data[:5] == b"\0" + registry.latest("user_settings").schema_id.to_bytes(4, "big")


def test_damaged_bytes_are_told_from_unknown_ids(
    clients: Clients, server: Registry, url: str
) -> None:
    codec = clients.codec(settings_of(url))
    data = codec.encode("user_settings", user_settings())
    with pytest.raises(DecodeError):
        codec.decode("user_settings", data[:-1])
    with pytest.raises(UnknownSchemaError, match="UserSettings, not"):
        codec.decode("alert", data)


def test_the_gateway_is_a_registry_that_can_be_read(clients: Clients) -> None:
    app = web.Application(middlewares=[middleware.problems])
    app.router.add_get("/schemas/ids/{id}", schema_registry.schema_by_id)
    with serving(app) as url:
        codec = clients.codec(settings_of(url))
        data = Codec().encode("user_settings", user_settings())
        assert codec.decode("user_settings", data) == user_settings()
        with pytest.raises(UnknownSchemaError, match="no id 4711"):
            codec.decode("user_settings", b"\0" + (4711).to_bytes(4, "big"))
        with pytest.raises(ConfigurationError, match="cannot be registered"):
            codec.encode("user_settings", user_settings())
