"""A short seeded run against a system of its own: nothing is lost, nothing is counted twice."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

pytestmark = [pytest.mark.servers, pytest.mark.chaos, pytest.mark.timeout(300)]

CHECKOUT = Path(__file__).parents[2]
SEED = 4


def test_a_short_run_finds_no_difference(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "chaos", "--minutes", "0.2", "--seed", str(SEED),
         "--data-dir", str(tmp_path)],
        capture_output=True, text=True, cwd=CHECKOUT, check=False,
        env={key: value for key, value in os.environ.items() if not key.startswith("VITALSTREAM_")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 differences" in done.stdout
    [directory] = (tmp_path / "chaos").iterdir()
    report = orjson.loads((directory / "report.json").read_bytes())
    assert report["seed"] == SEED
    assert report["differences"] == {}
    assert sum(report["faults"].values()) >= 2
    assert report["checked"]["samples"] > 1_000
    assert report["checked"]["ledger"] == report["load"]["uploads acknowledged"]
    assert (directory / "plan.json").exists()
    assert not (directory / "system").exists(), "data is kept only as evidence"
