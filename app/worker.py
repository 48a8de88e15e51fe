"""The worker process: the Faust application that applies uploads to people's states."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from agents.retries import RetryForwarder
from agents.step import Counts
from agents.uploads import UploadsAgent
from app.kafka.clients import ConfirmedProducer
from app.kafka.compacted import CompactedReader
from app.kafka.dead_ratio import DeadRatio
from app.kafka.faust_app import make_faust_app, run_faust_app, streaming
from app.kafka.schema_ids import codec_for
from app.logs import configure
from app.memory import keep_large_blocks
from app.metrics import WorkerMetrics, new_registry
from app.ops_server import OpsServer
from app.settings import Settings
from schemas.codec import Codec
from schemas.topics import USER_SETTINGS, WORKER
from tables.days import Calendar, zone

CONFIRM_SECONDS = 60.0
"""How long a step waits for the broker before the worker gives up and is started again."""


class Calendars:
    """The days of all people who have set a time zone, from topic ``user-settings``."""

    def __init__(self, settings: Settings, codec: Codec, on_size: Callable[[int], None]) -> None:
        zone(settings.default_time_zone)  # a name that does not exist stops the start
        self._default = Calendar.of_zone(settings.default_time_zone)
        self._codec = codec
        self._on_size = on_size
        self._known: dict[str, Calendar] = {}
        self._changed: set[str] = set()
        self._lock = threading.Lock()
        self.reader = CompactedReader(settings, USER_SETTINGS, self._take)

    def of(self, user_id: str) -> Calendar:
        """Return a person's days."""
        return self._known.get(user_id, self._default)

    def changed(self) -> Sequence[str]:
        """Return the people whose days have changed since this was last asked."""
        if not self._changed:
            return ()
        with self._lock:
            changed, self._changed = self._changed, set()
        return sorted(changed)

    def _take(self, key: bytes, value: bytes | None) -> None:
        user_id = key.decode()
        if value is None:
            self._known.pop(user_id, None)
        else:
            zones = self._codec.decode("user_settings", value)["zones"]
            for one in zones:
                zone(one["zone"])
            history = [(one["since_ms"], one["zone"]) for one in zones]
            self._known[user_id] = Calendar.of_history(history) if history else self._default
        with self._lock:
            self._changed.add(user_id)
        self._on_size(len(self._known))


class Worker:
    """A worker: its agents, its metrics and what runs beside them."""

    def __init__(self, settings: Settings) -> None:
        codec = codec_for(settings)
        registry = new_registry()
        self._settings = settings
        self._metrics = WorkerMetrics(registry)
        self._calendars = Calendars(settings, codec, self._metrics.people_with_zone.set)
        self._retries = RetryForwarder(settings, self._metrics.forwarded)
        self._producer: ConfirmedProducer | None = None
        self._dead_ratio = DeadRatio(settings, WORKER, self._confirmed)
        self.app = make_faust_app(settings, WORKER)
        self._agent = UploadsAgent(
            self.app,
            settings,
            codec=codec,
            calendar_of=self._calendars.of,
            changed_calendars=self._calendars.changed,
            producer=self._confirmed,
            dead_ratio=self._dead_ratio,
            on_step=self._note,
            on_flush=self._metrics.flushed,
        )
        self._ops = OpsServer(settings.metrics_port, registry, self._ready, host=settings.host)

    async def start(self) -> None:
        """Start what the agents need: it runs before the first record is taken."""
        self._producer = ConfirmedProducer(self._settings, delivery_seconds=CONFIRM_SECONDS)
        await self._ops.start()
        self._calendars.reader.start()
        await asyncio.to_thread(self._calendars.reader.caught_up.wait, 60)
        self._retries.start()
        await self._dead_ratio.wait_until_released()

    async def stop(self) -> None:
        """Stop what was started."""
        await asyncio.to_thread(self._retries.stop)
        await asyncio.to_thread(self._calendars.reader.stop)
        await self._confirmed().close(1)
        await self._ops.stop()

    def _confirmed(self) -> ConfirmedProducer:
        assert self._producer is not None, "the producer starts before the agents"  # noqa: S101
        return self._producer

    def _ready(self) -> tuple[bool, dict[str, Any]]:
        streams = streaming(self.app)
        checks = {
            "user_settings_read": self._calendars.reader.caught_up.is_set(),
            "streaming": streams,
            "state_read": streams and self._agent.ready(),
        }
        ready = all(checks.values()) and not self._dead_ratio.held
        return ready, checks | {"dead_letters": self._dead_ratio.health()}

    def _note(self, counts: Counts, seconds: float) -> None:
        self._metrics.step(asdict(counts), seconds)
        state = self._agent.state
        self._metrics.people.set(len(state))
        self._metrics.series.set(state.series_count)
        self._metrics.sample_pages.set(state.pool.pages_used)
        self._metrics.busy_series.set(len(state.active))
        self._metrics.expired_records.set(self._agent.guard.expired)


def serve(settings: Settings) -> None:
    """Run a worker until it is told to stop.

    Raises
    ------
    ConfigurationError
        If a setting is wrong.
    VitalstreamError
        If the worker crashed; nothing unfinished has been acknowledged.
    """
    configure(settings, f"worker-{settings.worker_id}")
    keep_large_blocks()
    worker = Worker(settings)
    run_faust_app(worker.app, before=worker.start, after=worker.stop)
