"""One step of the worker: records in, effects collected, nothing sent yet.

A step is a function of the state and the records alone. What it changed and what it wants sent
is handed to :mod:`agents.uploads`, which sends it in the order that the promises need.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import structlog

from agents.failures import Origin, Rerouted, describe, reroute
from agents.outputs import WindowCollector, status_of
from app.errors import InvariantError
from schemas import accepted, statuses, uploads
from schemas.accepted import AcceptedBatch
from schemas.catalogue import Metric
from schemas.codec import Codec
from schemas.columns import Dictionary
from schemas.statuses import StatusBatch
from schemas.uploads import UploadBatch
from tables.alerts import Alert
from tables.apply import Applied, MetricSamples, apply_upload
from tables.people import Person
from tables.series import Limits, Window

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """A source record as it was delivered."""

    origin: Origin
    value: bytes
    headers: Mapping[str, bytes]


@dataclass(slots=True)
class Counts:
    """What a step did, for the metrics."""

    records: int = 0
    uploads: int = 0
    samples: int = 0
    duplicate: int = 0
    late: int = 0
    retried: int = 0
    dead: int = 0


@dataclass(slots=True)
class Step:
    """Applies records one after the other and collects the effects.

    Parameters
    ----------
    person_of : callable
        Returns a person's state by user id; asked once a person and step.
    metrics : mapping of str to Metric
        The catalogue.
    limits : Limits
        Bounds on what a series keeps.
    codec : Codec
        For the records.
    retry_attempts : int
        Retry tiers before the dead letters.
    now_ms : int
        The time of the step: only for headers and statuses, never for a rule.
    """

    person_of: Callable[[str], Person]
    metrics: Mapping[str, Metric]
    limits: Limits
    codec: Codec
    retry_attempts: int
    now_ms: int
    people: dict[str, tuple[Person, int]] = field(default_factory=dict)
    windows: WindowCollector = field(default_factory=WindowCollector)
    alerts: list[tuple[int, Alert]] = field(default_factory=list)
    stored: list[tuple[int, bytes]] = field(default_factory=list)
    statuses: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    rerouted: list[Rerouted] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    def apply(self, record: Record) -> None:
        """Apply one source record; a failure is routed, never raised.

        Raises
        ------
        InvariantError
            If a promise would be broken by going on.
        """
        self.counts.records += 1
        try:
            batch = uploads.decode(record.value, self.codec)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, its neighbours go on
            self._reroute(error, record, record.value)
            return
        self._apply_batch(batch, record)

    def _apply_batch(self, batch: UploadBatch, record: Record) -> None:
        n = len(batch)
        duplicate, late_count = np.zeros(n, np.int32), np.zeros(n, np.int32)
        late: dict[tuple[str, str, Window], None] = {}
        failed: dict[int, Exception] = {}
        for row, samples in enumerate(_samples_by_upload(batch)):
            user_id = batch.users[batch.upload_user[row]]
            try:
                applied = self._apply_upload(batch, row, user_id, samples)
            except InvariantError:
                raise
            except Exception as error:  # noqa: BLE001 - one upload never takes its batch down
                failed[row] = error
                continue
            self.people[user_id] = (applied.person, record.origin.partition)
            self.windows.add(record.origin.partition, user_id, applied.windows)
            self.alerts.extend((record.origin.partition, alert) for alert in applied.alerts)
            late.update(((user_id, metric, window), None) for metric, window in applied.late)
            duplicate[row], late_count[row] = applied.duplicate, applied.late_samples
        self._store(batch, record, failed, list(late), int(late_count.sum()))
        done = np.ones(n, bool)
        done[list(failed)] = False
        if done.any():
            status = status_of(
                batch, "processed", at_ms=self.now_ms, duplicate=duplicate, late=late_count
            )
            self._status(record.origin.partition, _only(status, done))
        for row, failure in failed.items():
            alone = np.zeros(n, bool)
            alone[row] = True
            # A batch id of its own: its statuses must not take the place of its neighbours'.
            part = replace(batch.select(alone), batch_id=batch.upload_ids[row].tobytes())
            self._reroute(failure, record, uploads.encode(part, self.codec), part)
        self.counts.uploads += n
        self.counts.samples += len(batch.times)
        self.counts.duplicate += int(duplicate.sum())
        self.counts.late += int(late_count.sum())

    def _apply_upload(
        self, batch: UploadBatch, row: int, user_id: str, samples: list[MetricSamples]
    ) -> Applied:
        held = self.people.get(user_id)
        return apply_upload(
            held[0] if held else self.person_of(user_id),
            user_id=user_id,
            upload_id=batch.upload_ids[row].tobytes(),
            device_id=batch.devices[batch.upload_device[row]],
            received_ms=int(batch.received_ms[row]),
            samples=samples,
            metrics=self.metrics,
            limits=self.limits,
        )

    def _store(
        self,
        batch: UploadBatch,
        record: Record,
        failed: Mapping[int, Exception],
        late: list[tuple[str, str, Window]],
        late_samples: int,
    ) -> None:
        users, metrics = Dictionary(), Dictionary()
        output = AcceptedBatch(
            record.origin.topic,
            record.origin.partition,
            record.origin.offset,
            record.value,
            np.array(sorted(failed), np.int32),
            [],
            [],
            np.array([users.code(user_id) for user_id, _, _ in late], np.int32),
            np.array([metrics.code(metric) for _, metric, _ in late], np.int32),
            np.array([window[0] for *_, window in late], np.int8),
            np.array([window[1] for *_, window in late], np.int64),
            np.array([window[2] for *_, window in late], np.int64),
            late_samples,
        )
        output.users.extend(users.values)
        output.metrics.extend(metrics.values)
        if len(batch) > len(failed):
            self.stored.append((record.origin.partition, accepted.encode(output, self.codec)))

    def _reroute(
        self, error: Exception, record: Record, value: bytes, part: UploadBatch | None = None
    ) -> None:
        moved = reroute(
            error, value, record.origin, record.headers,
            now_ms=self.now_ms, attempts=self.retry_attempts,
        )  # fmt: skip
        self.rerouted.append(moved)
        _log.warning(
            "set aside", to=moved.topic, error=describe(error), origin=str(record.origin),
            whole_record=part is None,
        )  # fmt: skip
        if moved.dead:
            self.counts.dead += 1
        else:
            self.counts.retried += 1
        if part is not None:
            stage: statuses.Stage = "failed" if moved.dead else "retrying"
            status = status_of(part, stage, at_ms=self.now_ms, reason=describe(error))
            self._status(record.origin.partition, status)

    def _status(self, partition: int, status: StatusBatch) -> None:
        self.statuses.append((partition, status.key, statuses.encode(status, self.codec)))


def _samples_by_upload(batch: UploadBatch) -> list[list[MetricSamples]]:
    by_upload: list[list[MetricSamples]] = [[] for _ in range(len(batch))]
    start = batch.series_start
    for series, upload in enumerate(batch.series_upload.tolist()):
        part = slice(int(start[series]), int(start[series + 1]))
        metric = batch.metrics[batch.series_metric[series]]
        by_upload[upload].append(MetricSamples(metric, batch.times[part], batch.values[part]))
    return by_upload


def _only(status: StatusBatch, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> StatusBatch:
    if rows.all():
        return status
    return StatusBatch(
        status.batch_id,
        status.stage,
        status.at_ms,
        status.reason,
        status.users,
        status.upload_ids[rows],
        status.upload_user[rows],
        status.received_ms[rows],
        status.accepted[rows],
        status.rejected[rows],
        status.repeated[rows],
        status.duplicate[rows],
        status.late[rows],
    )
