"""Checking every sample of an upload: a pure function of the upload and when it was received."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from app.gateway.documents import SeriesDocument, UploadDocument, Values
from app.gateway.times import UNREADABLE, instants
from app.settings import Settings
from schemas.catalogue import Conversion, Metric, catalogue
from schemas.columns import F64, I64, Float64, Int32, Int64

Reason = Literal[
    "unknown_metric",
    "bad_unit",
    "missing_time",
    "missing_value",
    "bad_time",
    "not_a_number",
    "future_time",
    "out_of_range",
]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
"""Why a sample is rejected; of several the first in this order is told."""

_UNITS_SHOWN: Final = 8
_AFTER_TRUE: Final = 2
_least, _most, _all = np.minimum.reduce, np.maximum.reduce, np.logical_and.reduce


class Series(NamedTuple):
    """Samples of one metric that were accepted.

    ``times`` (T,) int64 epoch milliseconds, strictly ascending; ``values`` (T,) float64 in the
    metric's canonical unit.
    """

    metric: str
    times: Int64
    values: Float64


class Rejection(NamedTuple):
    """Samples of one series that were rejected for one reason.

    ``series`` is the position of the series in the upload, ``indices`` (R,) int32 ascending
    positions in the series.
    """

    series: int
    indices: Int32
    reason: Reason
    detail: str


class CheckedUpload(NamedTuple):
    """An upload whose samples are sorted into accepted and rejected ones.

    Attributes
    ----------
    document : UploadDocument
        As it was sent.
    received_ms : int
        When a gateway first took it.
    series : tuple of Series
        One for each metric that has accepted samples, in order of first appearance.
    rejections : tuple of Rejection
        By series.
    accepted : int
        How many samples were accepted, repeated ones included.
    rejected : int
        How many were rejected.
    repeated : int
        How many accepted ones a later one of the same metric and instant replaced.
    """

    document: UploadDocument
    received_ms: int
    series: tuple[Series, ...]
    rejections: tuple[Rejection, ...]
    accepted: int
    rejected: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which instants are taken: from ``earliest_ms``, and ``ahead_ms`` beyond the receipt."""

    earliest_ms: int
    ahead_ms: int

    @classmethod
    def of(cls, settings: Settings) -> "Bounds":
        """Return the bounds that the settings give."""
        earliest = datetime(settings.earliest_year, 1, 1, tzinfo=UTC)
        return cls(int(earliest.timestamp()) * 1000, int(settings.future_tolerance_seconds * 1000))


def check(document: UploadDocument, received_ms: int, bounds: Bounds) -> CheckedUpload:
    """Sort the samples of an upload into accepted and rejected ones.

    Series of the same metric are merged. Of samples of one metric and instant the last in the
    document counts. The same arguments give the same result.
    """
    flawless = _flawless(document.series[0], received_ms, bounds)
    if flawless is not None and len(document.series) == 1:
        return CheckedUpload(document, received_ms, (flawless,), (), document.samples, 0, 0)
    accepted: dict[str, list[tuple[Int64, Float64]]] = {}
    rejections: list[Rejection] = []
    count = 0
    for number, series in enumerate(document.series):
        found = flawless if number == 0 else _flawless(series, received_ms, bounds)
        if found is not None:
            times, values = found.times, found.values
        else:
            metric = catalogue().get(series.metric)
            times, values, codes = _samples(series, metric, received_ms, bounds)
            rejections += _rejections(number, codes, metric, bounds)
            times, values = times[codes == 0], values[codes == 0]
        if times.size:
            count += times.size
            accepted.setdefault(series.metric, []).append((times, values))
    merged = tuple([_merge(metric, parts) for metric, parts in accepted.items()])
    return CheckedUpload(
        document,
        received_ms,
        merged,
        tuple(rejections),
        count,
        document.samples - count,
        count - sum([one.times.size for one in merged]),
    )


def _code(reason: Reason) -> int:
    return REASONS.index(reason) + 1


def _flawless(series: SeriesDocument, received_ms: int, bounds: Bounds) -> Series | None:
    """Return the series if no sample is to be rejected or moved, else None.

    Nearly every series is such a one, which its order and extremes show; :func:`_samples` looks at
    each sample of the others.
    """
    size = len(series.times)
    rule = _rules().get((series.metric, series.unit))
    columns = _columns(series) if rule is not None and 0 < size == len(series.values) else None
    if rule is None or columns is None:
        return None
    low, high, conversion = rule
    times, values = columns
    if conversion is not None:
        values = conversion.apply(values)
    if (
        low <= _least(values)  # NaN if one is
        and _most(values) <= high
        and times[0] >= max(bounds.earliest_ms, _AFTER_TRUE)
        and times[-1] <= received_ms + bounds.ahead_ms
        and _all(times[1:] > times[:-1])
    ):
        return Series(series.metric, times, values)
    return None


@cache
def _rules() -> dict[tuple[str, str], tuple[float, float, Conversion | None]]:
    """Return the finite range of each numeric metric and unit, and the conversion if any."""
    return {
        (metric.name, unit): (metric.low, metric.high, _needed(conversion))
        for metric in catalogue().values()
        if metric.numeric and math.isfinite(metric.low) and math.isfinite(metric.high)
        for unit, conversion in metric.conversions.items()
    }


def _needed(conversion: Conversion) -> Conversion | None:
    return None if conversion == Conversion() else conversion


def _columns(series: SeriesDocument) -> tuple[Int64, Float64] | None:
    """Return times and values of a series that has no other values than numbers, else None.

    Among whole milliseconds True may pass for 1; the caller takes no such instant.
    """
    times, values = series.times, series.values
    if isinstance(values, np.ndarray):
        return instants(times), numbers(values)
    if bool in map(type, values):
        return None
    size = len(values)
    try:
        # packing refuses what is no number, and is faster than arrays are made of lists
        found = np.frombuffer(struct.pack(f"<{size}d", *values), F64)
        if isinstance(times[0], str):
            return instants(times), found
        return np.frombuffer(struct.pack(f"<{size}q", *times), I64), found
    except (struct.error, OverflowError):
        return None


def _samples(
    series: SeriesDocument, metric: Metric | None, received_ms: int, bounds: Bounds
) -> tuple[Int64, Float64, NDArray[np.uint8]]:
    """Return times, values in the canonical unit, and for each sample 0 or its reason's code."""
    size = max(len(series.times), len(series.values))
    codes = np.zeros(size, np.uint8)
    if metric is None or not metric.numeric:
        codes[:] = _code("unknown_metric")
        return np.zeros(size, np.int64), np.zeros(size), codes
    conversion = metric.conversions.get(series.unit)
    if conversion is None:
        codes[:] = _code("bad_unit")
        return np.zeros(size, np.int64), np.zeros(size), codes
    times, values = np.full(size, UNREADABLE), np.full(size, np.nan)
    times[: len(series.times)] = instants(series.times)
    values[: len(series.values)] = conversion.apply(numbers(series.values))
    # NaN stands for what is no number; an overflow in the conversion is merely out of range
    checks: tuple[tuple[Reason, NDArray[np.bool_]], ...] = (
        ("out_of_range", ~((values >= metric.low) & (values <= metric.high) & np.isfinite(values))),
        ("future_time", times > received_ms + bounds.ahead_ms),
        ("not_a_number", np.isnan(values)),
        ("bad_time", times < bounds.earliest_ms),
        ("missing_value", _missing(series.values, size)),
        ("missing_time", _missing(series.times, size)),
    )
    for reason, wrong in checks:  # the weightiest reason is written last
        codes[wrong] = _code(reason)
    return times, values, codes


def numbers(values: Values) -> Float64:
    """Return (T,) float64: the numbers among ``values``, NaN for everything else."""
    if isinstance(values, np.ndarray):
        finite = np.isfinite(values)
        return values if _all(finite) else np.where(finite, values, np.nan)
    if set(map(type, values)) <= {int, float}:
        return np.array(values, np.float64)
    return np.fromiter(
        (value if type(value) in (int, float) else np.nan for value in values),
        np.float64,
        len(values),
    )


def _missing(column: Sequence[object] | NDArray[np.generic], size: int) -> NDArray[np.bool_]:
    missing = np.zeros(size, np.bool_)
    missing[len(column) :] = True
    if not isinstance(column, np.ndarray) and None in column:
        missing[: len(column)] = [item is None for item in column]
    return missing


def _rejections(
    number: int,
    codes: NDArray[np.uint8],
    metric: Metric | None,
    bounds: Bounds,
) -> list[Rejection]:
    found = []
    for code in np.unique(codes[codes > 0]).tolist():
        reason = REASONS[code - 1]
        indices = np.flatnonzero(codes == code).astype(np.int32)
        found.append(Rejection(number, indices, reason, _detail(reason, metric, bounds)))
    return found


def _detail(reason: Reason, metric: Metric | None, bounds: Bounds) -> str:
    if metric is None:
        return "the metric is not in the catalogue"
    if not metric.numeric:
        return f"{metric.name} is categorical: such metrics are not taken in"
    units = ", ".join(list(metric.conversions)[:_UNITS_SHOWN])
    year = datetime.fromtimestamp(bounds.earliest_ms / 1000, UTC).year
    details: dict[Reason, str] = {
        "bad_unit": f"{metric.name} is measured in {units}",
        "missing_time": "there is no time for this value",
        "missing_value": "there is no value for this time",
        "bad_time": f"not RFC 3339 with a zone, nor epoch milliseconds, or before {year}",
        "not_a_number": "the value is not a finite number",
        "future_time": f"more than {bounds.ahead_ms / 1000:g} s ahead of the server's clock",
        "out_of_range": f"{metric.name} lies within {metric.low:g}"
        f" to {metric.high:g} {metric.unit}",
    }
    return details[reason]


def _merge(metric: str, parts: list[tuple[Int64, Float64]]) -> Series:
    if len(parts) == 1:
        times, values = parts[0]
    else:
        times = np.concatenate([part[0] for part in parts])
        values = np.concatenate([part[1] for part in parts])
    if _all(times[1:] > times[:-1]):
        return Series(metric, times, values)
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    last = np.append(np.diff(times) > 0, True)  # of equal instants the last stays
    return Series(metric, times[last], values[last])
