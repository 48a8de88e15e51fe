"""A small disk of ClickHouse's own that can really be full, without any privilege.

A process of the suite holds a user and a mount namespace in which a file system of memory lies
over the directory. The server is started inside; the suite fills the disk from outside.
"""

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.embedded.process import Deadline, kill, spawn

_SIZE: Final = 256 << 20
_BLOCK: Final = 64 << 10
_TOOLS: Final = ("unshare", "nsenter", "mount", "sleep")
_START_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02


class SmallDisk:
    """A file system of 256 MiB over a directory, seen only by processes that are started inside.

    Parameters
    ----------
    directory : Path
        Made when missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._holder: subprocess.Popen[bytes] | None = None

    def mount(self) -> bool:
        """Make the disk; return False where this system does not let users do so."""
        if not all(map(shutil.which, _TOOLS)):
            return False
        self._directory.mkdir(parents=True, exist_ok=True)
        script = f'mount -t tmpfs -o size={_SIZE},mode=0700 tmpfs "$0" && exec sleep infinity'
        self._holder = spawn(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script,
             str(self._directory)],
            output=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = Deadline(_START_SECONDS)
        while not self._mounted():
            if self._holder.poll() is not None or deadline.passed:
                self.close()
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def inside(self, command: list[str]) -> list[str]:
        """Return a command that runs another one where the disk is."""
        assert self._holder is not None, "mounted before it is used"  # noqa: S101
        return ["nsenter", f"--target={self._holder.pid}", "--user", "--mount",
                "--preserve-credentials", f"--wd={Path.cwd()}", "--", *command]  # fmt: skip

    def fill(self, leave: int, most: int) -> None:
        """Take space until ``leave`` bytes are left, but at most ``most`` bytes now.

        Raises
        ------
        OSError
            If the disk is gone.
        """
        with self._filler.open("ab", buffering=0) as file:
            while most > 0 and (free := self.free_bytes()) > leave:
                block = bytes(min(_BLOCK, free - leave, most))
                try:
                    most -= file.write(block)
                except OSError:  # somebody else took the last of it
                    return

    def release(self, size: int) -> None:
        """Give back ``size`` bytes of what was taken, or all of it if that is less."""
        with suppress(FileNotFoundError):
            os.truncate(self._filler, max(0, self._filler.stat().st_size - size))

    def empty(self) -> None:
        """Give back what was taken."""
        with suppress(FileNotFoundError):
            self._filler.unlink()

    def free_bytes(self) -> int:
        """Return how much is free."""
        disk = os.statvfs(self._seen)
        return disk.f_bavail * disk.f_frsize

    def save(self) -> None:
        """Copy what is on the disk into the directory below it, where it outlives the disk."""
        if self._holder is not None and self._mounted():
            shutil.copytree(self._seen, self._directory, dirs_exist_ok=True, symlinks=True)

    def close(self) -> None:
        """Let go of the disk, and with it of everything on it."""
        holder, self._holder = self._holder, None
        if holder is not None:
            kill(holder)

    @property
    def _seen(self) -> Path:
        """The disk as it is seen from outside."""
        assert self._holder is not None, "mounted before it is used"  # noqa: S101
        return Path(f"/proc/{self._holder.pid}/root{self._directory}")

    @property
    def _filler(self) -> Path:
        return self._seen / "filler"

    def _mounted(self) -> bool:
        with suppress(OSError):
            return self._seen.stat().st_dev != self._directory.stat().st_dev
        return False
