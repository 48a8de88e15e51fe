"""Children die with their parent, get what they are given, and are stopped in time."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.embedded.ports import accepts, ensure_port_free, free_port
from app.embedded.process import Deadline, kill, last_lines, spawn, stop
from app.errors import PortInUseError
from tests.processes import alive
from tests.servers import wait_until

CHECKOUT = Path(__file__).parents[2]
_PARENT = """
import sys, threading, time
from app.embedded.process import spawn
children = []
def start():
    children.append(spawn([sys.executable, "-c", "import time; time.sleep(600)"], output=1))
starter = threading.Thread(target=start)
starter.start()
starter.join()
print(children[0].pid, flush=True)
time.sleep(600)
"""
_STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); "


def test_a_child_dies_with_a_parent_that_is_killed() -> None:
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)  # though the thread that started it has ended
        parent.kill()
    wait_until(lambda: not alive(child), "the child is gone", 5)


def test_a_child_gets_environment_directory_and_a_session_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import os; print(os.environ['X'], os.getcwd(), os.getsid(0) == os.getpid())"
    with log.open("wb") as output:
        child = spawn([sys.executable, "-c", code], output=output, env={"X": "y"}, cwd=tmp_path)
    assert child.wait() == 0
    assert log.read_text().split() == ["y", str(tmp_path), "True"]


def test_a_program_that_does_not_exist_ends_with_127(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        child = spawn(["no-such-program"], output=output)
    assert child.wait() == 127
    assert "no-such-program" in log.read_text()


def test_stop_kills_what_does_not_listen_and_what_that_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import subprocess, sys; s = subprocess.Popen([sys.executable, '-c', 'input()'], "
        "stdin=subprocess.PIPE); print(s.pid, flush=True); " + _STUBBORN + "time.sleep(600)"
    )
    with log.open("wb") as output:
        child = spawn([sys.executable, "-c", code], output=output)
    wait_until(lambda: "up" in log.read_text(), "the child runs", 10)
    grandchild = int(log.read_text().split()[0])
    assert stop(child, Deadline(0.2)) == -signal.SIGKILL
    wait_until(lambda: not alive(grandchild), "the grandchild is gone", 5)


def test_kill_of_a_dead_child_is_no_error() -> None:
    child = spawn([sys.executable, "-c", ""], output=subprocess.DEVNULL)
    child.wait()
    kill(child)
    assert stop(child, Deadline(1)) == 0


def test_children_may_be_started_from_many_threads_at_once() -> None:
    codes: list[int] = []
    command = [sys.executable, "-S", "-c", "raise SystemExit(3)"]
    threads = [
        threading.Thread(
            target=lambda: codes.append(spawn(command, output=subprocess.DEVNULL).wait())
        )
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [3] * 5


def test_a_deadline_passes_once_for_all_waits() -> None:
    deadline = Deadline(0.05)
    assert 0 < deadline.remaining <= 0.05
    assert not deadline.passed
    wait_until(lambda: deadline.passed, "the deadline passes", 1, poll=0.005)
    assert deadline.remaining == 0


def test_last_lines_are_bounded_and_skip_empty_ones(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log) == []
    log.write_text("x" * 100_000 + "\none\n\ntwo\n")
    assert last_lines(log, 2) == ["one", "two"]
    assert sum(map(len, last_lines(log))) < 17_000


def test_a_port_in_use_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert accepts("127.0.0.1", port)
        with pytest.raises(PortInUseError, match=f"{port}.*VITALSTREAM_PORT"):
            ensure_port_free("127.0.0.1", port, what="The gateway", setting="VITALSTREAM_PORT")
    ensure_port_free("127.0.0.1", free_port(), what="The gateway", setting="VITALSTREAM_PORT")
