"""One step of the worker: records in, state changed, effects collected, nothing sent yet.

A step is a function of the state and the records alone. What it wants sent is handed to
:mod:`agents.uploads`, which sends it in the order that the promises need.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from agents.failures import Origin, Rerouted, describe, reroute
from agents.outputs import late_windows, nothing_late, status_of, window_records
from app.errors import InvariantError, ValidationError
from schemas import accepted, statuses, uploads
from schemas.accepted import AcceptedBatch
from schemas.catalogue import catalogue
from schemas.codec import Codec
from schemas.columns import Int32, Int64
from schemas.statuses import StatusBatch
from schemas.uploads import UploadBatch
from tables.alerts import Alert
from tables.apply import Applied, Bounds, apply
from tables.arrivals import Arrivals
from tables.days import Calendar
from tables.layout import EPOCH_2020_MS
from tables.merge import Late
from tables.state import State

_log = structlog.get_logger(__name__)
_METRIC_CODES = {name: code for code, name in enumerate(catalogue())}
SAMPLES_AT_ONCE = 250_000
"""Samples after which a step begins another round: its columns stay within the caches."""


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
class _Read:
    """A record that was read, and what became of its N uploads."""

    record: Record
    batch: UploadBatch
    duplicate: Int32
    late: Int32
    failed: dict[int, Exception] = field(default_factory=dict)


@dataclass(slots=True)
class _Piece:
    """Uploads of one record: ``rows`` are their numbers there."""

    read: _Read
    batch: UploadBatch
    rows: Int64

    def half(self) -> tuple["_Piece", "_Piece"]:
        """Cut it in two."""
        first = np.arange(len(self.rows)) < len(self.rows) // 2
        return self.only(first), self.only(~first)

    def only(self, which: NDArray[np.bool_]) -> "_Piece":
        """Keep some of the uploads."""
        return _Piece(self.read, self.batch.select(which), self.rows[which])


@dataclass(slots=True)
class Step:
    """Applies records and collects the effects.

    Parameters
    ----------
    state : State
        What is known of people; it is changed.
    bounds : Bounds
        Bounds on what a series keeps.
    calendar_of : callable
        Returns a newcomer's days by user id.
    codec : Codec
        For the records.
    retry_attempts : int
        Retry tiers before the dead letters.
    now_ms : int
        The time of the step: only for headers and statuses, never for a rule.
    """

    state: State
    bounds: Bounds
    calendar_of: Callable[[str], Calendar]
    codec: Codec
    retry_attempts: int
    now_ms: int
    windows: list[tuple[int, bytes]] = field(default_factory=list)
    alerts: list[tuple[int, Alert]] = field(default_factory=list)
    stored: list[tuple[int, bytes]] = field(default_factory=list)
    statuses: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    rerouted: list[Rerouted] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    unreadable: int = 0
    """Records that do not decode: nobody knows how many uploads they hold."""

    async def apply(self, records: Sequence[Record]) -> None:
        """Apply source records in their order; a failure is routed, never raised.

        Others run between its rounds, so that heartbeats go on; they must not touch the state.

        Raises
        ------
        InvariantError
            If a promise would be broken by going on.
        """
        for reads in self._rounds(records):
            asked: list[Late] = []
            for applied in self._apply([self._piece(read) for read in reads]):
                self.windows += window_records(applied, self.state, self.codec, now_ms=self.now_ms)
                self.alerts += (
                    (int(self.state.partition[self.state.series_user[series]]), alert)
                    for series, alert in applied.alerts
                )
                asked += applied.late
            late = late_windows(asked, self.state)
            # The last record of a partition asks for its late windows: all samples come before.
            for read in reversed(reads):
                asks = late.pop(read.record.origin.partition, None) if _stores(read) else None
                self._store(read, asks)
            if late:
                raise InvariantError("late windows are left over that no stored record asks for")
            for read in reads:
                self._conclude(read)
            await asyncio.sleep(0)

    def _rounds(self, records: Sequence[Record]) -> Iterator[list[_Read]]:
        """Read records, and yield as many together as are applied at once."""
        reads: list[_Read] = []
        samples = 0
        for record in records:
            self.counts.records += 1
            try:
                batch = uploads.decode(record.value, self.codec)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, its neighbours go on
                self._reroute(error, record, record.value)
                self.unreadable += 1
                continue
            n = len(batch)
            reads.append(_Read(record, batch, np.zeros(n, np.int32), np.zeros(n, np.int32)))
            samples += len(batch.times)
            if samples >= SAMPLES_AT_ONCE:
                yield reads
                reads, samples = [], 0
        if reads:
            yield reads

    def _piece(self, read: _Read) -> _Piece:
        """Return the uploads of a record that can be applied; note the others as failed."""
        batch = read.batch
        piece = _Piece(read, batch, np.arange(len(batch)))
        unknown = [code for code, name in enumerate(batch.metrics) if name not in _METRIC_CODES]
        if not unknown:
            return piece
        bad = np.zeros(len(batch), np.bool_)
        bad[batch.series_upload[np.isin(batch.series_metric, unknown)]] = True
        for row in bad.nonzero()[0].tolist():
            read.failed[row] = ValidationError(
                "an upload names a metric that is not in the catalogue"
            )
        return piece.only(~bad)

    def _apply(self, pieces: list[_Piece]) -> Iterator[Applied]:
        """Apply pieces together; where that fails, in ever smaller parts, so that one is found."""
        pieces = [piece for piece in pieces if len(piece.rows)]
        if not pieces:
            return
        try:
            applied = apply(self.state, self._arrivals(pieces), self.bounds)
        except InvariantError:
            raise
        except Exception as error:  # noqa: BLE001 - one upload never takes its neighbours down
            if len(pieces) > 1:
                middle = len(pieces) // 2
                yield from self._apply(pieces[:middle])
                yield from self._apply(pieces[middle:])
            elif len(pieces[0].rows) > 1:
                for half in pieces[0].half():
                    yield from self._apply([half])
            else:
                pieces[0].read.failed[int(pieces[0].rows[0])] = error
            return
        applied.commit()
        first = 0
        for piece in pieces:
            part = slice(first, first + len(piece.rows))
            piece.read.duplicate[piece.rows] = applied.duplicate[part]
            piece.read.late[piece.rows] = applied.late_samples[part]
            first = part.stop
        yield applied

    def _arrivals(self, pieces: list[_Piece]) -> Arrivals:
        users, devices, metrics = [], [], []
        for piece in pieces:
            mine, theirs = self._people(piece)
            users.append(mine)
            devices.append(theirs)
            codes = np.array([_METRIC_CODES.get(name, -1) for name in piece.batch.metrics])
            metrics.append(codes[piece.batch.series_metric])
        batches = [piece.batch for piece in pieces]
        starts = np.cumsum([0, *(len(batch) for batch in batches)])
        return Arrivals(
            np.concatenate(users),
            np.concatenate(devices),
            np.maximum(np.concatenate([b.received_ms for b in batches]) - EPOCH_2020_MS, 0),
            np.concatenate([b.upload_ids for b in batches]),
            np.concatenate(
                [b.series_upload + at for b, at in zip(batches, starts, strict=False)]
            ).astype(np.int64),
            np.concatenate(metrics).astype(np.int64),
            np.concatenate([b.series_length for b in batches]).astype(np.int64),
            np.concatenate([b.times for b in batches]),
            np.concatenate([b.values for b in batches]),
        )

    def _people(self, piece: _Piece) -> tuple[Int64, Int64]:
        """Return by upload the slot of its person and the code of its device."""
        state, batch = self.state, piece.batch
        partition = piece.read.record.origin.partition
        used = np.bincount(batch.upload_user, minlength=len(batch.users)).nonzero()[0]
        slots = np.zeros(len(batch.users), np.int64)
        slots[used] = state.users(
            [batch.users[code] for code in used.tolist()], partition, self.calendar_of
        )
        if (state.partition[slots[used]] != partition).any():
            raise ValidationError("an upload is in another partition than its person")
        # Most people have one device: its code is looked up once a person.
        usual = np.zeros(len(batch.users), np.int32)
        usual[batch.upload_user] = batch.upload_device
        code = np.zeros(len(batch.users), np.int64)
        code[used] = [
            state.device(slot, batch.devices[device])
            for slot, device in zip(slots[used].tolist(), usual[used].tolist(), strict=True)
        ]
        devices = code[batch.upload_user]
        for row in (batch.upload_device != usual[batch.upload_user]).nonzero()[0].tolist():
            name = batch.devices[batch.upload_device[row]]
            devices[row] = state.device(int(slots[batch.upload_user[row]]), name)
        return slots[batch.upload_user], devices

    def _store(self, read: _Read, asks: dict[str, Any] | None) -> None:
        if not _stores(read):
            return
        output = AcceptedBatch(
            source_topic=read.record.origin.topic,
            source_partition=read.record.origin.partition,
            source_offset=read.record.origin.offset,
            batch=read.record.value,
            set_aside=np.array(sorted(read.failed), np.int32),
            late_samples=int(read.late.sum()),
            **(asks or nothing_late(self.state)),
        )
        self.stored.append((read.record.origin.partition, accepted.encode(output, self.codec)))

    def _conclude(self, read: _Read) -> None:
        """Tell how far the uploads of a record have come, and reroute those that failed."""
        batch, record = read.batch, read.record
        n = len(batch)
        done = np.ones(n, bool)
        done[list(read.failed)] = False
        if done.any():
            status = status_of(
                batch if done.all() else batch.select(done), "processed", at_ms=self.now_ms,
                duplicate=read.duplicate[done], late=read.late[done],
            )  # fmt: skip
            self._status(record.origin.partition, status)
        for row, failure in read.failed.items():
            alone = np.zeros(n, bool)
            alone[row] = True
            # A batch id of its own: its statuses must not take the place of its neighbours'.
            part = replace(batch.select(alone), batch_id=batch.upload_ids[row].tobytes())
            self._reroute(failure, record, uploads.encode(part, self.codec), part)
        self.counts.uploads += n
        self.counts.samples += len(batch.times)
        self.counts.duplicate += int(read.duplicate.sum())
        self.counts.late += int(read.late.sum())

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


def _stores(read: _Read) -> bool:
    return len(read.batch) > len(read.failed)
