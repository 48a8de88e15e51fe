"""The windows that are expected are those that pandas computes."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from app.chaos.expected import Identity, samples_of, windows_of
from tests.chaos.scripts import device, made


def frame(samples: dict[Identity, float], zone: str, size: str) -> pd.DataFrame:
    rows = [(metric, at, value) for (_, metric, _, at), value in samples.items()]
    table = pd.DataFrame(rows, columns=["metric", "at", "value"]).sort_values(["at", "value"])
    local = pd.to_datetime(table["at"], unit="ms", utc=True).dt.tz_convert(zone)
    table["start"] = local.dt.normalize() if size == "D" else local.dt.floor(size)
    grouped = table.groupby(["metric", "start"])["value"]
    return grouped.agg(["count", "sum", "mean", "var", "min", "max", "first", "last"])


@pytest.mark.parametrize(
    ("table", "size"), [("windows_1m", "min"), ("windows_1h", "h"), ("windows_1d", "D")]
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_windows_are_those_of_pandas(table: str, size: str, zone: str) -> None:
    watch = device(4)
    samples = samples_of(made(4, watch, 400))
    found = windows_of(samples, {watch.user_id: zone}, table)
    wanted = frame(samples, zone if size == "D" else "UTC", size)
    assert len(found) == len(wanted)
    for (metric, start), row in wanted.iterrows():
        window = found[watch.user_id, metric, int(start.timestamp() * 1000)]
        assert window.count == row["count"]
        assert (window.min, window.max, window.first, window.last, window.sum) == (
            row["min"], row["max"], row["first"], row["last"], row["sum"],
        )  # fmt: skip
        assert window.mean == pytest.approx(row["mean"], rel=1e-12)
        np.testing.assert_allclose(window.variance, row["var"], rtol=1e-9)


def test_a_day_on_which_clocks_change_is_23_hours_long() -> None:
    at = int(datetime(2026, 3, 29, 12, tzinfo=UTC).timestamp() * 1000)
    [(key, window)] = windows_of(
        {("ann", "spo2", "watch", at): 98.0}, {"ann": "Europe/Berlin"}, "windows_1d"
    ).items()
    assert key[2] == int(datetime(2026, 3, 28, 23, tzinfo=UTC).timestamp() * 1000)
    assert window.end_ms - key[2] == 23 * 3_600_000


def test_the_upload_of_the_highest_order_counts() -> None:
    sent = made(9, device(9), 800)
    values = samples_of(sent)
    assert values == samples_of(reversed(sent))
    last = [upload for upload in sent if upload.action == "correct"][-1]
    for piece in last.pieces:
        for at, value in piece.good():
            assert values[last.user_id, piece.metric, last.device_id, at] == value
