"""The server's process: from the lock on its directory to a clean stop."""

import asyncio
import contextlib
import logging
import os
import signal
import socket

from aiohttp import web

from app.embedded.clickhouse import sandbox
from app.embedded.clickhouse.auth import Authenticator
from app.embedded.clickhouse.engine import Engine
from app.embedded.clickhouse.http import Interface
from app.embedded.clickhouse.policy import Policy
from app.embedded.clickhouse.storage import prepare
from app.embedded.clickhouse.work import Server
from app.errors import PortInUseError
from app.secret_files import CLICKHOUSE_WRITER_PASSWORD, ensure_secret
from app.settings import Settings

_log = logging.getLogger(__name__)
_FINISH_SECONDS = 2.0  # for requests that run when the stop is asked for
_STOP_SECONDS = 2.0  # for the engine, after them
_URL_BYTES = 256 * 1024  # parameters travel in the URL


def serve(settings: Settings) -> None:
    """Serve ``DATA_DIR/clickhouse`` until SIGTERM or SIGINT; then stop within five seconds.

    The process is the server's alone: working directory, time zone, signal handlers and, where the
    kernel can, its access to files and network are changed for good.

    Parameters
    ----------
    settings
        Address, accounts, limits and the data directory.

    Raises
    ------
    DataDirectoryInUseError
        When another process serves the directory.
    PortInUseError
        When the address is taken.
    ServerFailedError
        When the engine does not open the directory.
    """
    password = _writer_password(settings)
    os.umask(0o077)
    storage = prepare(settings.data_dir, settings.clickhouse_memory_mb)
    listener = _listen(settings.host, settings.clickhouse_port + settings.port_offset)
    sandbox.enter(storage.root)
    engine = Engine(storage)
    server = Server(engine, Policy(settings))
    asyncio.run(_run(server, Authenticator(settings, password), listener))


def _writer_password(settings: Settings) -> str:
    if settings.clickhouse_password is not None:
        return settings.clickhouse_password.get_secret_value()
    return ensure_secret(settings.data_dir, CLICKHOUSE_WRITER_PASSWORD)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        message = (
            f"ClickHouse cannot listen on {host}:{port} ({error.strerror}); set "
            "VITALSTREAM_CLICKHOUSE_PORT to a free port, or VITALSTREAM_PORT_OFFSET "
            "(--port-offset) to move every port"
        )
        raise PortInUseError(message) from error
    return listener


async def _run(server: Server, authenticator: Authenticator, listener: socket.socket) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    interface = Interface(server, authenticator)
    runner = web.AppRunner(
        interface.application(),
        access_log=None,  # URLs carry statements, and passwords of careless clients
        handler_cancellation=True,
        auto_decompress=False,
        shutdown_timeout=_FINISH_SECONDS,
        max_line_size=_URL_BYTES,
    )
    await runner.setup()
    await web.SockSite(runner, listener).start()
    host, port = listener.getsockname()[:2]
    _log.info("ClickHouse %s listens on %s:%d", server.engine.version, host, port)
    await stopping.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FINISH_SECONDS + 1):
            await runner.cleanup()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await interface.stop()
            await asyncio.to_thread(server.engine.close)
    except TimeoutError:
        _log.warning("ClickHouse did not stop in time and is ended")
        # What has been answered is on disk; leaving by the normal way would wait for the threads.
        os._exit(0)
    _log.info("ClickHouse stopped")
