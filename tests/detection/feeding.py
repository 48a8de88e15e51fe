"""Feeding series to detection in calls of any cut."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from schemas.catalogue import catalogue
from schemas.columns import Float64, Int64
from tables.alerts import Alert
from tables.detection import ROW, Active, Fresh, observe

SECOND: Final = 1000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
MIDNIGHT: Final = 20_000 * DAY
"""The day on which the series begin."""

CODES: Final = {name: code for code, name in enumerate(catalogue())}


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Samples of one metric: epoch milliseconds, strictly ascending, and values."""

    metric: str
    times: Int64
    values: Float64

    def __getitem__(self, part: slice) -> "Series":
        return Series(self.metric, self.times[part], self.values[part])

    def __len__(self) -> int:
        return len(self.times)


def stretches(
    metric: str,
    parts: Sequence[tuple[float, int]],
    *,
    step: int = MINUTE,
    start: int = MIDNIGHT,
) -> Series:
    """Return samples every ``step`` ms: each value for its number of samples."""
    values = np.concatenate([np.full(count, float(value)) for value, count in parts])
    return Series(metric, start + step * np.arange(len(values), dtype=np.int64), values)


def fresh(many: Sequence[Series], names: Sequence[str]) -> Fresh:
    """Return the samples of several series, none of them empty, as one call takes them."""
    owner = np.repeat(np.arange(len(many)), [len(series) for series in many])
    times = np.concatenate([series.times for series in many])
    values = np.concatenate([series.values for series in many])
    minutes = times - times % MINUTE
    new = np.ones(len(times), np.bool_)
    new[1:] = (minutes[1:] != minutes[:-1]) | (owner[1:] != owner[:-1])
    first = np.flatnonzero(new)
    return Fresh(
        metric=np.array([CODES[series.metric] for series in many], np.int16),
        minute_series=owner[first],
        minute_start=minutes[first],
        minute_first=np.append(first, len(times)),
        minute_min=np.minimum.reduceat(values, first),
        minute_max=np.maximum.reduceat(values, first),
        day_start=minutes[first] - minutes[first] % DAY,
        times=times,
        values=values,
        device_of=lambda sample: f"watch-{int(times[sample]) // HOUR % 3}",
        user_of=lambda series: names[series],
    )


@dataclass(slots=True)
class Keeper:
    """Keeps the states of series by name, and the alerts about them."""

    rows: dict[str, np.void] = field(default_factory=dict)
    active: dict[str, bytes] = field(default_factory=dict)
    alerts: dict[str, list[Alert]] = field(default_factory=dict)

    def feed(self, many: Mapping[str, Series]) -> list[Alert]:
        """Observe samples of several series in one call; what is active is packed in between."""
        names = [name for name, series in many.items() if len(series)]
        if not names:
            return []
        rows = np.array([self.rows.get(name, np.zeros((), ROW)[()]) for name in names], ROW)
        active = {
            at: Active.unpack(self.active.pop(name))
            for at, name in enumerate(names)
            if name in self.active
        }
        found = observe(rows, active, fresh([many[name] for name in names], names))
        for at, name in enumerate(names):
            self.rows[name] = rows[at].copy()
        self.active |= {names[at]: one.pack() for at, one in active.items()}
        for at, alert in found:
            self.alerts.setdefault(names[at], []).append(alert)
        return [alert for _, alert in found]

    def state(self) -> dict[str, tuple[bytes, bytes]]:
        """Return the bytes of all states."""
        return {
            name: (row.tobytes(), self.active.get(name, b"")) for name, row in self.rows.items()
        }


def alerts_of(series: Series, keeper: Keeper | None = None, rule: str | None = None) -> list[Alert]:
    """Return the alerts about a series fed in one call, of one rule or of all."""
    found = (keeper or Keeper()).feed({"ada": series})
    return [alert for alert in found if rule in (None, alert.rule)]


def story(alerts: Iterable[Alert]) -> list[tuple[str, str]]:
    """Return (status, severity) of each revision."""
    return [(alert.status, alert.severity) for alert in alerts]
