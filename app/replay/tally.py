"""What became of the uploads of a replay: counts, kept while it runs, and its summary."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import orjson

from app.replay.uploads import Upload

_DISTINCT = 20
"""Most distinct reasons that are told apart."""


class Tally:
    """Counts of one replay.

    Attributes
    ----------
    uploads
        Uploads that were answered with 202.
    samples_sent
        Samples of all uploads that were answered, with 202 or a refusal.
    accepted, rejected, repeated
        Samples, as the gateway's answers count them; ``accepted`` includes ``repeated``.
    failed_uploads
        Uploads that the gateway refused as a whole.
    retries
        How often an upload had to be sent again.
    skipped
        Samples that were never sent, since the gateway was away for too long.
    reasons, failures
        Why samples were rejected and uploads refused or files unreadable; a bounded number.
    trouble
        What the last retry was for; empty when the last upload went through.
    behind_ms
        How far a demo's event time is behind the present.
    work, done
        Size of the finite work and what of it is done, in any unit; 0 when it is endless.
    """

    def __init__(self) -> None:
        self.uploads = self.samples_sent = self.failed_uploads = 0
        self.accepted = self.rejected = self.repeated = 0
        self.retries = self.skipped = self.behind_ms = 0
        self.reasons: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.trouble = ""
        self.work = self.done = 0.0

    def take(self, upload: Upload, answer: dict[str, Any]) -> None:
        """Count an upload that was answered with 202 and ``answer``.

        Raises
        ------
        KeyError, TypeError, ValueError
            When it is no answer of a gateway; nothing was counted.
        """
        accepted, repeated = int(answer["accepted"]), int(answer.get("repeated", 0))
        reasons = [str(entry["reason"]) for entry in answer["rejected"]]
        self.accepted += accepted
        self.repeated += repeated
        self.rejected += len(reasons)
        for reason in reasons:
            _note(self.reasons, reason)
        self.uploads += 1
        self.samples_sent += upload.samples
        self.trouble = ""

    def refuse(self, upload: Upload, reason: str) -> None:
        """Count an upload that was refused."""
        self.failed_uploads += 1
        self.samples_sent += upload.samples
        _note(self.failures, reason)

    def fail(self, reason: str) -> None:
        """Count something else that keeps the replay from being whole."""
        _note(self.failures, reason)

    def retry(self, trouble: str) -> None:
        """Count one more attempt, and remember what it is for."""
        self.retries += 1
        self.trouble = trouble

    @property
    def unaccounted(self) -> int:
        """Samples of accepted uploads that the answers count neither as accepted nor rejected."""
        if self.failed_uploads:
            return 0  # it is not known which samples they would have been
        return self.samples_sent - self.accepted - self.rejected


def write_atomically(path: Path, document: dict[str, Any]) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    draft.replace(path)


def _note(counter: Counter[str], reason: str) -> None:
    known = reason in counter or len(counter) < _DISTINCT
    counter[reason if known else "other reasons"] += 1
