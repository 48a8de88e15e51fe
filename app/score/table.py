"""Reading a recording of columns: one row of numbers at a time, strictly."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, TextIO

from app.errors import RecordingError
from schemas.catalogue import catalogue

TIME: Final = "time"
VALUE: Final = "value"
"""The column of a series of an unknown kind; stands alone beside the time."""

MAX_LINE: Final = 65_536
"""Most characters in one line; what is held of a file at a time."""

MAX_NUMBER: Final = 1e300
"""Greatest absolute value; the difference of two such is still a number."""


class Row(NamedTuple):
    """A row: its number from 1, its time as written, and what the chosen columns hold."""

    number: int
    time: str
    values: list[float | None]


class Table:
    """A CSV file with the column ``time`` and columns of numbers; a context manager.

    The header names metrics of the catalogue, or ``value`` alone. Empty cells, and ``nan``, are
    missing values. Lines without any content are passed over, and are no rows.

    Parameters
    ----------
    path
        The file, UTF-8.

    Attributes
    ----------
    columns
        Names of the columns, without ``time``.

    Raises
    ------
    RecordingError
        When it cannot be read, or its header is not as described.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._line = self._row = 0
        with ExitStack() as stack:
            self._file: TextIO = stack.enter_context(_open(path))
            header = self._next()
            if header is None:
                raise RecordingError(f"{path} is empty; its first line names the columns")
            names = [name.strip() for name in header]
            try:
                self._check(names)
            except ValueError as error:
                raise RecordingError(f"{path}, header: {error}") from error
            self._names = names
            self._stack = stack.pop_all()
        self.columns: Sequence[str] = [name for name in names if name != TIME]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Read the rows, once.

        Parameters
        ----------
        columns
            Which columns to read; cells of others are not looked at.

        Raises
        ------
        RecordingError
            When a row is malformed; the message names it.
        """
        time = self._names.index(TIME)
        wanted = [(self._names.index(name), name) for name in columns]
        width = len(self._names)
        while (cells := self._next()) is not None:
            self._row += 1
            try:
                if len(cells) != width:
                    raise ValueError(f"{len(cells)} cells, but {width} columns")  # noqa: TRY301
                values = [_number(cells[at], name) for at, name in wanted]
            except ValueError as error:
                raise self.wrong(error) from error
            yield Row(self._row, cells[time], values)

    def wrong(self, reason: object) -> RecordingError:
        """Return the error that says what is wrong with the row that was read last."""
        return RecordingError(f"{self._path}, row {self._row} (line {self._line}): {reason}")

    def _next(self) -> list[str] | None:
        """Return the cells of the next line with any content; None at the end."""
        while True:
            try:
                line = self._file.readline(MAX_LINE + 1)
            except OSError as error:
                raise RecordingError(f"{self._path} cannot be read: {error.strerror}") from error
            except UnicodeDecodeError as error:
                place = f"after line {self._line}"
                raise RecordingError(f"{self._path}: not UTF-8, {place}") from error
            if not line:
                return None
            self._line += 1
            if len(line) > MAX_LINE:
                raise RecordingError(
                    f"{self._path}, line {self._line}: longer than {MAX_LINE:,} characters"
                )
            line = line.rstrip("\r\n")
            if line.strip():
                return self._cells(line)

    def _cells(self, line: str) -> list[str]:
        if '"' not in line:
            return line.split(",")
        try:
            return next(csv.reader([line], strict=True))
        except csv.Error as error:
            raise RecordingError(f"{self._path}, line {self._line}: {error}") from error

    @staticmethod
    def _check(names: Sequence[str]) -> None:
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"column {doubled[0]!r} appears more than once")
        if TIME not in names:
            raise ValueError(f"there is no column {TIME!r}")
        if len(names) == 1:
            raise ValueError(f"there is no column besides {TIME!r}")
        if VALUE in names and len(names) > 2:
            raise ValueError(f"column {VALUE!r} stands for an unknown series, and alone")
        for name in names:
            if name not in {TIME, VALUE} and name not in catalogue():
                shown = name if len(name) <= 40 else f"{name[:40]}…"
                raise ValueError(f"column {shown!r} is no metric of the catalogue")


def _open(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig", newline="\n")
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from error


def _number(text: str, name: str) -> float | None:
    """Read a cell; None when it is missing."""
    text = text.strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("inf")
    if value != value:  # noqa: PLR0124  (NaN; faster than a call for each cell)
        return None
    if not -MAX_NUMBER <= value <= MAX_NUMBER or "_" in text:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        raise ValueError(f"{name} {shown!r} is not a finite number")
    return value
