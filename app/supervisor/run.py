"""``up`` and ``demo``: the whole system from start to stop."""

import logging
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType

import structlog

from app.embedded.kafka import kafka_of
from app.security import mint_token
from app.settings import Settings
from app.supervisor.child import Child, how_it_ended
from app.supervisor.directory import OwnedDirectory
from app.supervisor.display import Display
from app.supervisor.rates import RatesReader
from app.supervisor.supervisor import Supervisor
from app.supervisor.system import System

SERVER_SECONDS, PROCESS_SECONDS, STOP_SECONDS = 90.0, 90.0, 9.0
_TICK_SECONDS = 0.2
_TOKEN_SECONDS = 600


def run_up(settings: Settings, workers: int) -> None:
    """Run the whole system until Ctrl-C or SIGTERM.

    Raises
    ------
    StartupError
        When a part cannot be started; everything that was started is stopped.
    ConfigurationError
        When settings do not fit.
    """
    with Display() as display, _running(settings, workers, display) as supervisor:
        _watch_forever(supervisor, settings, display)


def run_demo(settings: Settings, workers: int) -> None:
    """Run the whole system and replay the bundled recordings until Ctrl-C or SIGTERM.

    Raises
    ------
    StartupError, ConfigurationError
        As :func:`run_up` does.
    """
    with Display() as display, _running(settings, workers, display) as supervisor:
        supervisor.start(System(settings).replay("--demo", restarts=True))
        display.say("replaying recordings of real people, sped up")
        _watch_forever(supervisor, settings, display)


def run_demo_once(settings: Settings, workers: int) -> int:
    """Replay the bundled recordings once, print what ClickHouse holds, stop.

    Returns
    -------
    int
        0 when everything was stored and the ledger balances.

    Raises
    ------
    StartupError, ConfigurationError
        As :func:`run_up` does; also when the replay fails.
    """
    from app.replay import summary  # noqa: PLC0415  (only here)

    with Display() as display, _running(settings, workers, display) as supervisor:
        started = time.monotonic()
        [player] = supervisor.start(System(settings).replay("--once", "--bundled", restarts=False))
        with RatesReader(settings.gateway, lambda: _token(settings)) as reader:
            while (code := player.exit_code()) is None:
                _tick(supervisor, display, reader)
        if code != 0:
            raise player.failure(how_it_ended(code))
        display.stage("recordings replayed", time.monotonic() - started)
        display.pause()
        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(summary.run, settings)
            while not result.done():
                supervisor.tick()
                time.sleep(_TICK_SECONDS)
        return result.result()


@contextmanager
def _running(settings: Settings, workers: int, display: Display) -> Iterator[Supervisor]:
    """Start everything; stop everything when the block ends, however it ends."""
    # What went well is shown as a stage.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    system = System(settings, workers)
    with OwnedDirectory(settings.data_dir):
        system.check_ports()
        supervisor = Supervisor(settings.data_dir / "run", display.say)
        try:
            _start(system, supervisor, display)
            _announce(settings, display)
            yield supervisor
        finally:
            display.pause()
            display.say("stopping")
            started = time.monotonic()
            supervisor.stop(STOP_SECONDS)
            display.say(f"stopped in {time.monotonic() - started:.1f} s")


def _start(system: System, supervisor: Supervisor, display: Display) -> None:
    settings = system.settings

    def done(child: Child, seconds: float) -> None:
        display.stage(child.name, seconds, f"process {child.pid}")

    servers: list[Child] = []
    if settings.kafka_bootstrap is None:
        display.progress("starting Kafka")
        broker = kafka_of(settings, display.progress)
        servers += supervisor.start(system.kafka(broker))
    if settings.clickhouse_url is None:
        display.progress("starting Kafka and ClickHouse")
        servers += supervisor.start(system.clickhouse())
    supervisor.wait_ready(servers, SERVER_SECONDS, done)
    _make_topics_and_tables(settings, display)
    display.progress("starting sink, worker and gateway")
    # One group: both leave their consumer groups for seconds, and neither needs the other to.
    processes = supervisor.start(system.sink(), *system.all_workers())
    processes += supervisor.start(system.gateway())
    supervisor.wait_ready(processes, PROCESS_SECONDS, done)


def _make_topics_and_tables(settings: Settings, display: Display) -> None:
    from app.clickhouse.migrate import migrate  # noqa: PLC0415  (slow to import: not before Kafka)
    from app.kafka.admin import create_topics  # noqa: PLC0415

    started = time.monotonic()
    display.progress("creating topics and tables")
    topics = create_topics(settings)
    migrations = migrate(settings)
    detail = f"{len(topics)} topics created, {len(migrations)} migrations applied"
    display.stage("topics and tables", time.monotonic() - started, detail)


def _announce(settings: Settings, display: Display) -> None:
    display.say("")
    display.say(f"  page        {settings.gateway}/")
    display.say(f"  SQL         {settings.clickhouse}  (user {settings.clickhouse_reader})")
    display.say(f"  Kafka       {settings.bootstrap}")
    display.say(f"  logs        {settings.data_dir / 'log'}")
    display.say("  Ctrl-C stops everything")
    display.say("")


def _watch_forever(supervisor: Supervisor, settings: Settings, display: Display) -> None:
    try:
        with RatesReader(settings.gateway, lambda: _token(settings)) as reader:
            while True:
                _tick(supervisor, display, reader)
    except KeyboardInterrupt:
        return


def _tick(supervisor: Supervisor, display: Display, reader: RatesReader) -> None:
    supervisor.tick()
    display.rates(reader.latest)
    time.sleep(_TICK_SECONDS)


def _token(settings: Settings) -> str | None:
    """Return a token for the status line; none where tokens come from an external issuer."""
    if settings.auth_public_key is not None:
        return None
    return mint_token(settings, "supervisor", "admin", ttl_seconds=_TOKEN_SECONDS)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
