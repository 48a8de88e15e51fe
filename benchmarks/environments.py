"""Environments of peers that are Python programs with dependencies of their own."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from app.bench.bench import Bench
from app.errors import ServerFailedError

QUIX_LOCK = Path(__file__).parent / "quix" / "requirements.lock"


def quix_python(bench: Bench) -> str:
    """Return the Python of the Quix Streams peer; installs it on first use, about 40 packages.

    Raises
    ------
    ServerFailedError
        If the environment cannot be made.
    """
    digest = hashlib.sha256(QUIX_LOCK.read_bytes()).hexdigest()[:12]
    venv = bench.cache / f"quix-{digest}"
    python = venv / "bin" / "python"
    if (venv / "complete").exists():
        return str(python)
    bench.say("installing Quix Streams in an environment of its own")
    shutil.rmtree(venv, ignore_errors=True)
    install = ["-m", "pip", "install", "--quiet", "--require-hashes", "--no-input"]
    base = getattr(sys, "_base_executable", sys.executable)
    for command in (
        [base, "-m", "venv", str(venv)],
        [str(python), *install, "-r", str(QUIX_LOCK)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServerFailedError(f"no environment for Quix Streams:\n{done.stdout}{done.stderr}")
    (venv / "complete").touch()
    return str(python)


def quix_version() -> str:
    """Return the version of Quix Streams in the lock."""
    found = re.search(r"^quixstreams==(\S+)", QUIX_LOCK.read_text(), re.MULTILINE)
    return found[1] if found else "unknown"
