"""Prepares the virtual environment on first use, then becomes the command line.

Run by the launcher with ``-I -S``: standard library only. The environment is current when its
marker names the locks that it was made from; the marker is written last, so that whatever
interrupts the work, the next run takes it up again.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

CHECKOUT = Path(__file__).resolve().parents[1]
MARKER = "vitalstream.json"
RUNTIME_LOCK = CHECKOUT / "requirements.lock"
DEVELOPMENT_LOCK = CHECKOUT / "requirements-dev.lock"

_REQUIREMENT = re.compile(r"^[A-Za-z0-9][\w.\-]*==", re.MULTILINE)
_TTY_SECONDS, _PLAIN_SECONDS = 0.2, 5.0


def environment_path() -> Path:
    """Return where the virtual environment is or will be."""
    chosen = os.environ.get("VITALSTREAM_VENV")
    return Path(chosen).expanduser().absolute() if chosen else CHECKOUT / ".venv"


def stale_locks(venv: Path, locks: Sequence[Path]) -> list[Path]:
    """Return those of ``locks`` that ``venv`` was not made from."""
    installed = _read_marker(venv)
    return [lock for lock in locks if installed.get(lock.name) != _digest(lock)]


def prepare(venv: Path, locks: Sequence[Path]) -> None:
    """Bring ``venv`` up to date with ``locks``; one process at a time, safe to interrupt.

    Raises
    ------
    SystemExit
        With a message when the environment cannot be made.
    """
    if not stale_locks(venv, locks):
        return
    venv.parent.mkdir(parents=True, exist_ok=True)
    with _alone():
        for lock in stale_locks(venv, locks):  # another process may have done it meanwhile
            _create(venv)
            _install(venv, lock)
            marker = _read_marker(venv) | {lock.name: _digest(lock)}
            draft = venv / f"{MARKER}.new"
            draft.write_text(json.dumps(marker))
            draft.replace(venv / MARKER)


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def _read_marker(venv: Path) -> dict[str, str]:
    try:
        marker: dict[str, str] = json.loads((venv / MARKER).read_text())
    except (OSError, ValueError):
        return {}
    return marker


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Hold the checkout's lock; say so when another process has it."""
    with RUNTIME_LOCK.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            _say("another vitalstream is preparing the environment; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _create(venv: Path) -> None:
    """Make the environment itself, unless it works already."""
    python = venv / "bin" / "python"
    works = [str(python), "-c", "import pip"]
    if python.exists() and subprocess.run(works, capture_output=True, check=False).returncode == 0:
        return
    if venv.is_dir() and any(venv.iterdir()) and not (venv / "pyvenv.cfg").exists():
        raise SystemExit(f"vitalstream: {venv} is not a virtual environment; choose another place")
    # The launcher may run us with the very environment that is to be made anew.
    base_python = getattr(sys, "_base_executable", sys.executable)
    _say(f"making a virtual environment in {venv} (Python {sys.version.split()[0]})")
    made = subprocess.run(
        [base_python, "-m", "venv", "--clear", str(venv)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise SystemExit(
            f"vitalstream: the virtual environment could not be made:\n{made.stdout}{made.stderr}"
        )


def _install(venv: Path, lock: Path) -> None:
    """Install one lock; every archive must have one of its hashes."""
    log, scratch = venv / f"{lock.stem}.log", venv / "downloads"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--require-hashes"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    with log.open("w") as output:
        pip = subprocess.Popen(
            [*command, "-r", str(lock)],
            stdout=output,
            stderr=subprocess.STDOUT,
            # pip keeps what it downloads here until it installs: its size is the progress.
            env=os.environ | {"TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1"},
        )
        try:
            with _Progress(lock, log, scratch):
                code = pip.wait()
        except BaseException:
            pip.terminate()
            pip.wait()
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if code != 0:
        lines = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        raise SystemExit(
            f"vitalstream: packages could not be installed; pip's last lines:\n{lines}\n"
            f"The whole log is {log}. Running the same command again goes on from here."
        )


class _Progress:
    """Shows how far pip is, by what it wrote: to its log and to its directory of downloads."""

    def __init__(self, lock: Path, log: Path, scratch: Path) -> None:
        self._what = "packages" if lock == RUNTIME_LOCK else "development packages"
        self._total = len(_REQUIREMENT.findall(lock.read_text()))
        self._log, self._scratch = log, scratch
        self._tty = sys.stderr.isatty()
        self._started, self._megabytes = time.monotonic(), 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if kind is None:
            self._show(self._line())
        if self._tty:
            sys.stderr.write("\n")

    def _run(self) -> None:
        shown = ""
        while not self._done.wait(_TTY_SECONDS if self._tty else _PLAIN_SECONDS):
            if (line := self._line()) != shown:
                self._show(line)
                shown = line

    def _line(self) -> str:
        log = self._log.read_text(errors="replace")
        # One wheel may hold several lines of the log: count names, not lines.
        found = len({re.split(r"[=<>!~\[; ]", n)[0] for n in re.findall(r"Collecting (\S+)", log)})
        present = log.count("Requirement already satisfied")
        self._megabytes = max(self._megabytes, _megabytes(self._scratch))
        seconds = time.monotonic() - self._started
        phase = "installing" if "Installing collected packages" in log else "fetching"
        if "Successfully installed" in log or present >= self._total:
            phase, found = "installed", self._total - present
        return (
            f"{phase} {self._what}: {min(found + present, self._total)}/{self._total}, "
            f"{self._megabytes:.0f} MB, {seconds:.0f} s"
        )

    def _show(self, line: str) -> None:
        sys.stderr.write(f"\r\x1b[K{line}" if self._tty else f"{line}\n")
        sys.stderr.flush()


def _megabytes(directory: Path) -> float:
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(OSError):  # pip removes files while we look
            total += path.stat().st_size if path.is_file() else 0
    return total / 1e6


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> NoReturn:
    """Prepare what the command needs and become it."""
    arguments = sys.argv[1:]
    locks = [RUNTIME_LOCK]
    if arguments[:1] == ["test"]:
        locks.append(DEVELOPMENT_LOCK)
    venv = environment_path()
    try:
        prepare(venv, locks)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _say("\ninterrupted; the next run goes on from here")
        sys.exit(130)
    except OSError as error:
        raise SystemExit(f"vitalstream: the environment cannot be prepared: {error}") from error
    python = str(venv / "bin" / "python")
    paths = [str(CHECKOUT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        # The caller's directory must not be imported from.
        "PYTHONSAFEPATH": "1",
    }
    os.execve(python, [python, "-m", "app.cli", *arguments], environment)  # noqa: S606


if __name__ == "__main__":
    main()
