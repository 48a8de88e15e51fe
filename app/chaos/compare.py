"""The comparison at the end: what was acknowledged against what is stored."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from app.chaos.expected import SIZES, Identity, Window, identities, samples_of, windows_of
from app.chaos.journal import Journal, Sending
from app.chaos.poison import APPLIED, STORED, Poison
from app.chaos.stored import KEYS, Stored

_KEPT: Final = 1_000  # differences of one check that are written down; all are counted
_VARIANCE: Final = 1e-6  # the database computes it from sums of squares


@dataclass(slots=True)
class Findings:
    """What was checked and what differed.

    Attributes
    ----------
    checked : Counter
        Things compared, by check.
    differences : Counter
        Differences, by check.
    evidence : dict
        The differences themselves, by check; bounded.
    """

    checked: Counter[str] = field(default_factory=Counter)
    differences: Counter[str] = field(default_factory=Counter)
    evidence: dict[str, list[str]] = field(default_factory=dict)

    def differ(self, check: str, what: str) -> None:
        """Note a difference."""
        self.differences[check] += 1
        told = self.evidence.setdefault(check, [])
        if len(told) < _KEPT:
            told.append(what)

    @property
    def total(self) -> int:
        """How many differences there are."""
        return sum(self.differences.values())


def compare_all(
    journal: Journal,
    stored: Stored,
    zones: Mapping[str, str | None],
    findings: Findings,
    *,
    whole: bool = True,
) -> None:
    """Compare samples, windows, ledger and rejected samples of everybody, and look for duplicates.

    Parameters
    ----------
    journal : Journal
        What was sent and acknowledged.
    stored : Stored
        What is there.
    zones : mapping
        Time zones of people; None: none was set.
    findings : Findings
        Where results are noted.
    whole : bool, optional
        Whether the database holds nothing but this run.
    """
    for wrong in journal.wrong_answers:
        findings.differ("answers", wrong)
    findings.checked["answers"] += len(journal.promised)
    by_user: dict[str, list[Sending]] = {}
    for upload in journal.uploads.values():
        by_user.setdefault(upload.user_id, []).append(upload)
    for user, uploads in by_user.items():
        known = compare_samples(uploads, stored.samples(user), findings)
        for table in SIZES:
            _compare_windows(
                table, windows_of(known, zones, table), stored.windows(user, table), findings
            )
        _compare_ledger(uploads, len(known), stored.ledger(user), findings)
        _compare_rejected(uploads, stored.rejected(user), findings)
    for view in KEYS if whole else ():
        rows, keys = stored.rows_and_keys(view)
        findings.checked["rows behind views"] += rows
        if rows != keys:
            findings.differ("rows behind views", f"{view}: {rows} rows of {keys} keys")


def compare_samples(
    uploads: Sequence[Sending], found: Mapping[Identity, float], findings: Findings
) -> dict[Identity, float]:
    """Compare one person's samples; return those that may be there and are.

    What was acknowledged must be there; what is there must have been sent; of an upload that was
    never acknowledged either every sample is there or none.
    """
    promised = samples_of(upload for upload in uploads if upload.acknowledged)
    findings.checked["samples"] += len(promised)
    for identity, value in promised.items():
        got = found.get(identity)
        if got is None:
            findings.differ("samples acknowledged but not stored", _named(identity))
        elif got != value:
            findings.differ("samples of another value", f"{_named(identity)}: {got} for {value}")
    known = dict(promised)
    for upload in uploads:
        if not upload.acknowledged:
            known |= _in_doubt(upload, promised, found, findings)
    for identity in found.keys() - known.keys():
        findings.differ("samples stored but not sent", _named(identity))
    return known


def _in_doubt(
    upload: Sending,
    promised: Mapping[Identity, float],
    found: Mapping[Identity, float],
    findings: Findings,
) -> dict[Identity, float]:
    own = {identity: value for identity, value in identities(upload) if identity not in promised}
    there = {identity: value for identity, value in own.items() if found.get(identity) == value}
    findings.checked["uploads in doubt"] += 1
    if there and len(there) != len(own):
        findings.differ("uploads stored in part", f"{upload.upload_id}: {len(there)}/{len(own)}")
    return there


def _compare_windows(
    table: str,
    wanted: Mapping[tuple[str, str, int], Window],
    found: Mapping[tuple[str, str, int], Window],
    findings: Findings,
) -> None:
    findings.checked[table] += len(wanted)
    for key in wanted.keys() | found.keys():
        ours, theirs = wanted.get(key), found.get(key)
        if ours is None or theirs is None:
            what = "is not there" if theirs is None else "should not be there"
            findings.differ(table, f"{key} {what}")
        elif wrong := [name for name in _COLUMNS if not _same(name, ours, theirs)]:
            told = ", ".join(
                f"{name} {getattr(theirs, name)} for {getattr(ours, name)}" for name in wrong
            )
            findings.differ(table, f"{key}: {told}")


_COLUMNS: Final = tuple(column.name for column in fields(Window))


def _same(name: str, ours: Window, theirs: Window) -> bool:
    wanted, found = getattr(ours, name), getattr(theirs, name)
    if name == "variance":
        both_missing = math.isnan(wanted) and math.isnan(found)
        return both_missing or abs(wanted - found) <= _VARIANCE * max(1.0, wanted)
    if name == "mean":
        return math.isclose(wanted, found, rel_tol=1e-12)
    return bool(wanted == found)


def _compare_ledger(
    uploads: Iterable[Sending],
    samples: int,
    rows: Mapping[str, Mapping[str, Any]],
    findings: Findings,
) -> None:
    sent = {upload.upload_id: upload for upload in uploads}
    for upload in sent.values():
        if not upload.acknowledged:
            continue
        findings.checked["ledger"] += 1
        row = rows.get(upload.upload_id)
        if row is None:
            findings.differ("ledger", f"{upload.upload_id} is missing")
            continue
        wanted = {"accepted": upload.good, "rejected": len(upload.wrong), "dead_lettered": 0,
                  "balanced": True}  # fmt: skip
        if any(row[name] != value for name, value in wanted.items()):
            findings.differ("ledger", f"{upload.upload_id}: {dict(row)}, expected {wanted}")
    for upload_id in rows.keys() - sent.keys():
        findings.differ("ledger", f"{upload_id} was never sent")
    counted = sum(row["stored"] for row in rows.values())
    if counted != samples:
        findings.differ("ledger", f"{counted} samples stored, expected {samples}")


def _compare_rejected(
    uploads: Iterable[Sending],
    rows: Mapping[str, Mapping[tuple[int, int], str]],
    findings: Findings,
) -> None:
    sent = {upload.upload_id: upload for upload in uploads}
    for upload in sent.values():
        found = rows.get(upload.upload_id, {})
        findings.checked["rejected samples"] += len(upload.wrong)
        if found != upload.wrong and (upload.acknowledged or found):
            findings.differ(
                "rejected samples", f"{upload.upload_id}: {found}, expected {upload.wrong}"
            )
    for upload_id in rows.keys() - sent.keys():
        findings.differ("rejected samples", f"{upload_id} was never sent")


def compare_dead_letters(
    poison: Sequence[Poison], letters: Sequence[Mapping[str, Any]], findings: Findings
) -> None:
    """Check that every poison record is a dead letter with its bytes, and nothing else is one."""
    known = {_digest(one.value) for one in poison}
    digests = {letter["digest"] for letter in letters}
    places = {(letter["topic"], letter["partition"], letter["offset"]): letter["digest"]
              for letter in letters}  # fmt: skip
    for one in poison:
        place = (one.topic, one.partition, one.offset)
        findings.checked["dead letters"] += one.topic in (*STORED, *APPLIED)
        kept = places.get(place) if one.topic in STORED else _digest(one.value)
        if one.topic in STORED and kept != _digest(one.value):
            findings.differ("dead letters", f"poison at {place} is not kept")
        if one.topic in APPLIED and kept not in digests:
            findings.differ("dead letters", f"poison at {place} is not kept")
    for letter in letters:
        if letter["digest"] not in known:
            findings.differ("dead letters", f"not poison: {dict(letter)}")
    origins = Counter(
        (letter["origin_topic"], letter["origin_partition"], letter["origin_offset"])
        for letter in letters
        if letter["origin_offset"] >= 0
    )
    for origin, times in origins.items():
        if times > 1:
            findings.differ("dead letters", f"{origin} is kept {times} times")


def _digest(value: bytes) -> str:
    return hashlib.md5(value, usedforsecurity=False).hexdigest().upper()


def _named(identity: Identity) -> str:
    user, metric, device, at = identity
    return f"{user} {metric} {device} {at}"
