"""The broker's archives are exactly those of the lock."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from app.embedded import jars
from app.embedded.jars import Jar, cache_directory, ensure_jars, locked_jars
from app.errors import ServerFailedError


@pytest.fixture
def tiny_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lock one small archive with a sum that is wrong."""
    small = min(locked_jars(), key=lambda jar: jar.size)
    wrong = Jar(small.coordinate, small.size, "0" * 64)
    lock = tmp_path / "kafka.lock.json"
    lock.write_text(json.dumps({"jars": [asdict(wrong)]}))
    monkeypatch.setattr(jars, "_ATTEMPTS", 1)
    return lock


def test_the_lock_names_coordinates_and_sums_but_no_addresses() -> None:
    assert "://" not in jars.LOCK_PATH.read_text()
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in locked_jars())
    assert {"kafka_2.13", "kafka-clients", "log4j-slf4j-impl"} <= {
        jar.coordinate.split(":")[1] for jar in locked_jars()
    }
    versions = {j.coordinate.split(":")[2] for j in locked_jars() if "apache.kafka" in j.coordinate}
    assert len(versions) == 1


def test_what_is_there_is_verified_and_used_without_fetching(tmp_path: Path) -> None:
    told: list[str] = []
    source = ensure_jars()  # fetched at most once on this machine
    directory = cache_directory(tmp_path)
    directory.mkdir()
    for path in source:
        shutil.copyfile(path, directory / path.name)
    assert ensure_jars(tmp_path, told.append) == [directory / path.name for path in source]
    assert told == []


def test_an_archive_that_was_tampered_with_does_not_match(tmp_path: Path) -> None:
    jar = min(locked_jars(), key=lambda jar: jar.size)
    [original] = [path for path in ensure_jars() if path.name == jar.filename]
    data = original.read_bytes()
    copy = tmp_path / jar.filename
    copy.write_bytes(data)
    assert jar.matches(copy)
    copy.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert not jar.matches(copy)
    copy.unlink()
    assert not jar.matches(copy)


def test_a_fetched_archive_with_another_sum_is_refused(tiny_lock: Path, tmp_path: Path) -> None:
    with pytest.raises(ServerFailedError, match="not the one in the lock"):
        ensure_jars(tmp_path / "cache", lock=tiny_lock)
    assert not list((tmp_path / "cache").rglob("*.jar"))
