"""The command line: quick help, clear errors, no traceback."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli.configuration import CHECKOUT, document
from app.cli.registry import COMMANDS
from app.embedded.ports import free_port
from app.security import verify_token
from app.settings import Settings
from app.supervisor.directory import OwnedDirectory
from tests.processes import alive
from tests.servers import wait_until


def run(*arguments: str, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``vitalstream`` with no setting but ``variables``; check its exit code."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("VITALSTREAM_")}
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env=clean | {"NO_COLOR": "1", "COLUMNS": "100"} | variables,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys; from app.cli import main\n"
        "sys.argv = ['vitalstream', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'faust', 'aiohttp', 'numpy', 'confluent_kafka', 'chdb', 'pydantic_settings'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=True
    )
    assert "HEAVY []" in done.stdout
    for name, entry in COMMANDS.items():
        assert f" {name} " in done.stdout
        assert entry.summary in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    shown = run(name, "--help").stdout
    assert f"vitalstream {name}" in shown
    assert "Parameters" not in shown


def test_without_a_command_help_is_shown() -> None:
    done = run(code=2)
    assert "Start with demo" in done.stdout + done.stderr


def test_an_unknown_command_is_a_usage_error() -> None:
    assert "No such command 'dmeo'" in run("dmeo", code=2).stderr


def test_the_version_is_printed() -> None:
    assert run("--version").stdout.strip()


def test_a_wrong_setting_is_named_in_one_line(tmp_path: Path) -> None:
    done = run(
        "token", "--role", "user", "--user", "ann", "--data-dir", str(tmp_path),
        code=1, VITALSTREAM_PORT="eighty", VITALSTREAM_PARTITIONS="0",
    )  # fmt: skip
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "VITALSTREAM_PORT: " in line
    assert "VITALSTREAM_PARTITIONS: " in line


def test_a_token_covers_its_user_and_the_named_ones(tmp_path: Path) -> None:
    common = ["--role", "device", "--user", "ann", "--data-dir", str(tmp_path)]
    printed = run("token", *common, "--users", "ben, cid", "--ttl", "60").stdout.strip()
    claims = verify_token(Settings(data_dir=tmp_path), printed)
    assert (claims.subject, claims.role) == ("ann", "device")
    assert claims.users == frozenset({"ann", "ben", "cid"})


def test_an_unknown_role_is_a_usage_error(tmp_path: Path) -> None:
    run("token", "--role", "king", "--user", "a", "--data-dir", str(tmp_path), code=2)


def test_the_configuration_page_is_current() -> None:
    page = CHECKOUT / "docs" / "configuration.md"
    assert page.read_text() == document(), "run: vitalstream settings > docs/configuration.md"


def test_the_configuration_page_has_every_setting_and_no_secret() -> None:
    shown = document()
    assert shown == run("settings").stdout
    for name in Settings.model_fields:
        assert f"`VITALSTREAM_{name.upper()}`" in shown
    assert str(CHECKOUT) not in shown


@pytest.mark.servers
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_kafka_runs_in_the_foreground_until_a_signal(
    number: signal.Signals, tmp_path: Path
) -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli", "kafka", "--data-dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env=os.environ | {"VITALSTREAM_KAFKA_PORT": str(port), "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "answers at" in line)
        assert f"127.0.0.1:{port}" in line
        broker = int(line.split("process ")[1].split(";")[0])
        assert alive(broker)
        process.send_signal(number)
        assert process.wait(15) == 0
    wait_until(lambda: not alive(broker), "the broker is gone", 1)


def test_a_busy_data_directory_is_one_clear_line(tmp_path: Path) -> None:
    with OwnedDirectory(tmp_path):
        done = run("up", "--data-dir", str(tmp_path), code=1)
    assert f"in use by process {os.getpid()}" in done.stderr


def test_a_busy_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = run("up", "--data-dir", str(tmp_path), "--port", port, code=1)
    assert f":{port}" in done.stderr
    assert "VITALSTREAM_PORT" in done.stderr
    assert not list((tmp_path / "run").iterdir())
