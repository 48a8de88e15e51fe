"""Every sort of difference is found, and none where there is none."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.chaos.compare import Findings, compare_all, compare_dead_letters
from app.chaos.expected import SIZES, Identity, Window, WindowKey, samples_of, windows_of
from app.chaos.journal import Journal, Sending
from app.chaos.poison import Poison
from app.chaos.stored import KEYS, Stored
from tests.chaos.scripts import device, made


class Kept(Stored):
    """What a system would hold that has done everything right, to be spoiled by tests."""

    def __init__(self, uploads: list[Sending]) -> None:
        self.all_samples = samples_of(uploads)
        zones: dict[str, str | None] = {}
        self.all_windows = {table: windows_of(self.all_samples, zones, table) for table in SIZES}
        ids = {upload.upload_id: upload for upload in uploads}
        self.rows: dict[str, dict[str, Any]] = {
            name: {
                "accepted": upload.good, "stored": 0, "duplicate": upload.good,
                "rejected": len(upload.wrong), "dead_lettered": 0, "balanced": True,
            }
            for name, upload in ids.items()
        }  # fmt: skip
        next(iter(self.rows.values()))["stored"] = len(self.all_samples)
        self.all_rejected = {name: dict(one.wrong) for name, one in ids.items() if one.wrong}
        self.doubled: set[str] = set()

    def samples(self, user: str) -> dict[Identity, float]:  # noqa: ARG002
        return self.all_samples

    def windows(self, user: str, table: str) -> dict[WindowKey, Window]:  # noqa: ARG002
        return self.all_windows[table]

    def ledger(self, user: str) -> dict[str, dict[str, Any]]:  # noqa: ARG002
        return self.rows

    def rejected(self, user: str) -> dict[str, dict[tuple[int, int], str]]:  # noqa: ARG002
        return self.all_rejected

    def rows_and_keys(self, view: str) -> tuple[int, int]:
        return (8, 7) if view in self.doubled else (7, 7)


def compared(uploads: list[Sending], kept: Kept, path: Path) -> Findings:
    findings = Findings()
    with Journal(path / "journal.jsonl") as journal:
        for upload in uploads:
            journal.sending(upload)
        compare_all(journal, kept, {}, findings)
    return findings


@pytest.fixture
def uploads() -> list[Sending]:
    return made(11, device(11), 150)


def test_what_is_right_has_no_differences(uploads: list[Sending], tmp_path: Path) -> None:
    findings = compared(uploads, Kept(uploads), tmp_path)
    assert findings.total == 0, findings.evidence
    assert findings.checked["samples"] == len(samples_of(uploads))
    assert findings.checked["windows_1m"] > 100


def lose_a_sample(kept: Kept) -> None:
    del kept.all_samples[next(iter(kept.all_samples))]


def invent_a_sample(kept: Kept) -> None:
    user, metric, name, at = next(iter(kept.all_samples))
    kept.all_samples[user, metric, name, at + 1] = 1.0


def change_a_sample(kept: Kept) -> None:
    kept.all_samples[next(iter(kept.all_samples))] += 0.5


def lose_a_window(kept: Kept) -> None:
    del kept.all_windows["windows_1h"][next(iter(kept.all_windows["windows_1h"]))]


def count_a_sample_twice(kept: Kept) -> None:
    key, window = next(iter(kept.all_windows["windows_1m"].items()))
    kept.all_windows["windows_1m"][key] = replace(window, count=window.count + 1)


def end_a_day_late(kept: Kept) -> None:
    key, window = next(iter(kept.all_windows["windows_1d"].items()))
    kept.all_windows["windows_1d"][key] = replace(window, end_ms=window.end_ms + 3_600_000)


def spread_a_window(kept: Kept) -> None:
    windows = kept.all_windows["windows_1m"]
    key = next(key for key, window in windows.items() if window.count > 1)
    windows[key] = replace(windows[key], variance=windows[key].variance + 0.01)


def leave_an_upload_open(kept: Kept) -> None:
    next(iter(kept.rows.values()))["balanced"] = False


def store_a_sample_twice(kept: Kept) -> None:
    next(iter(kept.rows.values()))["stored"] += 1


def forget_an_upload(kept: Kept) -> None:
    del kept.rows[list(kept.rows)[-1]]


def forget_a_rejection(kept: Kept) -> None:
    del kept.all_rejected[next(iter(kept.all_rejected))]


def double_a_row(kept: Kept) -> None:
    kept.doubled.add("windows_1d")


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (lose_a_sample, "samples acknowledged but not stored"),
        (invent_a_sample, "samples stored but not sent"),
        (change_a_sample, "samples of another value"),
        (lose_a_window, "windows_1h"),
        (count_a_sample_twice, "windows_1m"),
        (end_a_day_late, "windows_1d"),
        (spread_a_window, "windows_1m"),
        (leave_an_upload_open, "ledger"),
        (store_a_sample_twice, "ledger"),
        (forget_an_upload, "ledger"),
        (forget_a_rejection, "rejected samples"),
        (double_a_row, "rows behind views"),
    ],
)
def test_a_fault_is_found(
    spoil: Callable[[Kept], None], check: str, uploads: list[Sending], tmp_path: Path
) -> None:
    kept = Kept(uploads)
    spoil(kept)
    findings = compared(uploads, kept, tmp_path)
    assert findings.differences[check] == 1, findings.evidence
    assert findings.evidence[check]


@pytest.mark.parametrize("there", ["all", "none", "half"])
def test_an_upload_in_doubt_is_there_or_not_but_never_in_part(
    there: str, uploads: list[Sending], tmp_path: Path
) -> None:
    doubtful = next(upload for upload in reversed(uploads) if upload.action == "dying")
    others = [upload for upload in uploads if upload is not doubtful]
    kept = Kept(others if there == "none" else uploads)
    if there == "none":
        kept.rows[doubtful.upload_id] = dict.fromkeys(kept.rows[others[0].upload_id], 0)
    if there == "half":
        piece = doubtful.pieces[0]
        del kept.all_samples[doubtful.user_id, piece.metric, doubtful.device_id, piece.times[0]]
    doubtful.answer = None
    findings = compared(uploads, kept, tmp_path)
    assert findings.differences["uploads stored in part"] == (1 if there == "half" else 0)
    assert (findings.total == 0) == (there != "half"), findings.evidence
    assert "samples acknowledged but not stored" not in findings.differences


def letter(
    place: tuple[str, int, int], value: bytes, origin: tuple[str, int, int]
) -> dict[str, Any]:
    topic, partition, offset = place
    return {
        "topic": topic, "partition": partition, "offset": offset, "error": "DecodeError",
        "origin_topic": origin[0], "origin_partition": origin[1], "origin_offset": origin[2],
        "digest": hashlib.md5(value, usedforsecurity=False).hexdigest().upper(),
    }  # fmt: skip


def test_poison_has_to_be_kept_once_and_nothing_else_may_be() -> None:
    first = Poison("uploads", 1, 41, b"first")
    second = Poison("windows", 2, 7, b"second")
    of_first = letter(("uploads-dlq", 1, 3), b"first", ("uploads", 1, 41))
    of_second = letter(("windows", 2, 7), b"second", ("windows", 2, 7))

    def differences(*letters: dict[str, Any]) -> int:
        findings = Findings()
        compare_dead_letters([first, second], letters, findings)
        return findings.total

    assert differences(of_first, of_second) == 0
    assert differences(of_first) == 1
    assert differences(of_second) == 1
    assert differences(of_first, of_second, of_first | {"offset": 4}) == 1, "kept twice"
    other = letter(("uploads-dlq", 1, 9), b"an upload", ("uploads", 1, 50))
    assert differences(of_first, of_second, other) == 1


def test_every_view_is_looked_at_for_duplicates() -> None:
    assert {"samples", "windows_1m", "windows_1h", "windows_1d", "alerts", "ledger"} <= KEYS.keys()
