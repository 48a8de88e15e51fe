"""What a step applies, and how it is laid out for that: by series, in the order of arrival."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Float64, Int64, Uuids
from tables.groups import Bools
from tables.ranges import changes, spans, starts_of


@dataclass(slots=True)
class Arrivals:
    """N uploads with S series and T samples, in the order in which they are applied.

    Attributes
    ----------
    user, device, rank : (N,) int64
        Slot of the person, code of the device, ``received_ms`` of this copy since 2020.
    upload_id : (N,) V16
        Ids.
    series_upload, series_metric, series_length : (S,) int64
        Row of the upload (ascending), code of the metric, number of samples (at least one).
    times : (T,) int64
        Epoch milliseconds, strictly ascending within a series.
    values : (T,) float64
        Finite, in the canonical unit.
    """

    user: Int64
    device: Int64
    rank: Int64
    upload_id: Uuids
    series_upload: Int64
    series_metric: Int64
    series_length: Int64
    times: Int64
    values: Float64


@dataclass(slots=True)
class Part:
    """Some of the U series of a step, handled alike.

    Attributes
    ----------
    slots : (U,) int64
        Where they stand in the state.
    rows : (U,) SERIES
        A copy of their fixed part.
    segments : (k,) int64
        Series entries of the arrivals, grouped by series, in the order of arrival.
    of_series : (U + 1,) int64
        Where the segments of each series begin, and the end.
    """

    slots: Int64
    rows: NDArray[Any]
    segments: Int64
    of_series: Int64

    def only(self, which: Bools) -> "Part":
        """Keep some of the series."""
        if which.all():
            return self
        begins, lengths = self.of_series[:-1][which], np.diff(self.of_series)[which]
        return Part(
            self.slots[which],
            self.rows.take(which.nonzero()[0]),
            self.segments[spans(begins, lengths)],
            starts_of(lengths),
        )

    def with_others(self, other: "Part") -> "Part":
        """Put series of another part behind these."""
        return Part(
            np.concatenate((self.slots, other.slots)),
            np.concatenate((self.rows, other.rows)),
            np.concatenate((self.segments, other.segments)),
            np.concatenate((self.of_series, self.of_series[-1] + other.of_series[1:])),
        )


@dataclass(slots=True)
class Samples:
    """The samples of a part: k segments, T samples.

    ``upload``, ``length`` (k,): row of the upload and number of samples of each segment;
    ``times``, ``values`` (T,): segment after segment.
    """

    upload: Int64
    length: Int64
    times: Int64
    values: Float64


def by_series(arrivals: Arrivals, slots: Int64, rows: NDArray[Any]) -> tuple[Part, Bools]:
    """Group segments by series.

    Parameters
    ----------
    arrivals : Arrivals
        The arrivals.
    slots : (S,) int64
        Slot of the series of each segment.
    rows : (many,) SERIES
        The fixed part of all series of the state, by slot.

    Returns
    -------
    Part
        All of them.
    (U,) bool
        Whether all samples of a series are newer than those before them.
    """
    starts = starts_of(arrivals.series_length)
    order = np.argsort(slots, kind="stable")
    slot = slots[order]
    begins = changes(slot).nonzero()[0]
    chosen = slot[begins]
    part = Part(chosen, rows.take(chosen), order, np.append(begins, len(slot)))
    first = arrivals.times[starts[order]]
    last = arrivals.times[starts[order + 1] - 1]
    before = np.empty_like(last)
    before[1:] = last[:-1]
    before[begins] = part.rows["newest"]
    return part, np.logical_and.reduceat(first > before, begins)


def samples_of(arrivals: Arrivals, part: Part) -> Samples:
    """Return the samples of a part, grouped as its segments are."""
    segments = part.segments
    length = arrivals.series_length[segments]
    upload = arrivals.series_upload[segments]
    if len(segments) == len(arrivals.series_length) and (segments[1:] > segments[:-1]).all():
        return Samples(upload, length, arrivals.times, arrivals.values)
    at = spans(starts_of(arrivals.series_length)[segments], length)
    return Samples(upload, length, arrivals.times.take(at), arrivals.values.take(at))
