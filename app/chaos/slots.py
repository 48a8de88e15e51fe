"""Processes under the product's own supervisor, each with one of its own."""

import threading
import time
from pathlib import Path
from typing import Final

from app.supervisor.backoff import Backoff
from app.supervisor.child import Child, Program
from app.supervisor.supervisor import Supervisor

_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 9.0


def _eager() -> Backoff:
    # Crashes are the rule here: the waiting of `up`, 30 s at last, would only hide recovery.
    return Backoff(first=0.25, most=2.0, stable=5.0)


class Tell:
    """What the supervisors say, with the time of day."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        """Note a line."""
        self.lines.append(f"{time.strftime('%H:%M:%S')} {line}")


class Slot:
    """One process and its supervisor.

    Every process has a supervisor of its own, so that one can stop while others are watched.
    """

    def __init__(self, program: Program, run_dir: Path, tell: Tell) -> None:
        self.program = program
        self._supervisor = Supervisor(run_dir, tell, _eager)
        self._child: Child | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Process id; None while it does not run."""
        child = self._child
        return None if child is None or child.exit_code() is not None else child.pid

    @property
    def wanted(self) -> bool:
        """Whether it is meant to run."""
        return self._child is not None

    def start(self) -> None:
        """Start it."""
        with self._lock:
            [self._child] = self._supervisor.start(self.program)

    def stop(self) -> None:
        """Stop it as an operator does, with SIGTERM, and do not start it again."""
        with self._lock:
            self._child = None
            self._supervisor.stop(_STOP_SECONDS)

    def tick(self) -> None:
        """Start it again if it has crashed."""
        if self._lock.acquire(blocking=False):
            try:
                self._supervisor.tick()
            finally:
                self._lock.release()

    def wait_ready(self) -> None:
        """Block until it is ready for the first time.

        Raises
        ------
        ServerFailedError
            When it ended, or was not ready in time.
        """
        if self._child is not None:
            self._supervisor.wait_ready([self._child], _START_SECONDS)
