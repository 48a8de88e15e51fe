"""The rules of pacing: each instant once, in order, never in the future, loops without a seam."""

from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import orjson
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from app.replay.pacing import (
    STRETCH_INSTANTS,
    STRETCH_SAMPLES,
    CatchUp,
    Track,
    backoff_seconds,
    is_dense,
    usual_pause_ms,
)
from app.replay.recording import Recording
from app.replay.sender import retry_after_seconds
from app.replay.uploads import uploads_of

PERSON = UUID("1c7315b1-2908-404d-b746-9ab9f1f03f0a")
NAMESPACE = UUID("7d3b0c52-6a5f-4a0e-8d7a-0d5f6c1b2a3e")

quick = settings(deadline=None, max_examples=60)  # a busy machine is no failure


def recording(times: list[int], codes: list[tuple[int, int]] | None = None) -> Recording:
    """Return samples at ``times``; values are their indices, codes are (metric, device)."""
    codes = codes or [(0, 0)] * len(times)
    return Recording(
        person=PERSON,
        time_ms=np.array(sorted(times), np.int64),
        metric=np.array([metric for metric, _ in codes], np.int32),
        metrics=("heart_rate", "steps"),
        units=("/min", "{steps}"),
        value=np.arange(len(times), dtype=np.float64),
        device=np.array([device for _, device in codes], np.int32),
        devices=("watch", "phone"),
        sources=("file", "file"),
    )


@st.composite
def tracks(draw: st.DrawFn) -> Track:
    first = draw(st.integers(-(10**12), 10**12))
    pauses = draw(st.lists(st.integers(0, 700_000), max_size=30))
    codes = st.tuples(st.integers(0, 1), st.integers(0, 1))
    count = len(pauses) + 1
    times = [first + sum(pauses[:i]) for i in range(count)]
    drawn = draw(st.lists(codes, min_size=count, max_size=count))
    return Track.of(recording(times, drawn), NAMESPACE, draw(st.integers(0, 10**9)))


positions = st.integers(-200, 200)


@quick
@given(tracks(), positions)
def test_instants_never_go_back_and_loops_share_none(track: Track, position: int) -> None:
    here, after = track.instant_ms(position), track.instant_ms(position + 1)
    assert after >= here
    if (position + 1) % len(track.recording) == 0:
        assert after > here
    assert track.instant_ms(position + len(track.recording)) == here + track.period_ms


@quick
@given(tracks(), positions, st.integers(-1, 1))
def test_position_counts_exactly_what_is_due(track: Track, near: int, off: int) -> None:
    instant = track.instant_ms(near) + off
    position = track.position(instant)
    assert track.instant_ms(position - 1) <= instant < track.instant_ms(position)


@quick
@given(tracks(), positions, st.integers(1, 150), st.integers(0, 2_000_000))
def test_stretches_send_every_position_once(
    track: Track, start: int, count: int, span_ms: int
) -> None:
    stop, position = start + count, start
    while position < stop:
        end = track.stretch_end(position, stop, span_ms)
        assert position < end <= stop
        assert position // len(track.recording) == (end - 1) // len(track.recording)
        assert track.instant_ms(end - 1) - track.instant_ms(position) <= span_ms
        if end < stop:
            assert track.instant_ms(end - 1) < track.instant_ms(end)  # an instant is not parted
        position = end
    assert position == stop


def test_stretches_are_bounded_in_instants_and_in_samples() -> None:
    many = Track.of(recording([t // 2 for t in range(1_000)]), NAMESPACE)
    assert many.stretch_end(0, 1_000, 10**9) == 2 * STRETCH_INSTANTS
    same = Track.of(recording([5] * 5_000), NAMESPACE)
    assert same.stretch_end(0, 5_000, 10**9) == STRETCH_SAMPLES
    assert same.stretch_end(4_000, 5_000, 10**9) == 5_000


@quick
@given(tracks(), positions, st.integers(1, 60))
def test_uploads_carry_exactly_the_samples_of_their_stretch(
    track: Track, start: int, count: int
) -> None:
    end = track.stretch_end(start, start + count, 10**9)
    found: list[tuple[int, str, str, float]] = []
    uploads = list(uploads_of(track, start, end))
    for upload in uploads:
        body = zstd.decompress(upload.body) if upload.encoding == "zstd" else upload.body
        document = orjson.loads(body)
        assert document["upload_id"] == str(upload.upload_id)
        samples = [
            (time_ms, series["metric"], document["device_id"], value)
            for series in document["series"]
            for time_ms, value in zip(series["times"], series["values"], strict=True)
        ]
        assert len(samples) == upload.samples
        found += samples
    source = track.recording
    rows = [position % len(source) for position in range(start, end)]
    assert sorted(found) == sorted(
        (
            track.instant_ms(position),
            source.metrics[source.metric[row]],
            source.devices[source.device[row]],
            float(source.value[row]),
        )
        for position, row in zip(range(start, end), rows, strict=True)
    )
    again = [upload.upload_id for upload in uploads_of(track, start, end)]
    assert again == [upload.upload_id for upload in uploads]
    other_loop = uploads_of(track, start + len(source), end + len(source))
    assert len({*again, *(upload.upload_id for upload in other_loop)}) == 2 * len(again)


@quick
@given(
    st.integers(0, 10**13),
    st.integers(0, 10**8),
    st.floats(1.5, 1e4),
    st.lists(st.integers(0, 10**9), min_size=2),
)
def test_the_clock_is_never_ahead_never_goes_back_and_arrives(
    started: int, behind: int, speed: float, elapsed: list[int]
) -> None:
    clock = CatchUp(started, behind, speed)
    assert clock.horizon_ms(started) == started - behind
    moments = [started + since for since in sorted(elapsed)]
    horizons = [clock.horizon_ms(moment) for moment in moments]
    assert horizons == sorted(horizons)
    assert all(h <= moment for h, moment in zip(horizons, moments, strict=True))
    arrived = started + int(behind / (speed - 1)) + 2
    assert clock.horizon_ms(arrived) == arrived


def test_three_hours_are_caught_up_in_a_good_minute() -> None:
    clock = CatchUp(0, 3 * 3_600_000, 150.0)
    assert clock.horizon_ms(60_000) < 60_000
    assert clock.horizon_ms(75_000) == 75_000


@quick
@given(st.integers(1, 10**6), st.floats(0, 300), st.floats(0, 1, exclude_max=True))
def test_backoff_is_bounded_and_never_shorter_than_asked(
    attempt: int, asked: float, chance: float
) -> None:
    wait = backoff_seconds(attempt, asked, chance)
    assert asked <= wait <= max(15.0, asked * 1.25)
    assert wait >= 0.125
    assert backoff_seconds(attempt, 0, chance) <= backoff_seconds(attempt + 1, 0, chance)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Mon, 23 Nov 2026 10:00:09 GMT", 9.0),
        ("Mon, 23 Nov 2026 09:00:00 GMT", 0.0),
        ("999999999", 300.0),
        ("", 0.0),
        ("nan", 0.0),
        ("-3", 0.0),
        ("soon", 0.0),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str, seconds: float) -> None:
    assert retry_after_seconds(header, datetime(2026, 11, 23, 10, tzinfo=UTC)) == seconds


def test_usual_pause_and_density() -> None:
    assert usual_pause_ms(recording([0, 0, 1_000, 3_000, 900_000])) == 2_000
    assert is_dense(recording([0, 0, 1_000, 3_000, 900_000]))
    assert not is_dense(recording([0, 300_000]))
    assert usual_pause_ms(recording([7])) == 600_000
