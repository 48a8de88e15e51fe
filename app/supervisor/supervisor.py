"""Watches processes: restarts what crashes, stops everything in order."""

import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from app.embedded.process import Deadline
from app.errors import VitalstreamError
from app.supervisor.backoff import Backoff
from app.supervisor.child import Child, Program, how_it_ended

_POLL_SECONDS = 0.15
_LOG_CHECK_SECONDS = 10.0
_LEAST_STOP_SECONDS = 1.5


class Supervisor:
    """Owns groups of children. Single-threaded: its owner calls :meth:`tick` often.

    Parameters
    ----------
    run_dir
        Directory of pid files.
    tell
        Called with a line of text when a process ended or was started again.
    backoff
        Makes the delays of one child.
    """

    def __init__(
        self,
        run_dir: Path,
        tell: Callable[[str], None],
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._run_dir, self._tell, self._backoff = run_dir, tell, backoff
        self._groups: list[list[Child]] = []
        self._next_log_check = 0.0

    def start(self, *programs: Program) -> list[Child]:
        """Start ``programs`` as one group; the group that starts last is stopped first.

        Raises
        ------
        VitalstreamError
            When it cannot be started.
        """
        group: list[Child] = []
        self._groups.append(group)
        for program in programs:
            group.append(Child(program, self._run_dir, self._backoff()))
            group[-1].start()
        return group

    def wait_ready(
        self,
        children: Sequence[Child],
        timeout: float,
        on_ready: Callable[[Child, float], None] = lambda _child, _seconds: None,
    ) -> None:
        """Block until all of ``children`` are ready.

        Parameters
        ----------
        children
            Started before.
        timeout
            Seconds for all of them together.
        on_ready
            Called with each child and the seconds that it took.

        Raises
        ------
        ServerFailedError
            When one ended or was not ready in time; carries its last lines.
        """
        started, deadline = time.monotonic(), Deadline(timeout)
        waiting = list(children)
        while waiting:
            for child in list(waiting):
                if child.program.ready():
                    waiting.remove(child)
                    on_ready(child, time.monotonic() - started)
                elif (code := child.exit_code()) is not None:
                    raise child.failure(f"{how_it_ended(code)} before it was ready")
            if waiting and deadline.passed:
                raise waiting[0].failure(f"was not ready after {timeout:.0f} s")
            if waiting:
                time.sleep(_POLL_SECONDS)

    def tick(self) -> None:
        """Look once after every child; returns quickly."""
        now = time.monotonic()
        check_logs = now >= self._next_log_check
        if check_logs:
            self._next_log_check = now + _LOG_CHECK_SECONDS
        for child in chain.from_iterable(self._groups):
            if check_logs:
                child.bound_log()
            if not child.program.restarts:
                continue
            if (code := child.exit_code()) is not None:
                why = child.why(code)
                self._tell(f"{why}; starting it again in {child.plan_restart():.1f} s")
            elif child.restart_at is not None and now >= child.restart_at:
                self._restart(child)

    def stop(self, seconds: float) -> None:
        """Stop every child within ``seconds``, the last started group first.

        A group is asked and waited for before the next, so that it can still reach those that it
        needs; what takes too long is killed, early enough to leave time for the others.
        """
        deadline = Deadline(seconds)
        try:
            while self._groups:
                others = (len(self._groups) - 1) * _LEAST_STOP_SECONDS
                limit = Deadline(max(deadline.remaining - others, _least(deadline)))
                for child in self._groups[-1]:
                    child.ask_to_stop()
                for child in self._groups[-1]:
                    if child.stop(limit):
                        self._tell(f"{child.name} did not stop in time and was killed")
                self._groups.pop()
        finally:
            for child in chain.from_iterable(self._groups):
                child.kill()

    def _restart(self, child: Child) -> None:
        try:
            child.start()
        except (VitalstreamError, OSError) as error:
            delay = child.plan_restart()
            self._tell(f"{child.name} could not be started ({error}); again in {delay:.1f} s")
        else:
            self._tell(f"{child.name} was started again")


def _least(deadline: Deadline) -> float:
    return min(_LEAST_STOP_SECONDS, deadline.remaining)
