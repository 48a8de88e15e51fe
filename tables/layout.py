"""How the state of a series lies in memory: fixed rows, one a series, and their empty values."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.windows import DAY, HOUR, MINUTE

NEVER: Final = -(1 << 61)
"""An instant before all others: the newest sample, or the floor, of a series without any."""
EPOCH_2020_MS: Final = 1_577_836_800_000
DEVICE_BITS: Final = 16
DEVICES_MAX: Final = 1 << 8
"""Most devices of one person that kept samples may name."""

WINDOW: Final = np.dtype(
    [
        ("start", "<i8"),
        ("end", "<i8"),
        ("count", "<i8"),
        ("version", "<i8"),
        ("first_ms", "<i8"),
        ("last_ms", "<i8"),
        ("sum", "<f8"),
        ("sum_sq", "<f8"),
        ("min", "<f8"),
        ("max", "<f8"),
        ("first", "<f8"),
        ("last", "<f8"),
        ("low", "<f8"),
        ("high", "<f8"),
        ("in_care", "<i8"),
    ]
)
"""What is kept of an open window.

``start`` and ``end`` (exclusive) bound it, epoch milliseconds. ``count`` … ``last`` are over all
its samples: how many, the sum of their ranks, the first and last instant, sum, sum of squares,
least and greatest value, and the values at the first and last instant (the least, respectively the
greatest, where several devices share it). ``low`` and ``high`` are the least and greatest of those
of its samples that are below the floor, and so no longer kept. ``in_care``: samples older than the
floor have come, so that its row is the business of late data.
"""

MINUTE_SLOT: Final = 0
HOUR_SLOT: Final = 1
HOUR_BEFORE: Final = 2
DAY_SLOT: Final = 3
DAY_BEFORE: Final = 4
SLOTS: Final = {
    MINUTE: (MINUTE_SLOT,),
    HOUR: (HOUR_SLOT, HOUR_BEFORE),
    DAY: (DAY_SLOT, DAY_BEFORE),
}
"""By size the slots of a series' latest windows, the newest first."""

SERIES: Final = np.dtype([("newest", "<i8"), ("floor", "<i8"), ("windows", WINDOW, (5,))])
"""What is kept of a series beside its recent samples.

``newest`` is the latest instant; samples before ``floor`` are not kept. ``windows`` are the
latest minute, the latest two hours and the latest two local days that have samples.
"""


def _empty_window() -> NDArray[Any]:
    empty = np.zeros((), WINDOW)
    for name, value in (
        ("start", NEVER), ("end", NEVER), ("first_ms", -NEVER), ("last_ms", NEVER),
        ("min", np.inf), ("max", -np.inf), ("low", np.inf), ("high", -np.inf),
    ):  # fmt: skip
        empty[name] = value
    return empty


EMPTY_WINDOW: Final = _empty_window()


def _empty_series() -> NDArray[Any]:
    empty = np.zeros((), SERIES)
    empty["newest"] = empty["floor"] = NEVER
    empty["windows"][...] = EMPTY_WINDOW
    return empty


EMPTY_SERIES: Final = _empty_series()


def stamps(ranks: NDArray[np.int64], devices: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return what is kept with samples: their rank (ms since 2020) and the code of their device."""
    return (ranks << DEVICE_BITS) | devices


def ranks_of(stamp: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ranks in stamps: ``received_ms`` since 2020."""
    return stamp >> DEVICE_BITS


def devices_of(stamp: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the device codes in stamps."""
    return stamp & ((1 << DEVICE_BITS) - 1)


def put(rows: NDArray[Any], which: NDArray[np.int64], replacing: NDArray[Any]) -> None:
    """Replace structured rows, each at most once, as plain bytes.

    NumPy assigns structures field by field, which takes ten times as long. To read rows,
    ``rows.take(which)`` is as fast.
    """
    whole = np.dtype((np.void, rows.dtype.itemsize))
    rows.view(whole)[which] = replacing.view(whole)
