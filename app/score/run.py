"""From a file of rows to a file of scores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from app.errors import ConfigurationError, RecordingError
from app.score.moments import moment
from app.score.scorers import DETECTORS
from app.score.table import Table


@dataclass(frozen=True, slots=True)
class Summary:
    """What was scored.

    Attributes
    ----------
    rows
        How many rows.
    highest
        The highest score; 0 when there is no row.
    row, time
        Number and time of the first row with it; 0 and empty when every score is 0.
    reason
        What it rests on.
    """

    rows: int = 0
    highest: float = 0.0
    row: int = 0
    time: str = ""
    reason: str = ""


def score_file(detector: str, source: Path, target: Path) -> Summary:
    """Score the rows of a file; memory does not grow with their number.

    Parameters
    ----------
    detector
        A name of :data:`~app.score.scorers.DETECTORS`.
    source
        CSV, as :class:`~app.score.table.Table` reads it.
    target
        Where to write ``time,score``: the same rows in the same order, times as they came. It
        appears when it is whole; on an error, what was there before stays.

    Returns
    -------
    Summary
        Number of rows, and the most unusual of them.

    Raises
    ------
    RecordingError
        When ``source`` cannot be read or is malformed; the message names the row.
    ConfigurationError
        When there is no such detector, or ``target`` cannot be written.
    """
    if detector not in DETECTORS:
        known = ", ".join(DETECTORS)
        raise ConfigurationError(f"there is no detector {detector!r}; there are {known}")
    with Table(source) as table:
        try:
            columns = DETECTORS[detector].columns(table.columns)
        except ValueError as error:
            raise RecordingError(f"{source}, header: {error} ({detector})") from error
        try:
            with _whole(target) as output:
                return _score(detector, table, columns, output)
        except OSError as error:
            raise ConfigurationError(f"{target} cannot be written: {error.strerror}") from error


def _score(detector: str, table: Table, columns: list[str], output: TextIO) -> Summary:
    scorer = DETECTORS[detector].start(columns)
    best = Summary()
    number = 0
    output.write("time,score\n")
    for number, time, values in table.rows(columns):
        try:
            score = scorer.score(moment(time.strip()), values)
        except ValueError as error:
            raise table.wrong(error) from error
        output.write(f"{time},{score!r}\n")
        if score > best.highest:
            best = Summary(0, score, number, time.strip(), scorer.reason())
    return Summary(number, best.highest, best.row, best.time, best.reason)


@contextmanager
def _whole(target: Path) -> Iterator[TextIO]:
    """Open a file that takes the place of ``target`` at the end, unless an error ends it before."""
    target = target.resolve()
    if target.exists() and not target.is_file():
        raise ConfigurationError(f"{target} cannot be written: it is not a file")
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with draft.open("x", encoding="utf-8", newline="\n") as output:
            yield output
            output.flush()
            os.fsync(output.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
