"""The sink process: a Faust application of a consumer group of its own.

When ClickHouse is away its partitions stand still, and nothing else does.
"""

from typing import Any

from faust.types import TP

from agents import (
    store_alerts,
    store_dead_letters,
    store_rejected,
    store_samples,
    store_statuses,
    store_windows,
)
from agents.store import SinkParts
from app.clickhouse.client import writer
from app.kafka.clients import ConfirmedProducer
from app.kafka.dead_ratio import DeadRatio
from app.kafka.faust_app import make_faust_app, run_faust_app
from app.kafka.guard import OffsetGuard
from app.kafka.schema_ids import codec_for
from app.logs import configure
from app.metrics import SinkMetrics, new_registry
from app.ops_server import OpsServer
from app.settings import Settings
from app.sink.backfill import Backfill
from app.sink.store import Store
from schemas.topics import SAMPLES, SINK

CONFIRM_SECONDS = 60.0
"""How long a step waits for the broker before the sink gives up and is started again."""
_AGENTS = (
    store_samples,
    store_windows,
    store_alerts,
    store_rejected,
    store_statuses,
    store_dead_letters,
)


class Sink:
    """A sink: its agents, its metrics and what runs beside them."""

    def __init__(self, settings: Settings) -> None:
        registry = new_registry()
        codec = codec_for(settings)
        metrics = SinkMetrics(registry)
        self._settings = settings
        self._producer: ConfirmedProducer | None = None
        self.app = make_faust_app(settings, SINK)
        database = writer(settings)
        self._store = Store(database, metrics, codec)
        self._runs_backfill = False
        self._backfill = Backfill(database, settings, metrics, lambda: self._runs_backfill)
        self._guard = OffsetGuard(settings, SINK)
        self._dead_ratio = DeadRatio(settings, SINK, self._confirmed)
        parts = SinkParts(
            self.app, settings, codec, self._store, self._guard, metrics, self._confirmed,
            self._dead_ratio,
        )  # fmt: skip
        for agent in _AGENTS:
            agent.declare(parts)
        self.app.on_rebalance_complete.connect(self._forget)
        self.app.on_partitions_assigned.connect(self._assigned)
        self.app.on_partitions_revoked.connect(self._revoked)
        self._ops = OpsServer(settings.metrics_port, registry, self._ready, host=settings.host)

    async def start(self) -> None:
        """Start what the agents need: it runs before the first record is taken."""
        self._producer = ConfirmedProducer(self._settings, delivery_seconds=CONFIRM_SECONDS)
        await self._ops.start()
        await self._dead_ratio.wait_until_released()
        self._backfill.start()

    async def stop(self) -> None:
        """Stop what was started."""
        await self._backfill.stop()
        await self._confirmed().close(1)
        await self._ops.stop()
        self._store.close()

    def trouble(self) -> str | None:
        """Return why ClickHouse did not do what it was last asked; None when it did."""
        return self._store.trouble

    def _confirmed(self) -> ConfirmedProducer:
        assert self._producer is not None, "the producer starts before the agents"  # noqa: S101
        return self._producer

    def _ready(self) -> tuple[bool, dict[str, Any]]:
        checks = {
            "partitions_assigned": self.app.started and bool(self.app.consumer.assignment()),
            "rebalancing": bool(self.app.rebalancing),
            "clickhouse": self._store.trouble or "ok",
        }
        ready = checks["partitions_assigned"] and not checks["rebalancing"]
        ready = ready and self._store.trouble is None and not self._dead_ratio.held
        return bool(ready), checks | {"dead_letters": self._dead_ratio.health()}

    async def _assigned(self, *sent: Any, **_: object) -> None:  # noqa: ANN401 - Faust's own
        self._runs_backfill = TP(self._settings.topic(SAMPLES), 0) in sent[-1]

    async def _revoked(self, *_: object, **__: object) -> None:
        self._runs_backfill = False

    async def _forget(self, *_: object, **__: object) -> None:
        # Another sink may have read on meanwhile; the committed offsets tell.
        self._guard.forget()


def run(settings: Settings) -> None:
    """Run a sink until it is told to stop; see :func:`app.sink.serve`."""
    configure(settings, "sink")
    sink = Sink(settings)
    run_faust_app(sink.app, before=sink.start, after=sink.stop, waiting=sink.trouble)
