"""Detection for one person's metric: the rules over one stream of samples.

:func:`observe` is a function of a state and samples, and gives the same alerts and the same state
however the samples are cut into calls. It follows event time and never turns back: samples at or
before the latest instant that it has seen are ignored, so late data opens no alert about the past,
nor does it change the baseline.

Cost and size: a call on quiet samples is some dozens of NumPy operations, and a dozen for every
minute that closes; samples are stepped through one at a time only while values are beyond a limit
or an alert is open. A packed state stays below 2 KiB.

How many alerts a person gets, on real recordings: heart rate of one person over 108 days, 0.7 a
day, hardly any above ``info``; continuous glucose of ten people over 83 days, 0.6 a day of severity
``info`` from the rule of the day and 0.4 from the limits. Exercise, waking up and meals are the
common causes, as activity is not known here.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

import numpy as np

from app.errors import DecodeError, ValidationError
from schemas.catalogue import Metric
from schemas.columns import Float64, Int64
from tables.alerts import MAX_EVIDENCE, Alert, Change, alert_id
from tables.anomaly import AnomalyState, expected_band, find_unusual
from tables.baseline import Baseline, advance
from tables.limits import Sides, limits
from tables.runs import Samples
from tables.thresholds import SideState, find_crossings
from tables.watch import watches
from tables.wording import Band

VERSION: Final = 1
NEVER: Final = -(2**62)
"""The latest instant of a state that has seen no sample."""

_NO_LIMITS: Final = Sides(None, None)


@dataclass(slots=True, eq=False)
class DetectorState:
    """What detection keeps of one person's metric. Treat it as immutable.

    Attributes
    ----------
    last_ms
        The latest instant seen.
    recent_times, recent_values
        The latest samples, at most MAX_EVIDENCE: what alerts show.
    baseline, anomaly, low, high
        States of the baseline of the day and of the rules.
    """

    HEADER: ClassVar[struct.Struct] = struct.Struct("<BqB")

    last_ms: int = NEVER
    recent_times: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    recent_values: Float64 = field(default_factory=lambda: np.empty(0, np.float64))
    baseline: Baseline = field(default_factory=Baseline)
    anomaly: AnomalyState = field(default_factory=AnomalyState)
    low: SideState = field(default_factory=SideState)
    high: SideState = field(default_factory=SideState)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DetectorState) and self.pack() == other.pack()

    __hash__ = None  # type: ignore[assignment]  # equality by content, which may be replaced

    def pack(self) -> bytes:
        """Return the state as bytes, led by the version of the layout."""
        return b"".join(
            (
                self.HEADER.pack(VERSION, self.last_ms, len(self.recent_times)),
                self.recent_times.astype("<i8", copy=False).tobytes(),
                self.recent_values.astype("<f8", copy=False).tobytes(),
                self.anomaly.pack(),
                self.low.pack(),
                self.high.pack(),
                self.baseline.pack(),
            )
        )

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read a packed state.

        Raises
        ------
        DecodeError
            If the bytes are no packed state of this version.
        """
        try:
            version, last_ms, size = cls.HEADER.unpack_from(data)
            if version != VERSION:
                raise DecodeError(f"detector state of version {version}; {VERSION} is known")
            offset = cls.HEADER.size
            recent_times = np.frombuffer(data, "<i8", size, offset)
            recent_values = np.frombuffer(data, "<f8", size, offset + 8 * size)
            anomaly, offset = AnomalyState.unpack_from(data, offset + 16 * size)
            low, offset = SideState.unpack_from(data, offset)
            high, offset = SideState.unpack_from(data, offset)
            baseline, offset = Baseline.unpack_from(data, offset)
        except (struct.error, ValueError) as error:
            raise DecodeError(f"detector state is damaged: {error}") from error
        if offset != len(data):
            raise DecodeError(f"detector state has {len(data) - offset} bytes too many")
        return cls(last_ms, recent_times, recent_values, baseline, anomaly, low, high)


def watched(metric: Metric) -> bool:
    """Whether any rule applies to a metric; without one there is no state to keep."""
    return metric.kind == "gauge" and metric.name in watches()


def expected(state: DetectorState, metric: Metric) -> Band:
    """Return the band that samples of the latest minute are compared with, or (None, None)."""
    parameters = watches()[metric.name].anomaly if watched(metric) else None
    usual = state.baseline.reference(parameters) if parameters else None
    if parameters is None or usual is None:
        return None, None
    return expected_band(usual, parameters)


def observe(
    state: DetectorState,
    *,
    user_id: str,
    metric: Metric,
    device_id: str,
    times: Int64,
    values: Float64,
    days: Sequence[tuple[int, int]],
) -> tuple[DetectorState, list[Alert]]:
    """Apply all rules to the samples of one device.

    Parameters
    ----------
    state
        The state so far; it is left as it is.
    user_id, metric, device_id
        Whose samples, of what, and by which device.
    times, values
        Samples of shape (n,): epoch milliseconds, strictly ascending, and finite values in the
        metric's canonical unit. Those at or before ``state.last_ms`` are ignored.
    days
        Local days of the person as (start, end) in epoch milliseconds, end exclusive, ascending
        and without overlap, that cover all times.

    Returns
    -------
    DetectorState
        The state with the samples.
    list of Alert
        Revisions of alerts, by event time.

    Raises
    ------
    ValidationError
        If the times are not strictly ascending.
    InvariantError
        If a sample lies in none of the days.
    """
    if not (times[1:] > times[:-1]).all():
        raise ValidationError("the times of a series must be strictly ascending")
    first = int(times.searchsorted(state.last_ms, "right"))
    if not watched(metric) or first == len(times):
        return state, []
    samples = Samples.after(state.last_ms, times[first:], values[first:])
    watch = watches()[metric.name]
    changes: list[Change] = []
    baseline, anomaly, low, high = state.baseline, state.anomaly, state.low, state.high
    if watch.anomaly is not None:
        baseline, compared = advance(baseline, watch.anomaly, samples, days)
        anomaly, found = find_unusual(
            anomaly, samples, compared, watch=watch, parameters=watch.anomaly, unit=metric.unit
        )
        changes += found
    sides = limits().get(metric.name, _NO_LIMITS)
    shown = samples._replace(values=samples.values.round(watch.decimals))
    if sides.low is not None:
        low, found = find_crossings(low, shown, side=sides.low, watch=watch, unit=metric.unit)
        changes += found
    if sides.high is not None:
        high, found = find_crossings(high, shown, side=sides.high, watch=watch, unit=metric.unit)
        changes += found
    known_times = np.concatenate((state.recent_times, samples.times))
    known_values = np.concatenate((state.recent_values, samples.values))
    following = DetectorState(
        last_ms=int(times[-1]),
        recent_times=known_times[-MAX_EVIDENCE:].copy(),
        recent_values=known_values[-MAX_EVIDENCE:].copy(),
        baseline=baseline,
        anomaly=anomaly,
        low=low,
        high=high,
    )
    changes.sort(key=lambda change: change.index)  # stable: rules keep their order
    alerts = []
    for change in changes:
        end = len(state.recent_times) + change.index + 1
        start = int(known_times.searchsorted(change.window_start_ms))
        evidence = slice(max(start, end - MAX_EVIDENCE), end)
        alert = _alert(
            change,
            metric,
            user_id=user_id,
            device_id=device_id,
            times=known_times[evidence].tolist(),
            values=known_values[evidence].tolist(),
        )
        alerts.append(alert)
    return following, alerts


def _alert(
    change: Change,
    metric: Metric,
    *,
    user_id: str,
    device_id: str,
    times: list[int],
    values: list[float],
) -> Alert:
    """Make an alert of a change, with the samples that show it; the last of them made it."""
    return Alert(
        alert_id=alert_id(user_id, metric.name, change.rule, change.opened_ms),
        user_id=user_id,
        metric=metric.name,
        device_id=device_id,
        rule=change.rule,
        rule_version=change.rule_version,
        severity=change.severity,
        status=change.status,
        revision=change.revision,
        opened_ms=change.opened_ms,
        changed_ms=times[-1],
        resolved_ms=times[-1] if change.status == "resolved" else None,
        value=values[-1],
        unit=metric.unit,
        expected_low=change.expected_low,
        expected_high=change.expected_high,
        baseline_count=change.baseline_count,
        window_start_ms=change.window_start_ms,
        window_end_ms=times[-1],
        explanation=change.explanation,
        sample_times=tuple(times),
        sample_values=tuple(values),
    )
