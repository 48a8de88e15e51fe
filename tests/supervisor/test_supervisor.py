"""Crashed children come back, broken ones are explained, and all are stopped in time."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.errors import ServerFailedError, StartupError
from app.supervisor import child as child_module
from app.supervisor.backoff import Backoff
from app.supervisor.child import Program
from app.supervisor.supervisor import Supervisor
from tests.processes import alive
from tests.servers import wait_until

_SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
_STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); " + _SLEEPER


class Bench:
    """A supervisor with quick backoff, its files and what it told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.told: list[str] = []
        (directory / "run").mkdir()
        self.supervisor = Supervisor(
            directory / "run", self.told.append, lambda: Backoff(first=0.02, most=0.1)
        )

    def program(self, name: str, code: str, *, restarts: bool = True) -> Program:
        """Return a child that runs ``code`` and is ready once it has written something."""
        log = self.directory / "log" / f"{name}.log"
        return Program(
            name=name,
            command=lambda: [sys.executable, "-S", "-c", code],
            ready=lambda: log.exists() and "up" in log.read_text(),
            log=log,
            restarts=restarts,
        )

    def pid(self, name: str) -> int:
        """Return what the child's pid file says; 0 when there is none."""
        try:
            return int((self.directory / "run" / f"{name}.pid").read_text())
        except FileNotFoundError:
            return 0

    def tick_until(self, condition: Callable[[], bool], what: str) -> None:
        """Tick until ``condition`` holds."""

        def step() -> bool:
            self.supervisor.tick()
            return condition()

        wait_until(step, what, 15, poll=0.02)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give the test a supervisor and stop it afterwards."""
    bench = Bench(tmp_path)
    yield bench
    bench.supervisor.stop(1)


def test_a_killed_child_is_started_again_and_the_reason_told(bench: Bench) -> None:
    children = bench.supervisor.start(bench.program("worker", _SLEEPER))
    bench.supervisor.wait_ready(children, 10)
    first = bench.pid("worker")
    assert alive(first)
    os.kill(first, signal.SIGKILL)
    bench.tick_until(lambda: bench.pid("worker") not in {0, first}, "it is started again")
    assert alive(bench.pid("worker"))
    assert bench.told[0].startswith("worker was killed by SIGKILL; it last wrote: up; starting")
    assert bench.told[1] == "worker was started again"


def test_a_child_that_keeps_failing_is_tried_again_and_again(bench: Bench) -> None:
    bench.supervisor.start(bench.program("sink", "raise SystemExit('no server')"))
    bench.tick_until(lambda: len(bench.told) >= 6, "it was started three times more")
    assert "sink ended with code 1; it last wrote: no server" in bench.told[0]


def test_a_start_that_fails_later_is_tried_again(bench: Bench) -> None:
    starts: list[int] = []

    def command() -> list[str]:
        starts.append(1)
        if len(starts) == 2:
            raise StartupError("the port is taken")
        return [sys.executable, "-S", "-c", "" if len(starts) == 1 else _SLEEPER]

    log = bench.directory / "log" / "kafka.log"
    bench.supervisor.start(Program(name="kafka", command=command, log=log))
    bench.tick_until(lambda: len(starts) == 3, "a third start")
    assert any("could not be started (the port is taken)" in line for line in bench.told)


def test_a_child_that_is_to_run_once_is_left_alone(bench: Bench) -> None:
    [player] = bench.supervisor.start(bench.program("replay", "", restarts=False))
    bench.tick_until(lambda: player.exit_code() == 0, "it ends")
    bench.supervisor.tick()
    assert bench.told == []


def test_a_child_that_ends_before_it_is_ready_is_explained(bench: Bench) -> None:
    children = bench.supervisor.start(bench.program("gateway", "raise SystemExit('bad key')"))
    with pytest.raises(ServerFailedError, match=r"(?s)gateway ended with code 1.*bad key"):
        bench.supervisor.wait_ready(children, 10)


def test_a_child_that_is_never_ready_is_explained(bench: Bench) -> None:
    code = "import time; print('loading', flush=True); time.sleep(600)"
    children = bench.supervisor.start(bench.program("gateway", code))
    with pytest.raises(ServerFailedError, match="gateway was not ready after 1 s"):
        bench.supervisor.wait_ready(children, 1)


def test_groups_are_stopped_last_first_and_leave_nothing_behind(bench: Bench) -> None:
    note = bench.directory / "order"
    code = (
        "import signal, sys, time\n"
        "def stop(*_):\n"
        f"    open({str(note)!r}, 'a').write('{{name}} ')\n"
        "    sys.exit()\n"
        "signal.signal(15, stop)\n" + _SLEEPER
    )
    names = ["kafka", "sink", "gateway"]
    children = []
    for name in names:
        children += bench.supervisor.start(bench.program(name, code.replace("{name}", name)))
    bench.supervisor.wait_ready(children, 20)
    pids = [bench.pid(name) for name in names]
    bench.supervisor.stop(9)
    assert note.read_text().split() == ["gateway", "sink", "kafka"]
    assert not any(map(alive, pids))
    assert not list((bench.directory / "run").iterdir())
    assert bench.told == []


def test_what_does_not_stop_is_killed_within_the_limit(bench: Bench) -> None:
    children = []
    for name in ("sink", "worker"):
        children += bench.supervisor.start(bench.program(name, _STUBBORN))
    bench.supervisor.wait_ready(children, 20)
    pids = [bench.pid("sink"), bench.pid("worker")]
    started = time.monotonic()
    bench.supervisor.stop(2.2)
    assert time.monotonic() - started < 3.5
    assert not any(map(alive, pids))
    assert bench.told == [
        "worker did not stop in time and was killed",
        "sink did not stop in time and was killed",
    ]


def test_a_child_waiting_for_its_restart_is_not_started_by_a_stop(bench: Bench) -> None:
    bench.supervisor.start(bench.program("worker", ""))
    bench.tick_until(lambda: bool(bench.told), "it ended")
    bench.supervisor.stop(1)
    bench.supervisor.tick()
    assert bench.pid("worker") == 0


def test_a_stale_pid_file_is_overwritten(bench: Bench) -> None:
    (bench.directory / "run" / "worker.pid").write_text("999999\n")
    bench.supervisor.start(bench.program("worker", _SLEEPER))
    assert bench.pid("worker") != 999999


def test_a_log_that_grows_too_long_is_moved_under_the_running_child(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "LOG_BYTES", 1_000)
    code = (
        "import time\n"
        "print('x' * 2_000, 'up', flush=True)\n"
        "while True:\n    time.sleep(0.02)\n    print('later', flush=True)"
    )
    program = bench.program("worker", code)
    children = bench.supervisor.start(program)
    bench.supervisor.wait_ready(children, 10)
    old = program.log.with_name("worker.log.1")
    bench.tick_until(old.exists, "the log was moved")
    assert "xxx" in old.read_text()
    bench.tick_until(lambda: program.log.read_text().startswith("later"), "it goes on")


def test_a_child_gets_its_own_variables(bench: Bench) -> None:
    log = bench.directory / "log" / "worker-1.log"
    code = "import os; print(os.environ['VITALSTREAM_WORKER_ID'], bool(os.environ['PATH']))"
    [child] = bench.supervisor.start(
        Program(
            name="worker-1",
            command=lambda: [sys.executable, "-c", code],
            log=log,
            env={"VITALSTREAM_WORKER_ID": "1"},
            restarts=False,
        )
    )
    bench.tick_until(lambda: child.exit_code() == 0, "it ends")
    assert log.read_text().split() == ["1", "True"]
