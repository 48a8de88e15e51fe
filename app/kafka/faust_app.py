"""The Faust application of a process: safe settings, a seek-safe transport, a bounded stop."""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import cast

import faust
import structlog
from faust.tables.manager import TableManager

from app.errors import VitalstreamError
from app.kafka.seek_safe import SeekSafeTransport
from app.settings import Settings

_log = structlog.get_logger(__name__)
STOP_SECONDS = 6.0
"""How long a process may take to stop before it is ended; unfinished work is redelivered."""


def make_faust_app(settings: Settings, name: str) -> faust.App:
    """Return a Faust application with the settings that lose nothing.

    At-least-once delivery with effects that are idempotent; no topic is created by Faust; no web
    server; state in memory, recovered from changelogs; failures of a process are noticed within
    seconds.

    Parameters
    ----------
    settings : Settings
        The deployment.
    name : str
        Consumer group, for example ``schemas.topics.WORKER``.
    """
    app = faust.App(
        settings.topic(name),
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
        broker_session_timeout=12.0,
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
    app: faust.App, *, before: Callable[[], Awaitable[None]], after: Callable[[], Awaitable[None]]
) -> None:
    """Run a Faust application until a signal stops it or it fails.

    Parameters
    ----------
    app : faust.App
        The application, its agents declared.
    before, after : coroutine functions
        What starts before it and stops after it.

    Raises
    ------
    VitalstreamError
        If the application crashed.
    """
    asyncio.run(_run(app, before, after))


async def _run(
    app: faust.App, before: Callable[[], Awaitable[None]], after: Callable[[], Awaitable[None]]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_soon() -> None:
        stop.set()
        _end_within(STOP_SECONDS)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_soon)
    await before()
    started = asyncio.ensure_future(app.start())
    stopping = asyncio.ensure_future(stop.wait())
    crashed = asyncio.ensure_future(app._crashed.wait())  # noqa: SLF001 - Faust offers no other way
    await asyncio.wait({stopping, crashed}, return_when=asyncio.FIRST_COMPLETED)
    if crashed.done():
        _end_within(STOP_SECONDS)
    failure = app.crash_reason
    started.cancel()
    stopping.cancel()
    crashed.cancel()
    await app.stop()
    await after()
    if failure is not None:
        raise VitalstreamError(f"{app.conf.id} crashed: {failure!r}") from failure


def _end_within(seconds: float) -> None:
    """End the process by force after a while: Faust may hang when it stops."""
    timer = threading.Timer(seconds, os._exit, args=(0,))
    timer.daemon = True
    timer.start()
