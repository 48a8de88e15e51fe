"""Processes that are measured: on cores of their own, their CPU time and memory readable."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from app.embedded.process import Deadline, kill, last_lines, spawn, stop
from app.errors import ConfigurationError, ServerFailedError

_PIN = Path(__file__).with_name("pin.py")
_LINES_TOLD = 12


class Cores:
    """Which cores run what is measured, and which run all else.

    The last core that this process may use is for what is measured; the broker, load and this
    process share the others. With one core alone everything shares it.

    Raises
    ------
    ConfigurationError
        Where the operating system cannot pin processes and has no ``/proc``: not on Linux.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise ConfigurationError("benchmarks pin processes and read /proc: they need Linux")
        usable = sorted(os.sched_getaffinity(0))
        self.measured = frozenset(usable[-1:])
        self.others = frozenset(usable[:-1] or usable)

    @property
    def separate(self) -> bool:
        """Whether what is measured has a core of its own."""
        return not self.measured & self.others


def pin(pid: int, cores: Iterable[int]) -> None:
    """Pin a running process: every thread that it has, and so those that it starts."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # a thread that ended meanwhile
            os.sched_setaffinity(int(task.name), set(cores))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, user and system, all its threads.

    Raises
    ------
    FileNotFoundError
        If there is no such process.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int, field: str) -> int:
    """Return a size from ``/proc/PID/status``: ``VmRSS`` now, ``VmHWM`` at the highest.

    Raises
    ------
    FileNotFoundError
        If there is no such process.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


class MeasuredProcess:
    """One process, pinned; it dies with this one.

    Parameters
    ----------
    name : str
        For messages.
    command : sequence of str
        Program and arguments.
    cores : iterable of int
        Where it may run.
    log : pathlib.Path
        Where its output goes.
    env : mapping of str to str, optional
        Its whole environment; by default this process's own.
    cwd : pathlib.Path, optional
        Its working directory.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        cores: Iterable[int],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._name, self._log = name, log
        listed = ",".join(map(str, sorted(cores)))
        pinned = [sys.executable, "-I", "-S", str(_PIN), listed, *command]
        with log.open("ab") as output:
            self._process: subprocess.Popen[bytes] = spawn(pinned, output=output, env=env, cwd=cwd)

    @property
    def pid(self) -> int:
        """Process id of the command itself."""
        return self._process.pid

    def cpu_seconds(self) -> float:
        """Return its CPU time so far.

        Raises
        ------
        ServerFailedError
            If it has ended.
        """
        self.check()
        return cpu_seconds(self.pid)

    def rss_bytes(self) -> int:
        """Return the memory that it holds now."""
        self.check()
        return memory_bytes(self.pid, "VmRSS")

    def peak_rss_bytes(self) -> int:
        """Return the most memory that it held at once."""
        self.check()
        return memory_bytes(self.pid, "VmHWM")

    def check(self) -> None:
        """Check that it runs.

        Raises
        ------
        ServerFailedError
            If it has ended; carries its own last lines.
        """
        if (code := self._process.poll()) is not None:
            raise self.failure(f"ended with code {code}")

    def failure(self, what: str) -> ServerFailedError:
        """Return an error that explains itself with the process's last lines."""
        told = "\n  ".join(last_lines(self._log)[-_LINES_TOLD:]) or "(it wrote nothing)"
        return ServerFailedError(f"{self._name} {what}; its last lines:\n  {told}")

    def stop(self, seconds: float = 10.0) -> None:
        """Ask it to end; kill it when it does not in time."""
        stop(self._process, Deadline(seconds))

    def kill(self) -> None:
        """End it with SIGKILL."""
        kill(self._process)


class Together:
    """Several processes that are measured as one.

    Parameters
    ----------
    members : sequence of MeasuredProcess
        At least one.
    """

    def __init__(self, members: Sequence[MeasuredProcess]) -> None:
        self._members = members

    def cpu_seconds(self) -> float:
        """Return the CPU time of all.

        Raises
        ------
        ServerFailedError
            If one has ended.
        """
        return sum(member.cpu_seconds() for member in self._members)

    def failure(self, what: str) -> ServerFailedError:
        """Return an error with the last lines of the first."""
        return self._members[0].failure(what)
