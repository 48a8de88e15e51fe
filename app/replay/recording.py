"""Recordings on disk: reading them strictly, and moving them to another time.

A recording is a CSV file (``.csv`` or ``.csv.gz``, UTF-8) with a header line and one sample a line:

========  ========  ========================================================================
column              meaning
========  ========  ========================================================================
time      required  RFC 3339 with a zone, or whole milliseconds since 1970-01-01 UTC
metric    required  name of the metric, as in the catalogue of metrics
unit      required  unit of the value
value     required  a finite number
device    optional  id of the device; absent or empty: one default device per person
source    optional  where the data come from; absent or empty: ``file``
person    optional  id of the person; absent: the name of the file without its endings
========  ========  ========================================================================

Columns may stand in any order; an unknown column is an error, since it is most likely a misspelt
one. A person's id that is not a UUID becomes the UUIDv5 of it, so that the same name is always the
same person. Whether a metric is known, and its unit and value allowed, is for the gateway to say.
"""

import csv
import gzip
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from app.errors import RecordingError
from app.replay.fields import instant, number, person

MAX_SAMPLES = 10_000_000
"""Most samples in one file (about half a GB while it is read)."""
MAX_NAMES = 10_000
"""Most distinct people, (metric, unit) pairs and (device, source) pairs in one file."""
MAX_LINE = 4_096
"""Most characters in one line."""

_REQUIRED = ("time", "metric", "unit", "value")
_OPTIONAL = ("device", "source", "person")


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The samples of one person in columns of equal length ``n`` ≥ 1, ordered by time.

    Attributes
    ----------
    person
        Whose samples these are.
    time_ms
        int64 [n], milliseconds since 1970-01-01 UTC, ascending (equal instants keep the order of
        the file).
    metric
        int32 [n], codes into ``metrics`` and ``units``.
    metrics, units
        One entry per distinct (metric, unit) pair: a metric measured in two units has two codes.
    value
        float64 [n], in the unit of the sample's code.
    device
        int32 [n], codes into ``devices`` and ``sources``.
    devices, sources
        One entry per distinct (device, source) pair.

    Raises
    ------
    RecordingError
        When the columns differ in length, are empty or are not ordered by time.
    """

    person: UUID
    time_ms: NDArray[np.int64]
    metric: NDArray[np.int32]
    metrics: tuple[str, ...]
    units: tuple[str, ...]
    value: NDArray[np.float64]
    device: NDArray[np.int32]
    devices: tuple[str, ...]
    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.time_ms), len(self.metric), len(self.value), len(self.device)}
        if len(lengths) != 1 or lengths == {0}:
            raise RecordingError("the columns of a recording must be equally long and not empty")
        if np.any(np.diff(self.time_ms) < 0):
            raise RecordingError("the samples of a recording must be ordered by time")

    def __len__(self) -> int:
        return len(self.time_ms)

    @property
    def duration_ms(self) -> int:
        """Milliseconds between the first and the last instant."""
        return int(self.time_ms[-1] - self.time_ms[0])

    def retimed(self, end_ms: int, max_gap_ms: int | None = None) -> "Recording":
        """Move the recording so that its last instant is ``end_ms``; optionally shorten pauses.

        All metrics and devices share the one clock: each distinct instant of the recording is
        mapped to one new instant. The pause between two neighbouring instants (of whatever metric)
        becomes ``min(pause, max_gap_ms)``, hence samples keep their order, samples of one instant
        stay together, and different instants stay different: no two samples come to share
        (device, metric, instant) that did not before.

        Parameters
        ----------
        end_ms
            The new last instant, in milliseconds since 1970-01-01 UTC.
        max_gap_ms
            Longest pause that is kept, at least 1 ms; ``None`` keeps every pause as it is.

        Returns
        -------
        Recording
            A new recording, which shares all columns but ``time_ms`` with this one.

        Raises
        ------
        ValueError
            When ``max_gap_ms`` is less than 1.
        """
        pauses = np.diff(self.time_ms)
        if max_gap_ms is not None:
            if max_gap_ms < 1:
                raise ValueError(f"max_gap_ms is {max_gap_ms}, but must be at least 1")
            pauses = np.minimum(pauses, max_gap_ms)
        since_first = np.concatenate((np.zeros(1, np.int64), np.cumsum(pauses)))
        return replace(self, time_ms=since_first + (end_ms - since_first[-1]))


def bundled() -> list[Path]:
    """Paths of the recordings that come with the project, one person each, sorted by name."""
    return sorted((Path(__file__).parent / "recordings").glob("*.csv.gz"))


def load(path: Path) -> list[Recording]:
    """Read one file; the format is in this module's documentation.

    Parameters
    ----------
    path
        A ``.csv`` or ``.csv.gz`` file. Its lines may be in any order.

    Returns
    -------
    list of Recording
        One per person, in the order in which they first appear. Samples that repeat an identity
        are kept: removing duplicates is the stream's work.

    Raises
    ------
    RecordingError
        When the file cannot be read, holds no samples, exceeds a limit of this module, or has a
        malformed line; the message names file and line, never a value.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as text:
            return [samples.recording() for samples in _parse(text, path)]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise RecordingError(f"{path}: cannot be read: {error}") from error


@dataclass(slots=True)
class _Samples:
    """The samples of one person while the file is read."""

    person: UUID
    time_ms: "array[int]" = field(default_factory=lambda: array("q"))
    metric: "array[int]" = field(default_factory=lambda: array("i"))
    value: "array[float]" = field(default_factory=lambda: array("d"))
    device: "array[int]" = field(default_factory=lambda: array("i"))
    metrics: dict[tuple[str, str], int] = field(default_factory=dict)
    devices: dict[tuple[str, str], int] = field(default_factory=dict)

    def append(self, cells: dict[str, str]) -> None:
        """Parse and add one line; raises ValueError with the reason when it is malformed."""
        if not cells["metric"] or not cells["unit"]:
            raise ValueError("metric or unit is empty")
        device = cells.get("device") or str(uuid5(self.person, "device"))
        self.time_ms.append(instant(cells["time"]))
        self.value.append(number(cells["value"]))
        self.metric.append(_code(self.metrics, (cells["metric"], cells["unit"])))
        self.device.append(_code(self.devices, (device, cells.get("source") or "file")))

    def recording(self) -> Recording:
        """Return the samples ordered by time."""
        time_ms = np.frombuffer(self.time_ms, np.int64)
        order = np.argsort(time_ms, kind="stable")
        return Recording(
            person=self.person,
            time_ms=time_ms[order],
            metric=np.frombuffer(self.metric, np.int32)[order],
            metrics=tuple(metric for metric, _ in self.metrics),
            units=tuple(unit for _, unit in self.metrics),
            value=np.frombuffer(self.value, np.float64)[order],
            device=np.frombuffer(self.device, np.int32)[order],
            devices=tuple(device for device, _ in self.devices),
            sources=tuple(source for _, source in self.devices),
        )


def _parse(text: TextIO, path: Path) -> Iterable[_Samples]:
    """Read all lines into one :class:`_Samples` per person; errors name file and line."""
    rows = csv.reader(_lines(text), strict=True)
    try:
        return _people(rows, path.name.removesuffix(".gz").removesuffix(".csv")).values()
    except UnicodeDecodeError:
        raise  # a ValueError too, but of the file: the line is not known
    except (ValueError, csv.Error) as error:
        raise RecordingError(f"{path}:{max(1, rows.line_num)}: {error}") from error


def _people(rows: Iterator[list[str]], of_file: str) -> dict[str, _Samples]:
    """Return samples by the person's name in the file, or by the file's; raises ValueError."""
    people: dict[str, _Samples] = {}
    header = _header(next(rows, []))
    for count, row in enumerate(rows, start=1):
        if count > MAX_SAMPLES:
            raise ValueError(f"more than {MAX_SAMPLES:,} samples: split the file")
        if len(row) != len(header):
            raise ValueError(f"{len(row)} fields instead of {len(header)}")
        cells = dict(zip(header, row, strict=True))
        name = cells.get("person", of_file)
        if name not in people:
            if len(people) >= MAX_NAMES:
                raise ValueError(f"more than {MAX_NAMES:,} people: split the file")
            people[name] = _Samples(person(name))
        people[name].append(cells)
    if not people:
        raise ValueError("no samples")
    return people


def _lines(text: TextIO) -> Iterator[str]:
    """Lines of bounded length, so that a file without line ends cannot fill the memory."""
    while line := text.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise ValueError(f"the next line is longer than {MAX_LINE} characters")
        yield line


def _header(names: list[str]) -> list[str]:
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise ValueError(f"the header lacks {', '.join(missing)}")
    if len(set(names)) < len(names) or not set(names) <= {*_REQUIRED, *_OPTIONAL}:
        allowed = ", ".join((*_REQUIRED, *_OPTIONAL))
        raise ValueError(f"the header may hold each of these once and nothing else: {allowed}")
    return names


def _code(codes: dict[tuple[str, str], int], key: tuple[str, str]) -> int:
    code = codes.setdefault(key, len(codes))
    if code >= MAX_NAMES:
        raise ValueError(f"more than {MAX_NAMES:,} distinct metrics or devices: split the file")
    return code
