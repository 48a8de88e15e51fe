"""What a person's records say, as the rows of one live message of bounded size."""

from collections.abc import Sequence
from typing import Any, Final

from app.live.records import Record, Samples, Windows

_POINTS_OF_A_WINDOW: Final = 8
"""How many samples are about as long, as JSON, as one window."""


def rows_of(records: Sequence[Record], user: str, points_max: int) -> dict[str, Any]:
    """Return a person's samples and windows in some records.

    Parameters
    ----------
    records : sequence of Record
        In the order in which they were read.
    user : str
        The person.
    points_max : int
        Most samples; the newest records win.

    Returns
    -------
    dict
        ``samples``: list of {metric, device, received, times, values}; ``windows``: list of
        {metric, size, start, end, count, mean, min, max, low, high, version} columns; ``cut``:
        whether something was left out, to be read from the history instead.
    """
    samples: list[dict[str, Any]] = []
    windows: list[dict[str, Any]] = []
    left, cut = points_max, False
    for record in reversed(records):
        body = record.body
        if isinstance(body, Samples):
            for series in body.of(user):
                kept = min(len(series["times"]), left)
                cut |= kept < len(series["times"])
                if kept:
                    series["times"], series["values"] = (
                        series["times"][-kept:],
                        series["values"][-kept:],
                    )
                    samples.append(series)
                left -= kept
        elif isinstance(body, Windows):
            for columns in body.of(user):
                kept = min(len(columns["start"]), left // _POINTS_OF_A_WINDOW)
                cut |= kept < len(columns["start"])
                if kept:
                    windows.append(_last(columns, kept))
                left -= kept * _POINTS_OF_A_WINDOW
    samples.reverse()
    windows.reverse()
    return {"samples": samples, "windows": windows, "cut": cut}


def _last(columns: dict[str, Any], count: int) -> dict[str, Any]:
    return {
        name: column if isinstance(column, str) else column[-count:]
        for name, column in columns.items()
    }
