"""Local days: which day of a person's own calendar an instant belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from app.errors import ConfigurationError
from schemas.columns import Int64

MINUTE_MS = 60_000


@lru_cache(maxsize=512)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises
    ------
    ConfigurationError
        If there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(f"no time zone is called {name!r}") from error


@lru_cache(maxsize=65_536)
def _midnights(name: str, ordinal: int) -> tuple[int, int]:
    """Return the first instants of a local date and of the next one, epoch milliseconds."""
    tz = zone(name)
    day = datetime.fromordinal(ordinal)
    # A midnight that a change of clocks skips is read with the earlier offset, which gives the
    # instant of the change: the first of that day.
    bounds = [d.replace(tzinfo=tz).timestamp() for d in (day, day + timedelta(days=1))]
    return int(bounds[0] * 1000), int(bounds[1] * 1000)


def local_day(name: str, time_ms: int) -> tuple[int, int]:
    """Return the bounds of the local day of an instant, the end exclusive, epoch milliseconds."""
    instant = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(zone(name))
    return _midnights(name, instant.toordinal())


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of one person.

    Attributes
    ----------
    since : tuple of int
        Instants from which each zone holds, ascending, whole minutes; the first zone holds before
        its instant too.
    zones : tuple of str
        IANA names, as many.

    A day that a change of zone interrupts is cut there, so that the days of a person never
    overlap and leave no instant out.
    """

    since: tuple[int, ...]
    zones: tuple[str, ...]

    @classmethod
    def of_zone(cls, name: str) -> "Calendar":
        """Return the calendar of a person who has always been in one zone."""
        return cls((0,), (name,))

    @classmethod
    def of_history(cls, history: Sequence[tuple[int, str]]) -> "Calendar":
        """Return the calendar of a person who set zones at instants; seconds are rounded up."""
        ordered = sorted((-(-since // MINUTE_MS) * MINUTE_MS, name) for since, name in history)
        return cls(tuple(s for s, _ in ordered), tuple(n for _, n in ordered))

    def day(self, time_ms: int) -> tuple[int, int]:
        """Return the bounds of the day of an instant, the end exclusive, epoch milliseconds."""
        at = max(int(np.searchsorted(self.since, time_ms, "right")) - 1, 0)
        start, end = local_day(self.zones[at], time_ms)
        if at > 0:
            start = max(start, self.since[at])
        if at + 1 < len(self.since):
            end = min(end, self.since[at + 1])
        return start, end

    def days(self, times: Int64) -> list[tuple[int, int]]:
        """Return the distinct days of ascending instants, ascending."""
        found: list[tuple[int, int]] = []
        at = 0
        while at < len(times):
            found.append(self.day(int(times[at])))
            at = int(np.searchsorted(times, found[-1][1], "left"))
        return found


def days_of(calendars: Sequence[Calendar], series: Int64, times: Int64) -> tuple[Int64, Int64]:
    """Return the bounds of the local days of instants: two columns of shape (n,).

    Parameters
    ----------
    calendars : sequence of Calendar
        The days of each series' person.
    series, times : (n,) int64
        Index of the series, and the instant; ordered by both, so that a day is looked up once.
    """
    start, end = np.empty_like(times), np.empty_like(times)
    known = (-1, 0, 0)
    for at, (i, time) in enumerate(zip(series.tolist(), times.tolist(), strict=True)):
        if i != known[0] or not known[1] <= time < known[2]:
            known = (i, *calendars[i].day(time))
        start[at], end[at] = known[1], known[2]
    return start, end
