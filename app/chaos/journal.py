"""The suite's own record of what was sent and what was acknowledged."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import orjson


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples of one metric in an upload.

    Attributes
    ----------
    metric, unit : str
        As sent; the unit is the metric's canonical one, or one that is worth the same.
    times : tuple
        Epoch milliseconds; anything else where ``wrong`` says so.
    values : tuple
        Numbers; anything else where ``wrong`` says so.
    wrong : mapping of int to str
        Positions of samples that a gateway has to reject, and the reason that it has to give.
    """

    metric: str
    unit: str
    times: tuple[Any, ...]
    values: tuple[Any, ...]
    wrong: Mapping[int, str] = field(default_factory=dict)

    def good(self) -> Iterator[tuple[int, float]]:
        """Yield (time, value) of the samples that have to be accepted."""
        for place, sample in enumerate(zip(self.times, self.values, strict=True)):
            if place not in self.wrong:
                yield sample


@dataclass(slots=True)
class Sending:
    """An upload, and what became of it.

    Attributes
    ----------
    order : int
        Of two uploads of one device that give one sample different values, the one of higher
        order was sent after the other had been acknowledged.
    attempts : int
        How often it was sent.
    answer : dict, optional
        The body of the 202, or of the WebSocket's acknowledgement; None: none ever came.
    """

    upload_id: str
    user_id: str
    device_id: str
    source: str
    action: str
    pieces: tuple[Piece, ...]
    order: int
    attempts: int = 0
    answer: dict[str, Any] | None = None

    @property
    def acknowledged(self) -> bool:
        """Whether the gateway has promised to keep it."""
        return self.answer is not None

    @property
    def good(self) -> int:
        """How many of its samples have to be accepted."""
        return sum(len(piece.times) - len(piece.wrong) for piece in self.pieces)

    @property
    def wrong(self) -> dict[tuple[int, int], str]:
        """The samples that have to be rejected, (series, index), and the reasons."""
        return {
            (series, index): reason
            for series, piece in enumerate(self.pieces)
            for index, reason in piece.wrong.items()
        }

    def body(self) -> dict[str, Any]:
        """Return the document that a device sends."""
        return {
            "upload_id": self.upload_id,
            "user_id": self.user_id,
            "device_id": self.device_id,
            "source": self.source,
            "series": [
                {"metric": p.metric, "unit": p.unit, "times": p.times, "values": p.values}
                for p in self.pieces
            ],
        }


class Journal:
    """Every upload in memory, and on disk as evidence.

    Parameters
    ----------
    path : Path
        A new file of JSON lines: an upload when it is first sent, and its acknowledgements.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self.uploads: dict[str, Sending] = {}
        self.wrong_answers: list[str] = []
        """Answers that differ from what the contract says."""
        self.repeated = 0
        """How often an upload that had been acknowledged was sent, and acknowledged, again."""

    def __enter__(self) -> Self:
        self._file = self._path.open("xb", buffering=1 << 16)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def sending(self, upload: Sending) -> None:
        """Note that an upload is about to be sent, perhaps not for the first time."""
        upload.attempts += 1
        if upload.upload_id not in self.uploads:
            self.uploads[upload.upload_id] = upload
            self._write({"sent": upload.body(), "action": upload.action, "order": upload.order})

    def acknowledged(self, upload: Sending, answer: dict[str, Any]) -> None:
        """Note an acknowledgement, and whether it says what it has to say."""
        if upload.acknowledged:
            self.repeated += 1
        else:
            upload.answer = answer
            self._write({"acknowledged": upload.upload_id, "answer": answer})
        rejected = {(one["series"], one["index"]): one["reason"] for one in answer["rejected"]}
        if (answer["accepted"], rejected) != (upload.good, upload.wrong):
            self.wrong_answers.append(
                f"upload {upload.upload_id}: {answer['accepted']} accepted, rejected {rejected}; "
                f"expected {upload.good} and {upload.wrong}"
            )

    def refused(self, upload: Sending, reason: str) -> None:
        """Note that the gateway would not have an upload at all."""
        self.wrong_answers.append(f"upload {upload.upload_id} was refused: {reason}")
        self._write({"refused": upload.upload_id, "reason": reason})

    @property
    def promised(self) -> list[Sending]:
        """The uploads that were acknowledged."""
        return [upload for upload in self.uploads.values() if upload.acknowledged]

    @property
    def in_doubt(self) -> list[Sending]:
        """The uploads that were sent and never acknowledged: they may be there or not."""
        return [upload for upload in self.uploads.values() if not upload.acknowledged]

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(orjson.dumps(line) + b"\n")
