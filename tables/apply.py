"""One upload applied to one person: state before → state after, and what follows from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from app.errors import ValidationError
from schemas.catalogue import Metric
from schemas.columns import Float64, Int64
from tables.alerts import Alert
from tables.detector import DetectorState, expected, observe
from tables.people import Person
from tables.series import Limits, Row, Series, Window, arrive
from tables.wording import Band


@dataclass(frozen=True, slots=True)
class MetricSamples:
    """An upload's samples of one metric: instants strictly ascending, shape (n,)."""

    metric: str
    times: Int64
    values: Float64


@dataclass(frozen=True, slots=True)
class ChangedWindow:
    """A window of a metric that changed, with the band that was expected when it did."""

    metric: str
    row: Row
    expected: Band


@dataclass(frozen=True, slots=True)
class Applied:
    """What an upload did.

    Attributes
    ----------
    person : Person
        The state after.
    windows : list of ChangedWindow
        Windows that changed and are exact.
    late : list of (metric, window)
        Windows to be computed again from stored samples.
    alerts : list of Alert
        Revisions of alerts, in order.
    duplicate, late_samples : int
        Counts of samples that the state held already and of those older than its floor.
    """

    person: Person
    windows: list[ChangedWindow]
    late: list[tuple[str, Window]]
    alerts: list[Alert]
    duplicate: int
    late_samples: int


def apply_upload(
    person: Person,
    *,
    user_id: str,
    upload_id: bytes,
    device_id: str,
    received_ms: int,
    samples: Iterable[MetricSamples],
    metrics: Mapping[str, Metric],
    limits: Limits,
) -> Applied:
    """Apply an upload's samples to a person's state.

    Parameters
    ----------
    person : Person
        The state before; it is not changed, also when this fails.
    user_id : str
        The person.
    upload_id : bytes
        The upload's UUID, 16 bytes.
    device_id : str
        The device.
    received_ms : int
        When a gateway took the upload, epoch milliseconds.
    samples : iterable of MetricSamples
        What it brought.
    metrics : mapping of str to Metric
        The catalogue.
    limits : Limits
        Bounds on what a series keeps.

    Raises
    ------
    ValidationError
        If a metric is not in the catalogue.
    """
    person, rank = person.with_upload(upload_id, received_ms)
    person, device = person.with_device(device_id)
    series, detectors = dict(person.series), dict(person.detectors)
    applied = Applied(person, [], [], [], 0, 0)
    duplicate = late_samples = 0
    for one in samples:
        if one.metric not in metrics:
            raise ValidationError("an upload names a metric that is not in the catalogue")
        before = series.get(one.metric) or Series()
        after, changes = arrive(
            before, one.times, one.values,
            device=device, rank=rank, calendar=person.calendar, limits=limits,
        )  # fmt: skip
        metric, known = metrics[one.metric], detectors.get(one.metric) or DetectorState()
        fresh = slice(int(np.searchsorted(one.times, known.last_ms, "right")), None)
        detector, alerts = observe(
            known,
            user_id=user_id, metric=metric, device_id=device_id,
            times=one.times[fresh], values=one.values[fresh],
            days=person.calendar.days(one.times[fresh]),
        )  # fmt: skip
        series[one.metric], detectors[one.metric] = after, detector
        band = expected(detector, metric)
        applied.windows.extend(ChangedWindow(one.metric, row, band) for row in changes.rows)
        applied.late.extend((one.metric, window) for window in changes.late)
        applied.alerts.extend(alerts)
        duplicate += changes.duplicate
        late_samples += changes.late_samples
    return replace(
        applied,
        person=replace(person, series=series, detectors=detectors),
        duplicate=duplicate,
        late_samples=late_samples,
    )
