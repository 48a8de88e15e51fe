"""One supervised process: its files, its start, its end."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.embedded.process import Deadline, kill, last_lines, spawn, stop
from app.errors import ServerFailedError
from app.supervisor.backoff import Backoff

LOG_BYTES = 10 << 20
_ENV = {"PYTHONUNBUFFERED": "1"}  # what a child says last must reach its log


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is to be run.

    Attributes
    ----------
    name
        Its pid file is ``run/NAME.pid``.
    command
        Returns program and arguments; called at every start.
    ready
        Says whether it serves; quick, and never raises.
    log
        Where it says what it does.
    output
        Where its standard output goes; by default ``log``.
    env
        What its environment has beyond this process's own.
    restarts
        Whether it is started again when it ends.
    """

    name: str
    command: Callable[[], list[str]]
    log: Path
    ready: Callable[[], bool] = lambda: True
    output: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    restarts: bool = True


def how_it_ended(code: int) -> str:
    """Say in words what the exit code of a process means."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


class Child:
    """A program and its current process.

    Parameters
    ----------
    program
        What to run.
    run_dir
        Directory of pid files.
    backoff
        Delays between restarts.
    """

    def __init__(self, program: Program, run_dir: Path, backoff: Backoff) -> None:
        self.program = program
        self.restart_at: float | None = None
        self._backoff = backoff
        self._pid_path = run_dir / f"{program.name}.pid"
        self._output = program.output or program.log
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    @property
    def name(self) -> str:
        """The program's name."""
        return self.program.name

    @property
    def pid(self) -> int | None:
        """Process id; ``None`` when there is no process."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process; does not wait until it is ready.

        Raises
        ------
        VitalstreamError
            What the program's command raises: a port in use, an archive that is missing.
        """
        self.restart_at = None
        command = self.program.command()
        self.bound_log()
        with self._output.open("ab") as output:
            self._process = spawn(
                command, output=output, env={**os.environ, **_ENV, **self.program.env}
            )
        self._started_at = time.monotonic()
        draft = self._pid_path.with_suffix(".new")
        draft.write_text(f"{self._process.pid}\n")
        draft.replace(self._pid_path)

    def exit_code(self) -> int | None:
        """Return the exit code of a process that ended; ``None`` while it runs or never ran."""
        return None if self._process is None else self._process.poll()

    def plan_restart(self) -> float:
        """Note when to start it again; return the delay in seconds."""
        now = time.monotonic()
        ran = now - self._started_at if self._process is not None else 0.0
        self._process = None
        delay = self._backoff.after(ran)
        self.restart_at = now + delay
        return delay

    def why(self, code: int) -> str:
        """Say how it ended, with the last line of its log."""
        said = last_lines(self.program.log, 1)
        return f"{self.name} {how_it_ended(code)}" + (
            f"; it last wrote: {said[0][:300]}" if said else ""
        )

    def failure(self, what: str) -> ServerFailedError:
        """Return an error that carries the last lines of its log."""
        told = "\n  ".join(last_lines(self.program.log) or last_lines(self._output))
        return ServerFailedError(
            f"{self.name} {what}; its last lines:\n  {told or '(none)'}\nmore in {self.program.log}"
        )

    def bound_log(self) -> None:
        """Move a log that has grown too long to ``NAME.log.1``, under the running process.

        The process appends to the same file, so the file is copied and emptied.
        """
        self._output.parent.mkdir(parents=True, exist_ok=True)
        if self._output.exists() and self._output.stat().st_size > LOG_BYTES:
            shutil.copyfile(self._output, self._output.with_name(f"{self._output.name}.1"))
            os.truncate(self._output, 0)

    def ask_to_stop(self) -> None:
        """Send SIGTERM; do not wait."""
        self.restart_at = None
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self, deadline: Deadline) -> bool:
        """End the process with SIGTERM, at the deadline with SIGKILL; return if it had to be."""
        self.restart_at = None
        code = 0 if self._process is None else stop(self._process, deadline)
        self._forget()
        return code == -signal.SIGKILL

    def kill(self) -> None:
        """End the process with SIGKILL."""
        self.restart_at = None
        if self._process is not None:
            kill(self._process)
        self._forget()

    def _forget(self) -> None:
        self._process = None
        self._pid_path.unlink(missing_ok=True)
