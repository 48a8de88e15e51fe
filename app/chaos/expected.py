"""What has to be stored, computed from the journal alone, with none of the product's rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from app.chaos.journal import Sending

Identity = tuple[str, str, str, int]
"""Person, metric, device, instant in epoch milliseconds."""
SIZES: Final = {"windows_1m": 60_000, "windows_1h": 3_600_000, "windows_1d": 0}
"""Width in milliseconds of each window table; 0: a day of the person's time zone."""


def samples_of(uploads: Iterable[Sending]) -> dict[Identity, float]:
    """Return the value that counts of every sample.

    Of two uploads that give one sample different values the one of higher order was sent after
    the other had been acknowledged.
    """
    in_order = sorted(uploads, key=lambda one: one.order)
    return {identity: value for upload in in_order for identity, value in identities(upload)}


def identities(upload: Sending) -> Iterable[tuple[Identity, float]]:
    """Yield the samples of an upload that have to be accepted."""
    for piece in upload.pieces:
        for at, value in piece.good():
            yield (upload.user_id, piece.metric, upload.device_id, at), float(value)


@dataclass(frozen=True, slots=True)
class Window:
    """A window row; ``variance`` is that of a sample (n - 1), NaN for one value."""

    end_ms: int
    count: int
    sum: float
    mean: float
    variance: float
    min: float
    max: float
    first: float
    last: float


WindowKey = tuple[str, str, int]
"""Person, metric, start of the window in epoch milliseconds."""


def windows_of(
    samples: Mapping[Identity, float], zones: Mapping[str, str | None], table: str
) -> dict[WindowKey, Window]:
    """Compute every window of a table.

    Parameters
    ----------
    samples : mapping
        Values by identity.
    zones : mapping
        Time zones of people; None is UTC.
    table : str
        A key of :data:`SIZES`.
    """
    series: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for (user, metric, _, at), value in samples.items():
        series.setdefault((user, metric), []).append((at, value))
    found: dict[WindowKey, Window] = {}
    for (user, metric), pairs in series.items():
        pairs.sort()  # by instant, then by value: so the first and last value are defined
        times = np.array([at for at, _ in pairs], np.int64)
        values = np.array([value for _, value in pairs], np.float64)
        starts, ends = _bounds(times, SIZES[table], zones.get(user))
        cuts = np.flatnonzero(np.diff(starts)) + 1
        for part in np.split(np.arange(len(times)), cuts):
            inside = values[part]
            found[user, metric, int(starts[part[0]])] = Window(
                int(ends[part[0]]), len(inside), float(inside.sum()), float(inside.mean()),
                float(inside.var(ddof=1)) if len(inside) > 1 else float("nan"),
                float(inside.min()), float(inside.max()), float(inside[0]), float(inside[-1]),
            )  # fmt: skip
    return found


def _bounds(
    times: NDArray[np.int64], width: int, zone: str | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (n,) starts and ends of the windows that hold instants, which ascend."""
    if width:
        starts = times // width * width
        return starts, starts + width
    midnights = _midnights(int(times[0]), int(times[-1]), ZoneInfo(zone or "UTC"))
    place = np.searchsorted(midnights, times, "right")
    return midnights[place - 1], midnights[place]


def _midnights(first_ms: int, last_ms: int, zone: ZoneInfo) -> NDArray[np.int64]:
    day = datetime.fromtimestamp(first_ms / 1000, UTC).astimezone(zone).date()
    found: list[int] = []
    while not found or found[-1] <= last_ms:
        midnight = datetime.combine(day, time.min, zone)
        found.append(int(midnight.timestamp()) * 1000)
        day += timedelta(days=1)
    return np.array(found, np.int64)
