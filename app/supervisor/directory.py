"""The data directory belongs to one instance at a time."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from app.errors import ConfigurationError, DataDirectoryInUseError


class OwnedDirectory:
    """Owns a data directory while the ``with`` block runs.

    The lock is the kernel's and ends with the process, however that ends; the process id in
    ``run/supervisor.pid`` is there to be read.

    Parameters
    ----------
    path
        The data directory; made when missing.

    Raises
    ------
    DataDirectoryInUseError
        On entry, when another instance owns it; names that one's process id.
    ConfigurationError
        On entry, when it cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pid_path = path / "run" / "supervisor.pid"
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            for name in ("run", "log"):
                (self._path / name).mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._pid_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigurationError(
                f"the data directory {self._path} cannot be used ({error.strerror}); "
                "set VITALSTREAM_DATA_DIR (--data-dir) to another one"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(self._descriptor, 32).decode().strip() or "unknown"
            os.close(self._descriptor)
            raise DataDirectoryInUseError(
                f"the data directory {self._path} is in use by process {owner}; stop that one, or "
                "choose another with --data-dir and other ports with --port-offset"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pid_path.unlink(missing_ok=True)
        os.close(self._descriptor)
