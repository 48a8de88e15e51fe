"""A person's time zone changes: the open days of their series are cut anew."""

from typing import Any

from numpy.typing import NDArray

from tables.days import Calendar
from tables.layout import DAY_BEFORE, DAY_SLOT, EMPTY_WINDOW, NEVER


def recut(rows: NDArray[Any], calendar: Calendar) -> None:
    """Give series the days of another calendar.

    A day whose bounds are other than before is not known as a whole, as only recent samples are
    kept: it goes into the care of late data, which computes it from stored samples.

    Parameters
    ----------
    rows : (n,) SERIES
        The series; changed in place.
    calendar : Calendar
        The days from now on.
    """
    windows = rows["windows"]
    for i, newest in enumerate(rows["newest"].tolist()):
        if newest == NEVER:
            continue
        today = calendar.day(newest)
        before = calendar.day(today[0] - 1)
        for slot, (start, end) in ((DAY_SLOT, today), (DAY_BEFORE, before)):
            if (windows["start"][i, slot], windows["end"][i, slot]) == (start, end):
                continue
            windows[i, slot] = EMPTY_WINDOW
            if end > rows["floor"][i]:
                windows["start"][i, slot] = start
                windows["end"][i, slot] = end
                windows["in_care"][i, slot] = 1
