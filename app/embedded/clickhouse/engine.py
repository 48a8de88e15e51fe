"""The chdb engine in this process, opened on its directory.

Every request gets a session of its own: settings and the current database never leak from one to
the next.
"""

import faulthandler
import os
import signal
import threading
import time
from typing import Any

from app.embedded.clickhouse.session import Handle, engine_errors, quote
from app.embedded.clickhouse.storage import FILESYSTEM_DATABASE, Storage
from app.errors import ServerFailedError

# The engine's own handlers hang the process on a crash instead of ending it.
_CRASH_SIGNALS = (
    "SIGSEGV",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGILL",
    "SIGTRAP",
    "SIGSYS",
    "SIGTSTP",
)
# Where the engine's own defaults are not a server's.
SERVER_DEFAULTS = {
    "async_insert": "0",
    "implicit_select": "0",
    "allow_introspection_functions": "0",
}


class Engine:
    """The engine, opened on its storage.

    Parameters
    ----------
    storage
        Its directory, locked by this process.

    Raises
    ------
    ServerFailedError
        When the engine does not open the directory.
    """

    def __init__(self, storage: Storage) -> None:
        os.environ["TZ"] = "UTC"
        time.tzset()
        os.environ["TMPDIR"] = str(storage.scratch)
        os.chdir(storage.working)  # relative paths below: any character may be in the absolute ones
        from chdb import _chdb  # noqa: PLC0415  (importing it already starts threads)

        self._chdb: Any = _chdb
        options = f"config-file=../config.xml&default_database={FILESYSTEM_DATABASE}"
        try:
            self._admin = Handle(self._chdb.connect(f"../engine?{options}"))
        except RuntimeError as error:
            raise ServerFailedError(f"ClickHouse cannot open {storage.engine}: {error}") from error
        for name in _CRASH_SIGNALS:
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        faulthandler.enable()
        self._admin_lock = threading.Lock()
        self.ask(f"DROP DATABASE IF EXISTS {FILESYSTEM_DATABASE}")
        self.version = self.ask("SELECT version()")
        self.timezone = self.ask("SELECT timezone()")

    def ask(self, sql: str) -> str:
        """Run a statement of the server's own and return its result as tab-separated text."""
        with self._admin_lock:
            data, _ = self._admin.query(sql, "TabSeparatedRaw", {})
        return data.decode().rstrip("\n")

    def open(self) -> Handle:
        """Open a session; the caller closes it."""
        with engine_errors():
            return Handle(self._chdb.connect("../engine"))

    def kill(self, tag: str | None = None) -> None:
        """Ask the queries whose ``log_comment`` is ``tag`` to stop; without one, all of them."""
        mine = f"Settings['log_comment'] = {quote(tag)}" if tag else "Settings['log_comment'] != ''"
        self.ask(f"KILL QUERY WHERE {mine} ASYNC")

    def close(self) -> None:
        """Shut the engine down; every other handle must be closed."""
        self._admin.close()
