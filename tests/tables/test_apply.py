"""The rules on whole steps: order, batching, repetition and correction end in exact windows."""

import os
from itertools import cycle
from random import Random
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.windows import DAY, HOUR, MINUTE, MINUTE_MS
from tables.apply import Bounds
from tables.packing import pack_people, unpack_people
from tables.pool import SAMPLES_MAX
from tables.state import SERIES_BYTES_MAX, State
from tests.tables.model import (
    CALENDARS,
    HEART_RATE,
    METRICS,
    PEOPLE,
    SPO2,
    T0,
    Model,
    Upload,
    cut,
)

HORIZON = Bounds(15 * MINUTE_MS, SAMPLES_MAX)
FEW = Bounds(15 * MINUTE_MS, 16)
CODEC = Codec()
EXAMPLES = int(os.environ.get("VITALSTREAM_TEST_EXAMPLES", "24"))
"""How many examples each property is tried on; thousands were, when the rules were written."""


@st.composite
def some_uploads(draw: st.DrawFn, *, dense: bool = False) -> list[Upload]:
    """Draw uploads of a few people and devices: shuffled, repeated, corrected, very late."""
    random = draw(st.randoms(use_true_random=False))
    uploads: list[Upload] = []
    for turn in range(draw(st.integers(1, 40))):
        start = T0 + turn * random.choice([20_000, 60_000, 900_000])
        if random.random() < 0.2:
            start = T0 + random.randrange(80) * MINUTE_MS
        if random.random() < 0.1:
            start -= random.randrange(3 * 86_400_000)
        uploads.append(_upload(random, start, dense=dense))
    for _ in range(len(uploads) // 5):
        uploads.append(random.choice(uploads))
        one = random.choice(uploads)
        series = {
            metric: (times, tuple(value + random.choice([-0.5, 0, 2]) for value in values))
            for metric, (times, values) in one.series.items()
        }
        uploads.append(Upload(_id(random), one.person, one.device, _received(random), series))
    if draw(st.booleans()):
        random.shuffle(uploads)
    return uploads


def _upload(random: Random, start: int, *, dense: bool) -> Upload:
    series = {}
    for metric in random.sample((HEART_RATE, SPO2), random.randint(1, 2)):
        count = random.randint(1, 90 if dense else 8)
        step = random.choice([100, 1_000, 5_000, MINUTE_MS])
        times = tuple(sorted({start + random.randrange(count + 1) * step for _ in range(count)}))
        series[metric] = (times, tuple(random.randrange(100, 112) / 2 for _ in times))
    return Upload(
        _id(random), random.choice(PEOPLE), random.choice("ab"), _received(random), series
    )


def _id(random: Random) -> UUID:
    return UUID(int=random.getrandbits(128), version=4)


def _received(random: Random) -> int:
    return T0 + random.randrange(1_000) * 1_000


@pytest.mark.parametrize("bounds", [HORIZON, FEW])
@given(uploads=some_uploads(), sizes=st.lists(st.integers(1, 20), min_size=1))
@settings(max_examples=EXAMPLES, deadline=None)
def test_windows_are_those_of_all_samples(
    bounds: Bounds, uploads: list[Upload], sizes: list[int]
) -> None:
    """Whatever the order, the batching, the repetitions and the corrections."""
    model = Model(bounds)
    for step in cut(uploads, cycle(sizes).__next__):
        model.give(step)
    model.check()


@pytest.mark.parametrize("bounds", [HORIZON, FEW])
@given(uploads=some_uploads(dense=True))
@settings(max_examples=EXAMPLES // 2, deadline=None)
def test_more_samples_than_can_be_kept(bounds: Bounds, uploads: list[Upload]) -> None:
    """Also a minute that holds more samples than a series may keep is exact."""
    model = Model(bounds)
    for step in cut(uploads, cycle([1, 3]).__next__):
        model.give(step)
    model.check()


@given(uploads=some_uploads(), crash=st.integers(0, 40), again=st.integers(0, 40))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_crash_repeats_uploads_on_the_state_that_was_written(
    uploads: list[Upload], crash: int, again: int
) -> None:
    """State written, uploads applied, process dead: the uploads come again on the written state."""
    model = Model(HORIZON)
    for upload in uploads[:crash]:
        model.give([upload])
    written = _written(model.state)
    for upload in uploads[crash : crash + again]:
        model.give([upload])
    model.state = _read(written)
    for step in cut(uploads[crash:], cycle([2, 7]).__next__):
        model.give(step)
    model.check()


def _written(state: State) -> list[tuple[str, bytes]]:
    users = [user for user, at in enumerate(state.partition.tolist()) if at >= 0]
    ids = [state.user_ids[user] for user in users]
    return list(zip(ids, pack_people(state, users, CODEC), strict=True))


def _read(written: list[tuple[str, bytes]]) -> State:
    state = State(len(METRICS))
    unpack_people(state, 0, written, CODEC)
    return state


@given(uploads=some_uploads(), sizes=st.lists(st.integers(1, 20), min_size=1))
@settings(max_examples=EXAMPLES, deadline=None)
def test_batching_changes_nothing_that_is_kept(uploads: list[Upload], sizes: list[int]) -> None:
    """The same uploads one by one or many at once: same alerts, same counts, same detectors."""
    one_by_one, together = Model(HORIZON), Model(HORIZON)
    for upload in uploads:
        one_by_one.give([upload])
    for step in cut(uploads, cycle(sizes).__next__):
        together.give(step)
    assert _by_person(together) == _by_person(one_by_one)
    for person in PEOPLE:
        assert _detection(together.state, person) == _detection(one_by_one.state, person)
    samples = sum(len(times) for u in uploads for times, _ in u.series.values())
    assert together.duplicates <= samples


def _by_person(model: Model) -> dict[str, list[object]]:
    return {
        person: [alert for alert in model.alerts if alert.user_id == person] for person in PEOPLE
    }


def _detection(state: State, person: str) -> list[bytes]:
    user = state.find(person)
    slots = [] if user is None else state.series_of_user(user)
    return [
        state.detection[slot].tobytes()
        + (state.active[slot].pack() if slot in state.active else b"")
        for slot in slots
    ]


def _steady(turns: int, *, samples: int = 60, step_ms: int = 1_000) -> list[Upload]:
    random = Random(7)
    return [
        Upload(
            _id(random), "utc", "a", T0 + turn,
            {HEART_RATE: (
                tuple(T0 + (turn * samples + i) * step_ms for i in range(samples)),
                tuple(random.randrange(120, 160) / 2 for _ in range(samples)),
            )},
        )
        for turn in range(turns)
    ]  # fmt: skip


def test_an_upload_that_comes_again_at_once_tells_nothing_new() -> None:
    """It is counted as duplicate, and no window changes."""
    model = Model(HORIZON)
    uploads = _steady(3)
    for upload in uploads:
        model.give([upload])
    applied = model.give([uploads[-1]])
    assert applied.duplicate.tolist() == [60]
    assert not applied.windows
    assert not applied.late


def test_duplicates_within_a_step_are_counted_once() -> None:
    """Two copies in one step: the second is all duplicates."""
    [upload] = _steady(1)
    model = Model(HORIZON)
    applied = model.give([upload, upload])
    assert applied.duplicate.tolist() == [0, 60]
    model.check()


def test_steady_uploads_need_no_late_computation() -> None:
    """A day of minutes at one sample a second is exact from the state alone."""
    model = Model(HORIZON)
    for step in cut(_steady(26 * 12, samples=5, step_ms=MINUTE_MS), cycle([1, 40]).__next__):
        applied = model.give(step)
        assert not applied.late
    model.check()
    sizes = [window[2] for window in model.rows]
    assert (sizes.count(MINUTE), sizes.count(HOUR), sizes.count(DAY)) == (1_560, 26, 2)


def test_a_correction_counts_at_once() -> None:
    """A later value of a known identity replaces the earlier one in all windows of the state."""
    model = Model(HORIZON)
    [upload] = _steady(1)
    times, values = upload.series[HEART_RATE]
    model.give([upload])
    corrected = Upload(
        UUID(int=1), "utc", "a", upload.received_ms + 5, {HEART_RATE: (times[:1], (200.0,))}
    )
    applied = model.give([corrected])
    assert applied.duplicate.tolist() == [0]
    assert [float(one.groups.max[0]) for one in applied.windows] == [200.0] * 3
    assert [int(one.groups.count[0]) for one in applied.windows] == [60] * 3
    assert values[0] != 200.0
    model.check()


def test_an_upload_keeps_the_rank_of_its_first_copy() -> None:
    """Sent again after a correction by another upload, the old value does not come back."""
    model = Model(HORIZON)
    [first] = _steady(1)
    times, values = first.series[HEART_RATE]
    other = Upload(
        UUID(int=1), "utc", "a", first.received_ms + 10,
        {HEART_RATE: (times, tuple(v + 1 for v in values))},
    )  # fmt: skip
    again = Upload(first.upload_id, "utc", "a", first.received_ms + 20, first.series)
    for upload in (first, other, again):
        model.give([upload])
    model.check()
    minute = (*("utc", HEART_RATE), MINUTE, T0, T0 + MINUTE_MS)
    assert model.rows[minute][4] == max(values) + 1


def test_what_a_series_keeps_is_bounded() -> None:
    """At any rate of samples and in any order."""
    model = Model(HORIZON)
    random = Random(3)
    uploads = _steady(50) + _steady(50, samples=30, step_ms=100)
    random.shuffle(uploads)
    for step in cut(uploads, cycle([1, 5]).__next__):
        model.give(step)
        slots = np.arange(model.state.series_count)
        assert model.state.pool.kept(slots).max() <= SAMPLES_MAX
    model.check()


def test_an_upload_that_cannot_be_applied_leaves_the_state_as_it_was() -> None:
    """What fails in the middle has changed nothing."""
    model = Model(HORIZON)
    model.give(_steady(2))
    before = _written(model.state)
    broken = Upload(
        UUID(int=2), "utc", "a", T0,
        {HEART_RATE: ((T0 + 10 * MINUTE_MS,), (70.0,)), 10_000: ((T0,), (1.0,))},
    )  # fmt: skip
    with pytest.raises(IndexError):
        model.give([broken])
    assert _written(model.state) == before


def test_a_change_of_zone_recuts_the_open_day() -> None:
    """Days after a change are those of the new calendar, computed from stored samples."""
    model = Model(HORIZON)
    uploads = _steady(8)
    for upload in uploads[:4]:
        model.give([upload])
    state = model.state
    state.set_calendar("utc", CALENDARS["kathmandu"])
    applied = [model.give([upload]) for upload in uploads[4:]]
    late = {
        (int(s), int(e))
        for one in applied
        for x in one.late
        for size, s, e in zip(x.size, x.start, x.end, strict=True)
        if size == DAY
    }
    assert late == {CALENDARS["kathmandu"].day(T0)}
    assert not any(rows.size == DAY for one in applied for rows in one.windows)


def test_the_state_of_a_series_is_bounded_in_bytes() -> None:
    """All that is kept of a series without an open alert, detectors included."""
    assert SERIES_BYTES_MAX <= 4_096
