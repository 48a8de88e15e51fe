"""The bundled recordings as series, and what detection says about them."""

import csv
from collections.abc import Iterable, Iterator
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Final

import numpy as np

from app.replay.recording import Recording, bundled, load
from schemas.catalogue import catalogue
from tables.alerts import Alert
from tables.detection import watched
from tests.detection.feeding import CODES, Keeper, Series

GOLDEN: Final = Path(__file__).with_name("golden.csv")
COLUMNS: Final = (
    "user_id", "metric", "rule", "rule_version", "severity", "status", "revision", "opened_ms",
    "changed_ms", "window_start_ms", "value", "expected_low", "expected_high", "baseline_count",
)  # fmt: skip


@cache
def everyone() -> dict[str, Series]:
    """Return the series of all watched metrics by person and metric."""
    return {
        f"{recording.person}/{series.metric}": series
        for path in bundled()
        for recording in load(path)
        for series in _series(recording)
    }


def _series(recording: Recording) -> Iterator[Series]:
    for metric in sorted(set(recording.metrics)):
        if not watched()[CODES[metric]]:
            continue
        codes = [code for code, name in enumerate(recording.metrics) if name == metric]
        units = np.array(recording.units)[recording.metric]
        of_metric = np.isin(recording.metric, codes)
        times, values = recording.time_ms[of_metric], recording.value[of_metric].copy()
        for unit in set(recording.units):
            of_unit = units[of_metric] == unit
            if of_unit.any():
                values[of_unit] = catalogue()[metric].conversions[unit].apply(values[of_unit])
        times, first = np.unique(times, return_index=True)
        yield Series(metric, times, values[first])


@cache
def everyones_alerts() -> list[Alert]:
    """Return the alerts about all of them, each person and metric in order."""
    keeper = Keeper()
    keeper.feed(everyone())
    return [alert for name in sorted(keeper.alerts) for alert in keeper.alerts[name]]


def as_csv(alerts: Iterable[Alert]) -> str:
    """Return alerts as the lines of a table; numbers to six digits, ids shortened."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows([_cell(getattr(alert, name)) for name in COLUMNS] for alert in alerts)
    return text.getvalue()


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value).split("/")[0]


if __name__ == "__main__":
    GOLDEN.write_text(as_csv(everyones_alerts()), encoding="utf-8")
