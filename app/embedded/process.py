"""Child processes that cannot outlive their parent, and the last lines of what they wrote."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

_GUARD = Path(__file__).with_name("guard.py")


class Deadline:
    """One point in time that several waits share, so that their sum is bounded.

    Parameters
    ----------
    seconds
        How far ahead the deadline lies.
    """

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.remaining <= 0


class _Spawner:
    """Starts every child from one thread that lives as long as the process.

    Linux kills a child with the *thread* that started it; a child started from a short-lived
    thread would be killed when that thread returns.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="spawner", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._work.get()()

    def call(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Run ``start`` in the spawner's thread and return or raise what it does."""
        outcome: queue.SimpleQueue[subprocess.Popen[bytes] | OSError] = queue.SimpleQueue()

        def run() -> None:
            try:
                outcome.put(start())
            except OSError as error:
                outcome.put(error)

        self._work.put(run)
        result = outcome.get()
        if isinstance(result, OSError):
            raise result
        return result


@cache
def _spawner() -> _Spawner:
    return _Spawner()


def spawn(
    command: Sequence[str],
    *,
    output: IO[bytes] | int,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own; on Linux it dies with this process.

    Parameters
    ----------
    command
        Program and arguments; the program is looked up on ``PATH``.
    output
        Where its standard output and error go.
    env
        Its whole environment; by default this process's own.
    cwd
        Its working directory.

    Returns
    -------
    subprocess.Popen
        The process; its id is that of ``command`` itself, no shell or wrapper stays between.

    Raises
    ------
    OSError
        When no process can be started. A program that does not exist shows as exit code 127.
    """
    guarded = [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), *command]
    return _spawner().call(
        lambda: subprocess.Popen(
            guarded,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    )


def stop(process: subprocess.Popen[bytes], deadline: Deadline) -> int:
    """Ask ``process`` to end (SIGTERM); at the deadline kill its whole group.

    Returns
    -------
    int
        Its exit code; negative: the signal that ended it.
    """
    if process.poll() is None:
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(deadline.remaining)
    kill(process)
    return process.wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and whatever it started in its session; a dead one is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_lines(path: Path, count: int = 15, span: int = 16_384) -> list[str]:
    """Return the last non-empty lines of a log, reading at most ``span`` bytes of it."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - span))
            text = file.read(span).decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()][-count:]
