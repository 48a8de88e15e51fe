"""The small disk under ClickHouse can be full, for real."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from app.chaos.disk import SmallDisk

WRITE = "import sys; open(sys.argv[1], 'wb', buffering=0).write(bytes(int(sys.argv[2])))"


def test_a_full_disk_refuses_and_an_emptied_one_does_not(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "data")
    if not disk.mount():
        pytest.skip("users cannot mount file systems here")

    def write(name: str, size: int) -> subprocess.CompletedProcess[str]:
        path = str(tmp_path / "data" / name)
        command = disk.inside([sys.executable, "-c", WRITE, path, str(size)])
        return subprocess.run(command, capture_output=True, text=True, check=False)

    try:
        assert write("before", 1_000).returncode == 0
        assert not (tmp_path / "data" / "before").exists(), "it is on the disk alone"
        disk.fill(0, 1 << 30)
        full = write("meanwhile", 1_000_000)
        assert f"[Errno {errno.ENOSPC}]" in full.stderr
        disk.empty()
        assert write("after", 1_000_000).returncode == 0
        disk.save()
    finally:
        disk.close()
    assert (tmp_path / "data" / "before").stat().st_size == 1_000
    assert (tmp_path / "data" / "after").stat().st_size == 1_000_000
