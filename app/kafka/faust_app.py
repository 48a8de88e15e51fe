"""The Faust application of a process: safe settings, a seek-safe transport, a bounded stop."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any, cast

import faust
import structlog
from faust.tables.manager import TableManager

from app.errors import VitalstreamError
from app.kafka.lag import GROUPS
from app.kafka.seek_safe import SeekSafeTransport
from app.kafka.watchdog import Streaming, Watchdog
from app.settings import Settings

_log = structlog.get_logger(__name__)
STOP_SECONDS = 6.0
"""How long a process may take to stop before it is ended; unfinished work is redelivered."""


class DeploymentApp(faust.App):
    """A Faust application that knows its deployment and its consumer group."""

    def __init__(self, settings: Settings, name: str, **options: Any) -> None:  # noqa: ANN401 - Faust's
        super().__init__(settings.topic(name), **options)
        self.deployment = settings
        self.group = name


def make_faust_app(settings: Settings, name: str) -> DeploymentApp:
    """Return a Faust application with the settings that lose nothing.

    At-least-once delivery with effects that are idempotent; no topic is created by Faust; no web
    server; state in memory, recovered from changelogs; failures of a process are noticed within
    seconds.

    Parameters
    ----------
    settings : Settings
        The deployment.
    name : str
        Consumer group, one of :data:`app.kafka.lag.GROUPS`.
    """
    (settings.data_dir / "faust").mkdir(parents=True, exist_ok=True)
    app = DeploymentApp(
        settings,
        name,
        broker=f"kafka://{settings.bootstrap}",
        datadir=str(settings.data_dir / "faust"),
        store="memory://",
        processing_guarantee="at_least_once",
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.kafka_replication,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=16 << 20,
        broker_session_timeout=9.0,
        broker_heartbeat_interval=1.5,
        broker_commit_interval=1.0,
        broker_max_poll_records=500,
        broker_request_timeout=30.0,
        producer_request_timeout=30.0,
        producer_acks=-1,
        stream_buffer_maxsize=256,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        table_standby_replicas=0,
    )
    app.transport = SeekSafeTransport(app.conf.broker_consumer, app)
    return app


def streaming(app: faust.App) -> bool:
    """Return whether an application has its partitions and its state, and takes records."""
    if not app.started:
        return False
    recovery = cast("TableManager", app.tables).recovery
    return bool(recovery.completed.is_set()) and not app.rebalancing


def run_faust_app(
    app: DeploymentApp,
    *,
    before: Callable[[], Awaitable[None]],
    after: Callable[[], Awaitable[None]],
    waiting: Callable[[], str | None] = lambda: None,
) -> None:
    """Run a Faust application until a signal stops it or it fails; a watchdog looks after it.

    Parameters
    ----------
    app : DeploymentApp
        The application, its agents declared.
    before, after : coroutine functions
        What starts before it and stops after it. A signal interrupts ``before``; then the process
        ends without ``after``, for nothing was taken.
    waiting : callable, optional
        Returns why it is right to acknowledge nothing just now, or None. Called in the watchdog's
        thread.

    Raises
    ------
    VitalstreamError
        If the application crashed.
    """
    asyncio.run(_run(app, before, after, waiting))


async def _run(
    app: DeploymentApp,
    before: Callable[[], Awaitable[None]],
    after: Callable[[], Awaitable[None]],
    waiting: Callable[[], str | None],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_soon() -> None:
        stop.set()
        _end_within(STOP_SECONDS)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_soon)
    stopping = asyncio.ensure_future(stop.wait())
    if not await _begun(before, stopping):
        return
    watchdog = Watchdog(
        app.deployment, app.group,
        streaming=lambda: _streaming(app), waiting=waiting, ping=loop.call_soon_threadsafe,
    )  # fmt: skip
    watchdog.start()
    started = asyncio.ensure_future(app.start())
    crashed = asyncio.ensure_future(app._crashed.wait())  # noqa: SLF001 - Faust offers no other way
    await asyncio.wait({stopping, crashed, started}, return_when=asyncio.FIRST_COMPLETED)
    failure = started.exception() if started.done() and not started.cancelled() else None
    if failure is None:
        await asyncio.wait({stopping, crashed}, return_when=asyncio.FIRST_COMPLETED)
        failure = app.crash_reason
    if not stopping.done():
        _end_within(STOP_SECONDS)
    watchdog.stop()
    started.cancel()
    stopping.cancel()
    crashed.cancel()
    await app.stop()
    await after()
    if failure is not None:
        raise VitalstreamError(f"{app.conf.id} crashed: {failure!r}") from failure


async def _begun(before: Callable[[], Awaitable[None]], stopping: "asyncio.Future[Any]") -> bool:
    """Run what starts before the application; return False when a signal came first."""
    beginning: asyncio.Future[None] = asyncio.ensure_future(before())
    both: set[asyncio.Future[Any]] = {beginning, stopping}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if beginning.done():
        beginning.result()
        return True
    beginning.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await beginning
    return False


def _streaming(app: DeploymentApp) -> Streaming:
    """Return what an application says of itself; called in another thread."""
    if not app.started:
        return Streaming(frozenset(), settled=False)
    recovery = cast("TableManager", app.tables).recovery
    if not streaming(app):
        return Streaming(
            frozenset(),
            settled=False,
            # Copied in one go: the other thread may add to it meanwhile.
            settling=(app.rebalancing_count, tuple(recovery.active_offsets.values())),
        )
    sources = {app.deployment.topic(name) for name in GROUPS[app.group]}
    assigned = frozenset(
        (place.topic, place.partition)
        for place in tuple(app.consumer.assignment())
        if place.topic in sources
    )
    return Streaming(assigned, settled=True)


def _end_within(seconds: float) -> None:
    """End the process by force after a while: Faust may hang when it stops."""
    timer = threading.Timer(seconds, os._exit, args=(0,))
    timer.daemon = True
    timer.start()
