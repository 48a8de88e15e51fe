"""The parts of a gateway, made when its event loop runs and stopped with it."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry

from app.clickhouse.client import ClickHouse, reader
from app.gateway.broker import Broker
from app.gateway.clock import Clock
from app.gateway.coalescer import Coalescer
from app.gateway.intake import Intake
from app.gateway.limits import Budget, TokenBuckets
from app.gateway.people import SUBJECT, People, Record
from app.gateway.statuses import StatusCache
from app.gateway.tail import TopicTail
from app.kafka.clients import ConfirmedProducer
from app.kafka.schema_ids import codec_for
from app.metrics import GatewayMetrics
from app.security import TokenVerifier
from app.settings import Settings
from schemas import statuses
from schemas.codec import Codec
from schemas.topics import DAY_MS, UPLOAD_STATUS, USER_SETTINGS

STATUSES_SINCE_MS: Final = DAY_MS
"""How far back the statuses are read at start; older ones are looked up in ClickHouse."""


@dataclass(slots=True)
class Services:
    """What handlers work with.

    ``streams`` holds a function for each open ingest WebSocket that ends it in good order;
    ``stopping`` says that no more uploads are taken.
    """

    settings: Settings
    codec: Codec
    registry: CollectorRegistry
    metrics: GatewayMetrics
    verifier: TokenVerifier
    limiter: TokenBuckets
    bodies: Budget
    clickhouse: ClickHouse
    broker: Broker
    producer: ConfirmedProducer
    cache: StatusCache
    coalescer: Coalescer
    intake: Intake
    people: People
    status_tail: TopicTail[statuses.StatusBatch]
    people_tail: TopicTail[Record]
    streams: set[Callable[[], None]] = field(default_factory=set)
    stopping: bool = False


SERVICES: Final = web.AppKey("services", Services)


def create(settings: Settings, registry: CollectorRegistry) -> Services:
    """Make the parts; within the event loop that will run them. Metrics go into ``registry``.

    Raises
    ------
    ConfigurationError
        If the key that verifies tokens cannot be loaded.
    """
    metrics = GatewayMetrics(registry)
    codec, clock = codec_for(settings), Clock()
    verifier = TokenVerifier(settings)
    limiter = TokenBuckets(settings.rate_limit_per_second)
    bodies = Budget(settings.max_bodies_bytes)
    metrics.verified_tokens.set_function(verifier.__len__)
    metrics.senders.set_function(limiter.__len__)
    metrics.body_bytes.set_function(lambda: bodies.held)
    producer = ConfirmedProducer(settings)
    broker = Broker(settings, metrics.kafka_up.set)
    cache = StatusCache(settings.status_cache_uploads, metrics.status_cache_uploads.set)
    coalescer = Coalescer(
        settings,
        codec=codec,
        producer=producer,
        broker=broker,
        cache=cache,
        metrics=metrics,
        clock=clock,
    )
    people = People(
        settings, codec=codec, producer=producer, clock=clock, on_size=metrics.user_settings.set
    )

    def apply_statuses(batches: list[statuses.StatusBatch]) -> None:
        for batch in batches:
            cache.apply(batch)

    def person(value: bytes) -> dict[str, Any]:
        return codec.decode(SUBJECT, value)

    def status(value: bytes) -> statuses.StatusBatch:
        return statuses.decode(value, codec)

    return Services(
        settings=settings,
        codec=codec,
        registry=registry,
        metrics=metrics,
        verifier=verifier,
        limiter=limiter,
        bodies=bodies,
        clickhouse=reader(settings),
        broker=broker,
        producer=producer,
        cache=cache,
        coalescer=coalescer,
        intake=Intake(settings, coalescer=coalescer, cache=cache, clock=clock),
        people=people,
        status_tail=TopicTail(
            settings,
            UPLOAD_STATUS,
            decode=status,
            handle=apply_statuses,
            undecodable=metrics.undecodable.labels(UPLOAD_STATUS).inc,
            since_ms=int(time.time() * 1000) - STATUSES_SINCE_MS,
            known=coalescer.announced,
        ),
        people_tail=TopicTail(
            settings,
            USER_SETTINGS,
            decode=person,
            handle=people.apply,
            undecodable=metrics.undecodable.labels(USER_SETTINGS).inc,
        ),
    )


async def run(services: Services) -> AsyncIterator[None]:
    """Start the parts; after the ``yield`` finish what was taken, and stop them."""
    services.broker.start()
    services.status_tail.start()
    services.people_tail.start()
    yield
    await services.coalescer.drain()
    await services.status_tail.stop()
    await services.people_tail.stop()
    await services.broker.stop()
    await services.producer.close()
    services.clickhouse.close()
