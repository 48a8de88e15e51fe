"""A data directory belongs to one instance, and only while that lives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import ConfigurationError, DataDirectoryInUseError
from app.supervisor.directory import OwnedDirectory

CHECKOUT = Path(__file__).parents[2]
_OWNER = """
import sys, time
from pathlib import Path
from app.supervisor.directory import OwnedDirectory
with OwnedDirectory(Path(sys.argv[1])):
    print("owned", flush=True)
    time.sleep(600)
"""


def test_a_second_instance_is_told_who_has_it_until_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(tmp_path)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"owned\n"
        with (
            pytest.raises(DataDirectoryInUseError, match=f"in use by process {owner.pid};"),
            OwnedDirectory(tmp_path),
        ):
            pass
        owner.kill()
        owner.wait()
    pid_file = tmp_path / "run" / "supervisor.pid"
    assert pid_file.exists()  # stale, and no hindrance
    with OwnedDirectory(tmp_path):
        assert int(pid_file.read_text()) == os.getpid()
    assert not pid_file.exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigurationError, match="VITALSTREAM_DATA_DIR"),
        OwnedDirectory(tmp_path / "file" / "var"),
    ):
        pass
