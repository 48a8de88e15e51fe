"""Schema ids of a Confluent schema registry, for deployments that have one.

The registry numbers the schemas, so that every tool that knows it can read the topics. The schemas
themselves stay those of ``schemas/``: the newest version of each subject is registered when it is
first written. A deployment keeps its choice: what was written with the project's own ids cannot be
read with a registry's, nor the other way round.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import unquote, urlsplit, urlunsplit

import fastavro
import orjson
import structlog

from app.errors import ConfigurationError, RegistryUnavailableError, UnknownSchemaError
from app.settings import Settings
from schemas import registry
from schemas.codec import Codec
from schemas.topics import TOPICS

_log = structlog.get_logger(__name__)
T = TypeVar("T")

COMPATIBILITY: Final = "BACKWARD_TRANSITIVE"
"""Level asked for: the newest version reads what any version has written."""

# Encoding and decoding happen in event loops: a registry that is slow or away must not hold them.
_REQUEST_SECONDS: Final = 2.0
_BEGIN_SECONDS: Final = 2.0
"""How long after the beginning of a call a further request may begin."""
_PAUSE_SECONDS: Final = 5.0
"""How long a registry that failed is not asked again."""
_UNKNOWN_SECONDS: Final = 60.0
"""How long an id that the registry does not know is not asked for again."""
_MOST_IDS: Final = 1_000
_UNKNOWN_ID: Final = 40403
_DETAIL_LENGTH: Final = 300


def codec_for(settings: Settings) -> Codec:
    """Return the codec of a deployment: with its registry's ids, or with the project's own.

    Nothing is asked of the registry until the first record is encoded or decoded.

    Raises
    ------
    ConfigurationError
        If ``schema_registry_url`` is no URL of a registry.
    """
    return Codec(None if settings.schema_registry_url is None else RegistryIds(settings))


def registry_subjects(settings: Settings, subject: str) -> list[str]:
    """Return the names under which a registry keeps a subject of the project.

    ``TOPIC-value`` for every topic that carries it, as Confluent's TopicNameStrategy has it; the
    subject's own name where no topic does.
    """
    topics = [settings.topic(topic.name) for topic in TOPICS if topic.subject == subject]
    return [f"{topic}-value" for topic in topics] or [subject]


class RegistryIds:
    """The ids of a schema registry; several threads may use it at once.

    A call blocks for some seconds at most. After a failure the registry is left alone for a while,
    in which calls that need it fail at once.

    Parameters
    ----------
    settings : Settings
        With ``schema_registry_url``; several URLs are separated by commas, and the first one's
        user and password count for all.
    clock : callable, optional
        Monotonic seconds.

    Raises
    ------
    ConfigurationError
        If the URL is none.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        # Slow to import, and not needed without a registry.
        from confluent_kafka import schema_registry  # noqa: PLC0415

        self._refusal = schema_registry.SchemaRegistryError
        self._schema = schema_registry.Schema
        self._client = schema_registry.SchemaRegistryClient(
            _address(settings.schema_registry_url or "")
            | {"timeout": _REQUEST_SECONDS, "max.retries": 0}
        )
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._ids: dict[str, int] = {}
        self._writers: dict[int, dict[str, Any]] = {}
        self._unknown: dict[int, float] = {}
        self._begun = 0.0
        self._paused_until = float("-inf")

    def id_of(self, subject: str) -> int:
        """Return the id of the newest version of a subject, registering it where it is missing.

        Raises
        ------
        RegistryUnavailableError
            If the registry does not answer, or cannot now.
        ConfigurationError
            If it refuses the version, and has not got it already.
        """
        schema = registry.latest(subject)
        with self._lock:
            self._begun = self._clock()
            names = registry_subjects(self._settings, subject)
            for name in names:
                if name not in self._ids:
                    schema_id = self._register(name, schema)
                    _put(self._writers, schema_id, schema.parsed)
                    self._ids[name] = schema_id
            return self._ids[names[0]]

    def schema_of(self, schema_id: int) -> dict[str, Any]:
        """Return the parsed schema with an id.

        Raises
        ------
        UnknownSchemaError
            If the registry says that there is none, or it is no Avro record.
        RegistryUnavailableError
            If it does not answer, or says anything else: the record may be sound.
        """
        known = self._writers.get(schema_id)
        if known is not None:
            return known
        with self._lock:
            self._begun = self._clock()
            if schema_id not in self._writers:
                _put(self._writers, schema_id, self._fetch(schema_id))
            return self._writers[schema_id]

    def _fetch(self, schema_id: int) -> dict[str, Any]:
        if self._unknown.get(schema_id, 0.0) > self._clock():
            raise UnknownSchemaError(f"the schema registry has no id {schema_id}")
        try:
            schema = self._ask(lambda: self._client.get_schema(schema_id))
        except self._refusal as refusal:
            # Only the registry's own code: a proxy's 404 says nothing about the record.
            if refusal.error_code == _UNKNOWN_ID:
                _put(self._unknown, schema_id, self._clock() + _UNKNOWN_SECONDS)
                raise UnknownSchemaError(f"the schema registry has no id {schema_id}") from refusal
            self._fail(_words(refusal), refusal)
        finally:
            self._client.clear_caches()  # type: ignore[no-untyped-call]  # they have no bound
        if schema.schema_type not in (None, "AVRO") or schema.references:
            raise UnknownSchemaError(f"schema id {schema_id} is not Avro of a single document")
        try:
            parsed = fastavro.parse_schema(orjson.loads(schema.schema_str or ""), named_schemas={})
        except Exception as error:  # what fastavro raises depends on what is wrong
            raise UnknownSchemaError(f"schema id {schema_id} is not valid Avro") from error
        if not isinstance(parsed, dict):
            raise UnknownSchemaError(f"schema id {schema_id} is not a record")
        return parsed

    def _register(self, name: str, schema: registry.Schema) -> int:
        self._demand_compatibility(name)
        wanted = self._schema(schema.text, "AVRO")
        registered: int | None
        try:
            registered = self._ask(lambda: self._client.register_schema(name, wanted))
        except self._refusal as refusal:
            # Where others register the schemas, this version may be there already.
            try:
                registered = self._ask(lambda: self._client.lookup_schema(name, wanted).schema_id)
            except self._refusal:
                raise ConfigurationError(
                    f"VITALSTREAM_SCHEMA_REGISTRY_URL: version {schema.version} of "
                    f"{schema.subject} cannot be registered as {name}: {_words(refusal)}"
                ) from refusal
        if not isinstance(registered, int):
            self._fail("it registered without giving an id")
        _log.info("schema registered", subject=name, version=schema.version, id=registered)
        return registered

    def _demand_compatibility(self, name: str) -> None:
        """Set the level where none is set; a level that somebody has chosen stays."""
        try:
            self._ask(lambda: self._client.get_compatibility(name))
        except self._refusal as refusal:
            if refusal.http_status_code != 404:
                return
            try:
                self._ask(lambda: self._client.set_compatibility(name, COMPATIBILITY))
            except self._refusal as refused:
                _log.warning("compatibility not set", subject=name, status=refused.http_status_code)

    def _ask(self, request: Callable[[], T]) -> T:
        """Make one request; what the registry refuses for good is raised as it is."""
        now = self._clock()
        if now < self._paused_until:
            raise RegistryUnavailableError("the schema registry failed a moment ago")
        if now > self._begun + _BEGIN_SECONDS:
            self._fail("it is too slow")
        try:
            return request()
        except self._refusal as refusal:
            if refusal.http_status_code in (408, 429) or refusal.http_status_code >= 500:
                self._fail(_words(refusal), refusal)
            raise
        except Exception as error:  # noqa: BLE001 - its HTTP library's, or no JSON, or no such shape
            self._fail(type(error).__name__, error)

    def _fail(self, reason: str, error: Exception | None = None) -> NoReturn:
        self._paused_until = self._clock() + _PAUSE_SECONDS
        raise RegistryUnavailableError(f"no answer of the schema registry: {reason}") from error


def _put(cache: dict[int, Any], key: int, value: object) -> None:
    """Put into a bounded cache; the entry that was put first goes."""
    if len(cache) >= _MOST_IDS:
        del cache[next(iter(cache))]
    cache[key] = value


def _words(refusal: Any) -> str:  # noqa: ANN401 - an exception whose module is imported late
    return f"{refusal.http_status_code} {refusal.error_message}"[:_DETAIL_LENGTH]


def _address(urls: str) -> dict[str, str]:
    """Return the client's settings; user and password leave the URLs, which are logged."""
    parts = [urlsplit(url.strip()) for url in urls.split(",")]
    if any(part.scheme not in {"http", "https"} or not part.hostname for part in parts):
        raise ConfigurationError("VITALSTREAM_SCHEMA_REGISTRY_URL is not an http(s) URL")
    bare = [urlunsplit(part._replace(netloc=part.netloc.rpartition("@")[2])) for part in parts]
    config = {"url": ",".join(bare)}
    if parts[0].username:
        secret = f"{unquote(parts[0].username)}:{unquote(parts[0].password or '')}"
        config["basic.auth.user.info"] = secret
    return config
