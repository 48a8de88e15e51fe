"""The changelog's records: what they hold, and what of other versions is understood or refused."""

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from app.errors import DecodeError
from schemas.codec import Codec
from schemas.windows import DAY, HOUR, HOUR_MS, MINUTE_MS
from tables.apply import Bounds
from tables.packing import SUBJECT, pack_people, unpack_people
from tables.pool import SAMPLES_MAX
from tables.state import State
from tests.tables.model import CALENDARS, HEART_RATE, METRICS, T0, Model, Upload

CODEC = Codec()
BOUNDS = Bounds(15 * MINUTE_MS, SAMPLES_MAX)


def upload(number: int, times: range, *, value: float = 70.0) -> Upload:
    """Return an upload of heart rates."""
    series = {HEART_RATE: (tuple(times), tuple(value for _ in times))}
    return Upload(UUID(int=number), "utc", "watch", T0 + number, series)


def written(model: Model) -> bytes:
    """Return the record of the only person."""
    [record] = pack_people(model.state, [0], CODEC)
    return record


def test_a_state_is_the_same_after_it_was_written_and_read() -> None:
    """Reading and writing again gives the same bytes."""
    model = Model(BOUNDS)
    model.give([upload(1, range(T0, T0 + MINUTE_MS, 1_000))])
    model.give([upload(2, range(T0 + MINUTE_MS, T0 + 2 * MINUTE_MS, 1_000), value=190.0)])
    record = written(model)
    state = State(len(METRICS))
    unpack_people(state, 3, [("utc", record)], CODEC)
    assert list(pack_people(state, [0], CODEC)) == [record]
    assert state.partition[0] == 3
    assert state.active.keys() == model.state.active.keys()


def test_a_state_of_a_newer_layout_is_refused_with_the_reason() -> None:
    """An older program must not start on it."""
    model = Model(BOUNDS)
    model.give([upload(1, range(T0, T0 + 1_000, 100))])
    record = CODEC.decode(SUBJECT, written(model))
    newer = CODEC.encode(SUBJECT, record | {"layout": record["layout"] + 1})
    with pytest.raises(DecodeError, match="is this program older"):
        unpack_people(State(len(METRICS)), 0, [("utc", newer)], CODEC)


@pytest.mark.parametrize(
    "damage",
    [
        {"series": b"short"},
        {"detection": b""},
        {"samples": b"\x18\x00\x00\x00garbage"},
        {"kept": np.array([500], "<i4").tobytes()},
        {"metrics": ["no such metric"]},
    ],
    ids=lambda damage: next(iter(damage)),
)
def test_a_damaged_state_is_refused(damage: dict[str, object]) -> None:
    """With a named error, so that nobody streams on a wrong state."""
    model = Model(BOUNDS)
    model.give([upload(1, range(T0, T0 + 1_000, 100))])
    record = CODEC.decode(SUBJECT, written(model))
    with pytest.raises(DecodeError):
        unpack_people(
            State(len(METRICS)), 0, [("utc", CODEC.encode(SUBJECT, record | damage))], CODEC
        )


def test_a_state_of_the_first_layout_goes_on_exactly() -> None:
    """What it knew is computed from stored samples while it is open, what is new is exact."""
    model = Model(BOUNDS)
    before = [
        upload(n, range(T0 + n * MINUTE_MS, T0 + (n + 1) * MINUTE_MS, 5_000)) for n in range(5)
    ]
    for one in before:
        model.give([one])
    old = CODEC.encode("user_state", _first_layout(model))
    model.state = State(len(METRICS))
    unpack_people(model.state, 0, [("utc", old)], CODEC)
    for n in range(5, 140):
        times = range(T0 + n * MINUTE_MS, T0 + (n + 1) * MINUTE_MS, 5_000)
        applied = model.give([upload(n, times)])
    model.check()
    assert {size for late in applied.late for size in late.size.tolist()} == {DAY}
    assert HOUR in [rows.size for rows in applied.windows]


def test_a_repeated_upload_after_the_first_layout_changes_nothing() -> None:
    """Samples that the old state had seen are computed from stored samples."""
    model = Model(BOUNDS)
    one = upload(1, range(T0, T0 + MINUTE_MS, 5_000))
    model.give([one])
    old = CODEC.encode("user_state", _first_layout(model))
    model.state = State(len(METRICS))
    unpack_people(model.state, 0, [("utc", old)], CODEC)
    model.give([replace(one)])
    model.check()


def _first_layout(model: Model) -> dict[str, object]:
    times, values, _ = model.state.pool.read(np.array([0]))
    ranks = np.full(len(times), T0)
    return {
        "zones": [
            {"since_ms": since, "zone": zone}
            for since, zone in zip(CALENDARS["utc"].since, CALENDARS["utc"].zones, strict=True)
        ],
        "devices": ["watch"],
        "upload_ids": b"",
        "upload_received": b"",
        "series": [
            {
                "metric": "heart_rate",
                "floor_ms": T0 - HOUR_MS,
                "times": times.tobytes(),
                "values": values.tobytes(),
                "ranks": ranks.tobytes(),
                "devices": np.zeros(len(times), "<i4").tobytes(),
                "closed": [],
                "mixed": [],
                "detector": b"",
            }
        ],
    }
