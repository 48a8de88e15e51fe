"""The launcher and the preparation of the virtual environment, without a network."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app import bootstrap
from app.bootstrap import prepare, stale_locks

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Make a checkout whose program prints what it was given; launch it for the first time.

    Returns it and what the launcher said.
    """
    root = tmp_path_factory.mktemp("launcher") / "a checkout"
    (root / "app" / "cli").mkdir(parents=True)
    shutil.copy(CHECKOUT / "vitalstream", root / "vitalstream")
    shutil.copy(CHECKOUT / "app" / "bootstrap.py", root / "app" / "bootstrap.py")
    (root / "app" / "__init__.py").write_text("")
    (root / "app" / "cli" / "__init__.py").write_text("")
    (root / "app" / "cli" / "__main__.py").write_text(
        "import sys, app; print(sys.prefix, app.__file__, *sys.argv[1:], sep='|')"
    )
    for name in ("requirements.lock", "requirements-dev.lock"):
        (root / name).write_text("")
    return root, launch(root).stderr


@pytest.fixture
def checkout(prepared: tuple[Path, str], tmp_path: Path) -> Path:
    """Copy the checkout with its environment, which needs no making anew."""
    return Path(shutil.copytree(prepared[0], tmp_path / "a checkout", symlinks=True))


def launch(
    root: Path, *arguments: str, code: int = 0, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the launcher of ``root`` and check its exit code."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VITALSTREAM_")}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(root / "vitalstream"), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment | {"VITALSTREAM_PYTHON": sys.executable} | variables,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_the_environment_is_made_once_and_the_command_gets_its_arguments(
    prepared: tuple[Path, str], tmp_path: Path
) -> None:
    checkout, said = prepared
    assert "making a virtual environment" in said
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "app").mkdir(parents=True)
    (elsewhere / "app" / "__init__.py").write_text("raise RuntimeError('the wrong app')")
    first = launch(checkout, "sql", "SELECT 1 + 1", cwd=elsewhere)
    assert first.stderr == ""
    prefix, module, *arguments = first.stdout.strip().split("|")
    assert prefix == str(checkout / ".venv")
    assert module == str(checkout / "app" / "__init__.py")
    assert arguments == ["sql", "SELECT 1 + 1"]
    link = tmp_path / "link"
    link.symlink_to(checkout / "vitalstream")
    started = time.monotonic()
    done = subprocess.run([str(link), "x"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{prefix}|{module}|x"
    assert done.stderr == ""
    assert time.monotonic() - started < 2  # nothing is installed again


def test_the_tests_get_the_development_packages_too(checkout: Path) -> None:
    venv = (checkout / ".venv").rename(checkout / "elsewhere")
    launch(checkout, "test", VITALSTREAM_VENV=str(venv))
    locks = [checkout / "requirements.lock", checkout / "requirements-dev.lock"]
    assert stale_locks(venv, locks) == []
    locks[1].write_text("# changed\n")
    assert stale_locks(venv, locks) == [locks[1]]
    assert "development" not in launch(checkout, "up", VITALSTREAM_VENV=str(venv)).stderr
    assert "development" in launch(checkout, "test", VITALSTREAM_VENV=str(venv)).stderr


def test_a_package_without_its_hash_is_refused(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("typer==0.1.0\n")
    done = launch(checkout, "up", code=1)
    assert "hashes are required" in " ".join(done.stderr.lower().split())
    assert stale_locks(checkout / ".venv", [checkout / "requirements.lock"])


def test_a_directory_that_is_something_else_is_left_alone(checkout: Path) -> None:
    precious = checkout / "precious"
    precious.mkdir()
    (precious / "file").write_text("keep me")
    done = launch(checkout, "up", code=1, VITALSTREAM_VENV=str(precious))
    assert "is not a virtual environment" in done.stderr
    assert (precious / "file").read_text() == "keep me"


def test_a_python_that_is_too_old_is_named(checkout: Path) -> None:
    old = checkout / "old"
    old.mkdir()
    python = old / "python3"
    python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    python.chmod(0o755)
    for tool in ("dirname", "readlink"):
        found = shutil.which(tool)
        assert found is not None
        (old / tool).symlink_to(found)
    shutil.rmtree(checkout / ".venv")
    done = launch(checkout, "up", code=1, PATH=str(old), VITALSTREAM_PYTHON="")
    assert "needs Python 3.11 or newer; on PATH there is Python 3.9.2" in done.stderr
    done = launch(checkout, "up", code=1, VITALSTREAM_PYTHON=str(python))
    assert "is not a Python 3.11 or newer" in done.stderr


def test_two_at_once_wait_for_each_other(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = checkout / "requirements.lock"
    venv = checkout / "another"
    monkeypatch.setattr(bootstrap, "RUNTIME_LOCK", lock)
    code = "import sys, fcntl; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"  # noqa: E501
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        # What the other one leaves behind when it is done.
        venv.mkdir()
        marker = venv / bootstrap.MARKER
        original = fcntl.flock

        def flock(file: int, how: int) -> None:
            if not how & fcntl.LOCK_NB:
                marker.write_text(f'{{"{lock.name}": "{bootstrap._digest(lock)}"}}')
                assert other.stdin is not None
                other.stdin.close()
            original(file, how)

        monkeypatch.setattr(fcntl, "flock", flock)
        prepare(venv, [lock])
    assert "another vitalstream is preparing" in capsys.readouterr().err
    assert not (venv / "pyvenv.cfg").exists()  # there was nothing left to do


def test_the_locks_hold_hashes_and_no_addresses() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (CHECKOUT / name).read_text()
        assert "://" not in text
        assert "--index-url" not in text
        assert "--find-links" not in text
        pins = [line for line in text.splitlines() if "==" in line and line[0].isalnum()]
        assert len(pins) > 20
        assert all(line.endswith("\\") for line in pins)
