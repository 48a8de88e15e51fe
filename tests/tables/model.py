"""What the rules promise, computed the plain way: all samples in a dictionary, windows from it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np

from schemas.catalogue import catalogue
from schemas.windows import DAY, HOUR, HOUR_MS, MINUTE, MINUTE_MS
from tables.alerts import Alert
from tables.apply import Applied, Bounds, apply
from tables.arrivals import Arrivals
from tables.days import Calendar
from tables.layout import EPOCH_2020_MS
from tables.state import State

METRICS = tuple(catalogue())
HEART_RATE, SPO2 = METRICS.index("heart_rate"), METRICS.index("spo2")
T0 = 1_795_428_000_000  # 2026-11-23T10:00:00Z
CALENDARS = {
    "utc": Calendar.of_zone("UTC"),
    "kathmandu": Calendar.of_zone("Asia/Kathmandu"),
    "traveller": Calendar.of_history(
        [
            (0, "Europe/Berlin"),
            (T0 + 30 * MINUTE_MS, "America/New_York"),
            (T0 + 90 * MINUTE_MS, "Asia/Tokyo"),
        ]
    ),
}
PEOPLE = tuple(CALENDARS)
Window = tuple[str, int, int, int, int]
"""Person, metric code, size, start, end."""
Row = tuple[int, float, float, float, float, float, float, int]
"""Count, sum, sum of squares, least, greatest, first, last, version."""


@dataclass(frozen=True)
class Upload:
    """An upload: series by metric code as (times, values)."""

    upload_id: UUID
    person: str
    device: str
    received_ms: int
    series: dict[int, tuple[tuple[int, ...], tuple[float, ...]]]


def arrivals(state: State, uploads: Sequence[Upload]) -> Arrivals:
    """Return uploads as the rules take them."""
    users = [state.users([u.person], 0, CALENDARS.__getitem__)[0] for u in uploads]
    series = [(row, m, *s) for row, u in enumerate(uploads) for m, s in u.series.items()]
    return Arrivals(
        np.array(users, np.int64),
        np.array(
            [state.device(x, u.device) for x, u in zip(users, uploads, strict=True)], np.int64
        ),
        np.array([u.received_ms - EPOCH_2020_MS for u in uploads], np.int64),
        np.frombuffer(b"".join(u.upload_id.bytes for u in uploads), "V16"),
        np.array([row for row, *_ in series], np.int64),
        np.array([metric for _, metric, *_ in series], np.int64),
        np.array([len(times) for _, _, times, _ in series], np.int64),
        np.array([t for *_, times, _ in series for t in times], np.int64),
        np.array([v for *_, values in series for v in values], np.float64),
    )


@dataclass
class Model:
    """A state under test, beside the plain computation of all that it was given."""

    bounds: Bounds
    state: State = field(default_factory=lambda: State(len(METRICS)))
    rows: dict[Window, Row] = field(default_factory=dict)
    """Of each window the row of the highest version that was emitted, or computed for it late."""
    alerts: list[Alert] = field(default_factory=list)
    duplicates: int = 0
    late_samples: int = 0
    _samples: dict[tuple[str, int], dict[int, dict[str, tuple[int, float]]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    """By person and metric, by instant, by device: rank and value."""

    def give(self, uploads: Sequence[Upload]) -> Applied:
        """Apply uploads together."""
        applied = apply(self.state, arrivals(self.state, uploads), self.bounds)
        applied.commit()
        for upload, rank in zip(uploads, applied.rank.tolist(), strict=True):
            for metric, (times, values) in upload.series.items():
                for time, value in zip(times, values, strict=True):
                    of_devices = self._samples[upload.person, metric][time]
                    known = of_devices.get(upload.device, (-1, 0.0))
                    of_devices[upload.device] = max((rank, value), known)
        for window, row in [*self._emitted(applied), *self._late(applied)]:
            if window not in self.rows or row[-1] >= self.rows[window][-1]:
                self.rows[window] = row
        self.alerts += [alert for _, alert in applied.alerts]
        self.duplicates += int(applied.duplicate.sum())
        self.late_samples += int(applied.late_samples.sum())
        return applied

    def _series(self, slot: int) -> tuple[str, int]:
        user = int(self.state.series_user[slot])
        return self.state.user_ids[user], int(self.state.series_metric[slot])

    def _emitted(self, applied: Applied) -> Iterator[tuple[Window, Row]]:
        for rows in applied.windows:
            g = rows.groups
            columns = (g.count, g.sum, g.sum_sq, g.min, g.max, g.first, g.last, g.version)
            for at, row in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
                place = (rows.size, int(rows.start[at]), int(rows.end[at]))
                yield (*self._series(int(rows.series[at])), *place), row

    def _late(self, applied: Applied) -> Iterator[tuple[Window, Row]]:
        """Compute late windows from all samples, as the backfill does from stored ones."""
        for late in applied.late:
            for slot, size, start, end in zip(
                late.series.tolist(), late.size.tolist(), late.start.tolist(), late.end.tolist(),
                strict=True,
            ):  # fmt: skip
                window = (*self._series(slot), size, start, end)
                yield window, self._row(window)

    def _row(self, window: Window) -> Row:
        person, metric, _, start, end = window
        found = sorted(
            (time, value, rank)
            for time, of_devices in self._samples[person, metric].items()
            if start <= time < end
            for rank, value in of_devices.values()
        )
        values = [value for _, value, _ in found]
        return (
            len(values), sum(values), sum(v * v for v in values), min(values), max(values),
            values[0], values[-1], sum(rank for *_, rank in found),
        )  # fmt: skip

    def expected_rows(self) -> dict[Window, Row]:
        """Return the row of every window, from all samples."""
        windows: set[Window] = set()
        for person, metric, time in (
            (*of, time) for of, times in self._samples.items() for time in times
        ):
            minute, hour = time // MINUTE_MS * MINUTE_MS, time // HOUR_MS * HOUR_MS
            windows |= {
                (person, metric, MINUTE, minute, minute + MINUTE_MS),
                (person, metric, HOUR, hour, hour + HOUR_MS),
                (person, metric, DAY, *CALENDARS[person].day(time)),
            }
        return {window: self._row(window) for window in windows}

    def check(self) -> None:
        """Compare every window with the plain computation: all equal, none missing, none more."""
        expected = self.expected_rows()
        assert self.rows.keys() == expected.keys()
        for window, row in expected.items():
            # Values are multiples of a half, so that even the sums have no rounding.
            assert self.rows[window] == row, window


def cut(uploads: Sequence[Upload], sizes: Callable[[], int]) -> Iterator[Sequence[Upload]]:
    """Yield uploads in steps of these sizes."""
    at = 0
    while at < len(uploads):
        size = sizes()
        yield uploads[at : at + size]
        at += size
