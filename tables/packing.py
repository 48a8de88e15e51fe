"""A person's state as a record of the changelog, and back."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np

from app.errors import DecodeError
from schemas.catalogue import catalogue
from schemas.codec import Codec
from schemas.columns import I32, I64, U64, Int64, squeeze_rows, unpack, unsqueeze
from schemas.windows import HOUR_MS, MINUTE_MS
from tables.days import Calendar
from tables.detection import ROW, Active
from tables.layout import DAY_SLOT, EMPTY_SERIES, HOUR_SLOT, MINUTE_SLOT, SERIES, put
from tables.pool import SAMPLES_MAX
from tables.ranges import starts_of
from tables.state import UPLOADS_KEPT, State

SUBJECT: Final = "person_state"
BEFORE: Final = "user_state"
"""The subject of states of the first layout."""
LAYOUT: Final = 1
_METRICS: Final = tuple(catalogue())


def pack_people(state: State, users: list[int], codec: Codec) -> Iterator[bytes]:
    """Yield the state of each person as a record of the changelog.

    Parameters
    ----------
    state : State
        Where it is.
    users : list of int
        Slots of the people.
    codec : Codec
        For the records.
    """
    counts, slots = state.series_of_users(users)
    rows, detection = state.series.take(slots), state.detection.take(slots)
    kept = state.pool.kept(slots)
    times, values, stamps = state.pool.read(slots)
    columns = np.stack((times, values.view(np.int64), stamps))
    kept_bytes, names = kept.astype(np.int32), [_METRICS[m] for m in state.series_metric[slots]]
    samples, firsts = starts_of(kept), starts_of(counts).tolist()
    calendars: dict[int, list[dict[str, Any]]] = {}
    uploads = zip(*state.uploads_of(users), strict=True)
    for user, (keys, ranks), first, end in zip(users, uploads, firsts, firsts[1:], strict=False):
        slot_list = slots[first:end].tolist()
        calendar = state.calendars[user]
        if id(calendar) not in calendars:
            calendars[id(calendar)] = _zones(calendar)
        yield codec.encode(
            SUBJECT,
            {
                "layout": LAYOUT,
                "zones": calendars[id(calendar)],
                "devices": state.devices[user],
                "upload_keys": keys.tobytes(),
                "upload_ranks": ranks.tobytes(),
                "metrics": names[first:end],
                "series": rows[first:end].tobytes(),
                "detection": detection[first:end].tobytes(),
                "active": [
                    state.active[slot].pack() if slot in state.active else b"" for slot in slot_list
                ],
                "kept": kept_bytes[first:end].tobytes(),
                "samples": squeeze_rows(columns[:, samples[first] : samples[end]]),
            },
        )


def _zones(calendar: Calendar) -> list[dict[str, Any]]:
    pairs = zip(calendar.since, calendar.zones, strict=True)
    return [{"since_ms": since, "zone": zone} for since, zone in pairs]


def unpack_people(
    state: State, partition: int, records: Iterable[tuple[str, bytes]], codec: Codec
) -> None:
    """Put people's states of the changelog in the place of what is known of them.

    Parameters
    ----------
    state : State
        Where they go.
    partition : int
        The partition that all of them belong to.
    records : iterable of (str, bytes)
        User ids, each once, and the records.
    codec : Codec
        For the records.

    Raises
    ------
    DecodeError
        If one is no such record, or of a layout that is not known here: a newer version of the
        program has written it.
    """
    read = _Read()
    for user_id, data in records:
        if codec.subject_of(data) == BEFORE:
            _unpack_before(state, user_id, partition, codec.decode(BEFORE, data))
        else:
            read.add(state, user_id, partition, codec.decode(SUBJECT, data))
    read.write(state)


class _Read:
    """Series that were read: they are written together, which is many times faster."""

    def __init__(self) -> None:
        self._slots: list[int] = []
        self._rows: list[bytes] = []
        self._detection: list[bytes] = []
        self._kept: list[bytes] = []
        self._samples: list[list[Int64]] = []

    def add(self, state: State, user_id: str, partition: int, record: dict[str, Any]) -> None:
        if record["layout"] != LAYOUT:
            raise DecodeError(
                f"state of layout {record['layout']}, but {LAYOUT} is known: is this program older?"
            )
        metrics, active, kept = record["metrics"], record["active"], record["kept"]
        sizes = (len(record["series"]), len(record["detection"]), len(kept), len(active))
        n = len(metrics)
        if sizes != (n * SERIES.itemsize, n * ROW.itemsize, n * I32.itemsize, n):
            raise DecodeError("state: a series lacks one of its parts, or rows have another size")
        columns = unsqueeze(record["samples"], 3, "samples")
        user = _afresh(state, user_id, partition, record)
        state.devices[user] = tuple(record["devices"])
        keys = unpack(record["upload_keys"], U64, "upload_keys")[-UPLOADS_KEPT:]
        ranks = unpack(record["upload_ranks"], I64, "upload_ranks")[-UPLOADS_KEPT:]
        state.set_uploads(user, keys, ranks)
        for metric, packed in zip(metrics, active, strict=True):
            slot = _series(state, user, metric)
            self._slots.append(slot)
            if packed:
                state.active[slot] = Active.unpack(packed)
        self._rows.append(record["series"])
        self._detection.append(record["detection"])
        self._kept.append(kept)
        self._samples.append(columns)

    def write(self, state: State) -> None:
        if not self._slots:
            return
        slots = np.array(self._slots, np.int64)
        kept = np.frombuffer(b"".join(self._kept), I32).astype(np.int64)
        times, values, stamps = (np.concatenate(c) for c in zip(*self._samples, strict=True))
        if kept.sum() != len(times) or kept.max() > SAMPLES_MAX:
            raise DecodeError("state: the samples are not as many as it says")
        put(state.series, slots, np.frombuffer(b"".join(self._rows), SERIES))
        put(state.detection, slots, np.frombuffer(b"".join(self._detection), ROW))
        state.pool.append(slots, kept, times, values.view(np.float64), stamps)


def _afresh(state: State, user_id: str, partition: int, record: dict[str, Any]) -> int:
    known = state.find(user_id)
    if known is not None:
        state.drop_user(known)
    zones = record["zones"]
    calendar = Calendar(
        tuple(zone["since_ms"] for zone in zones), tuple(zone["zone"] for zone in zones)
    )
    return state.add_user(user_id, partition, calendar)


def _series(state: State, user: int, metric: str) -> int:
    try:
        return state.add_series(user, _METRICS.index(metric))
    except ValueError:
        raise DecodeError("state: a metric is not in the catalogue") from None


def _unpack_before(state: State, user_id: str, partition: int, record: dict[str, Any]) -> None:
    """Take over a state of the first layout.

    Of its series only the newest instant is kept. Everything up to there counts as older than the
    floor and its open windows as in late care, so that they are computed from stored samples:
    that is exact, and the detectors start anew.
    """
    user = _afresh(state, user_id, partition, record)
    calendar = state.calendars[user]
    for one in record["series"]:
        times = unpack(one["times"], I64, "times")
        if not len(times):
            continue
        newest = int(times[-1])
        slot = _series(state, user, one["metric"])
        row = EMPTY_SERIES.copy()
        row["newest"] = newest
        row["floor"] = newest + 1
        hour = newest // HOUR_MS * HOUR_MS
        minute = newest // MINUTE_MS * MINUTE_MS
        for place, start, end in (
            (MINUTE_SLOT, minute, minute + MINUTE_MS),
            (HOUR_SLOT, hour, hour + HOUR_MS),
            (DAY_SLOT, *calendar.day(newest)),
        ):
            window = row["windows"][place]
            window["start"], window["end"], window["in_care"] = start, end, 1
        state.series[slot] = row
