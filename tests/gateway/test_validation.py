"""Checking samples, against a plain reference that looks at one sample at a time."""

import math
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as unhurried
from hypothesis import strategies as st

from app.gateway import rejections
from app.gateway.batches import join
from app.gateway.documents import SeriesDocument, UploadDocument
from app.gateway.times import UNREADABLE, instant, instants
from app.gateway.validation import REASONS, Bounds, CheckedUpload, check
from schemas import uploads
from schemas.catalogue import catalogue
from schemas.codec import Codec

NOW = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()) * 1000
BOUNDS = Bounds(earliest_ms=631_152_000_000, ahead_ms=300_000)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CODEC = Codec()

moments = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001
offsets = st.integers(-23 * 60, 23 * 60)


@given(moments, offsets, st.sampled_from("Tt "), st.booleans())
def test_rfc3339_is_read_as_datetime_reads_it(
    moment: datetime, minutes: int, separator: str, milliseconds: bool
) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = aware.isoformat(separator, "milliseconds" if milliseconds else "auto")
    expected = (aware - EPOCH) // timedelta(milliseconds=1)
    if milliseconds:
        expected = (
            aware.replace(microsecond=moment.microsecond // 1000 * 1000) - EPOCH
        ) // timedelta(milliseconds=1)
    assert instant(text) == expected
    if minutes == 0:
        assert instant(text.replace("+00:00", "z")) == expected


@given(st.lists(st.one_of(st.integers(0, 2**53), moments.map(lambda m: m.isoformat() + "Z"))))
def test_a_column_is_read_as_its_items_are(times: list[Any]) -> None:
    assert instants(times).tolist() == [instant(time) for time in times]


forms = st.tuples(
    offsets,
    st.sampled_from("Tt "),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
    st.booleans(),
)


@given(forms, st.lists(moments, min_size=1, max_size=8), st.data())
def test_a_column_of_one_form_is_read_as_its_items_are(
    form: tuple[int, str, str, bool], column: list[datetime], data: st.DataObject
) -> None:
    minutes, separator, precision, zulu = form
    zone = timezone(timedelta(minutes=0 if zulu else minutes))
    times = [moment.replace(tzinfo=zone).isoformat(separator, precision) for moment in column]
    if zulu:
        times = [time.replace("+00:00", "Z") for time in times]
    if data.draw(st.booleans()):  # one of them is not what it seems, at any place
        row = data.draw(st.integers(0, len(times) - 1))
        spoil = data.draw(
            st.sampled_from(
                [
                    lambda t: t[:8] + "31" + t[10:],
                    lambda t: t[:17] + "60" + t[19:],
                    lambda t: "0000" + t[4:],
                    lambda t: t[:11] + "24" + t[13:],
                    lambda t: t[:10] + "_" + t[11:],
                    lambda t: t[:-1],
                    lambda t: "\u0662" + t[1:],
                    lambda t: t[:-3] + "-01",
                ]
            )
        )
        times[row] = spoil(times[row])
    assert instants(times).tolist() == [instant(time) for time in times]


def test_rows_that_only_join_to_the_form_are_no_instants() -> None:
    whole = "2026-11-23T10:00:00.000Z"
    times = [whole, whole + "2", whole[1:]]
    assert instants(times).tolist() == [instant(whole), UNREADABLE, UNREADABLE]


@pytest.mark.parametrize(
    "time",
    [
        "", "now", "2026-11-23", "2026-11-23T10:00:00", "2026-11-23T10:00Z", "20261123T100000Z",
        "2026-W48-1T10:00:00Z", "2026-02-30T10:00:00Z", "2026-11-23T24:00:00Z",
        "2026-11-23T10:00:61Z", "2026-11-23T10:00:60Z", "2026-11-23T10:00:00,5Z",
        "2026-11-23T10:00:00+24:00", "2026-11-23T10:00:00+0100", " 2026-11-23T10:00:00Z",
        "2026-11-23T10:00:00Z\n", "\uff12026-11-23T10:00:00Z",
        None, True, 1.5, [], {}, 2**64, 1e300,
    ],
)  # fmt: skip
def test_what_is_no_instant_is_unreadable(time: object) -> None:
    assert instant(time) == UNREADABLE
    assert instants([1, time]).tolist() == [1, UNREADABLE]


def test_leap_seconds_and_fractions() -> None:
    assert instant("2016-12-31T23:59:60Z") == 1_483_228_800_000
    assert instant("2016-12-31T22:59:60.9-01:00") == 1_483_228_800_000
    assert instant("1970-01-01T00:00:00.123456789Z") == 123
    assert instant("1969-12-31T23:59:59.9995Z") == -1
    assert instant(1000.0) == 1000


def upload(*series: SeriesDocument) -> UploadDocument:
    size = sum(max(len(one.times), len(one.values)) for one in series)
    return UploadDocument(str(uuid.uuid4()), str(uuid.uuid4()), "watch", "test", series, size)


def reference(document: UploadDocument) -> tuple[dict[str, dict[int, float]], list[Any], int]:
    """Return the values by metric and instant, the rejections, and the number accepted."""
    kept: dict[str, dict[int, float]] = {}
    rejected, accepted = [], 0
    for number, series in enumerate(document.series):
        for index in range(max(len(series.times), len(series.values))):
            time = series.times[index] if index < len(series.times) else None
            value = series.values[index] if index < len(series.values) else None
            reason, at, converted = judge(series, time, value)
            if reason:
                rejected.append((number, index, reason))
            else:
                accepted += 1
                kept.setdefault(series.metric, {})[at] = converted
    return kept, rejected, accepted


def judge(series: SeriesDocument, time: object, value: object) -> tuple[str, int, float]:
    """Return the first thing that is wrong with a sample, its instant and converted value."""
    metric = catalogue().get(series.metric)
    at = instant(time)
    number = float(value) if isinstance(value, int | float) else math.nan
    number = math.nan if isinstance(value, bool) else number
    if metric is None or metric.kind == "categorical":
        reason = "unknown_metric"
    elif series.unit not in metric.conversions:
        reason = "bad_unit"
    elif time is None:
        reason = "missing_time"
    elif value is None:
        reason = "missing_value"
    elif at < BOUNDS.earliest_ms:
        reason = "bad_time"
    elif not math.isfinite(number):
        reason = "not_a_number"
    elif at > NOW + BOUNDS.ahead_ms:
        reason = "future_time"
    else:
        converted = convert(metric.name, series.unit, number)
        return ("" if metric.low <= converted <= metric.high else "out_of_range"), at, converted
    return reason, at, math.nan


def convert(metric: str, unit: str, value: float) -> float:
    conversion = catalogue()[metric].conversions[unit]
    if conversion.reciprocal:
        return conversion.factor / value if value else math.inf
    return (value + conversion.offset) * conversion.factor / conversion.divisor


times_as_sent = st.one_of(
    st.integers(NOW - 5, NOW),
    st.integers(NOW - 5, NOW).map(lambda t: datetime.fromtimestamp(t / 1000, UTC).isoformat()),
    st.sampled_from([None, "soon", 0, NOW + 10**6, True, 2**63]),
)
values_as_sent = st.one_of(
    st.floats(30, 110), st.integers(0, 400), st.sampled_from([None, "61", True, 1e308, 0, -1])
)
series_as_sent = st.builds(
    SeriesDocument,
    st.sampled_from(["heart_rate", "body_temperature", "rr_interval", "sleep_stage", "aura"]),
    st.sampled_from(["/min", "Hz", "Cel", "[degF]", "ms", "{enum}", ""]),
    st.lists(times_as_sent, max_size=12),
    st.lists(values_as_sent, max_size=12),
)


def samples(checked: CheckedUpload) -> dict[str, dict[int, float]]:
    return {
        s.metric: dict(zip(s.times.tolist(), s.values.tolist(), strict=True))
        for s in checked.series
    }


@unhurried(deadline=None)  # the first example reads the catalogue
@given(st.lists(series_as_sent, min_size=1, max_size=4))
def test_every_sample_is_judged_as_alone(series: list[SeriesDocument]) -> None:
    document = upload(*series)
    kept, rejected, accepted = reference(document)
    checked = check(document, NOW, BOUNDS)
    assert samples(checked) == kept
    assert [(e["series"], e["index"], e["reason"]) for e in rejections.entries(checked)] == rejected
    assert (checked.accepted, checked.rejected) == (accepted, len(rejected))
    assert checked.repeated == accepted - sum(len(s) for s in kept.values())
    assert all((np.diff(s.times) > 0).all() for s in checked.series)
    # what was accepted makes a record that its readers take
    batch = uploads.decode(uploads.encode(join([checked]), CODEC), CODEC)
    assert (batch.accepted.tolist(), batch.rejected.tolist()) == ([accepted], [len(rejected)])


@given(st.lists(series_as_sent, min_size=1, max_size=3))
def test_rejected_samples_are_kept_as_sent(series: list[SeriesDocument]) -> None:
    document = upload(*series)
    checked = check(document, NOW, BOUNDS)
    kept = [
        sample
        for record in rejections.records(checked, CODEC)
        for sample in CODEC.decode(rejections.SUBJECT, record)["samples"]
    ]
    entries = rejections.entries(checked)
    assert [
        {key: s[key] for key in ("series", "index", "reason", "detail")} for s in kept
    ] == entries
    for sample in kept:
        sent = document.series[sample["series"]]
        assert (sample["metric"], sample["unit"]) == (sent.metric, sent.unit)
        if sample["index"] < len(sent.values) and isinstance(sent.values[sample["index"]], str):
            assert sample["value"] == sent.values[sample["index"]]


@pytest.mark.parametrize(
    ("times", "values"),
    [
        ([NOW], [61.0]),
        ([NOW - 1, NOW], [61, 300]),
        ([NOW, NOW - 1], [61.0, 62.0]),
        ([NOW, NOW], [61.0, 62.0]),
        ([True, NOW], [61.0, 62.0]),
        ([NOW - 1, NOW], [True, 62.0]),
        ([NOW - 1, 2**63], [61.0, 62.0]),
        ([NOW - 1, float(NOW)], [61.0, 2**64]),
        ([NOW, None], [61.0, 62.0]),
        ([NOW - 1, NOW], [61.0, None]),
        (np.array([NOW - 1, NOW]), np.array([61.0, np.nan])),
        (np.array([NOW - 1, NOW]), np.array([np.inf, 62.0])),
        (np.array([NOW - 1, NOW]), np.array([61.0, 62.0])),
    ],
)
def test_series_without_and_with_flaws_are_judged_alike(times: Any, values: Any) -> None:  # noqa: ANN401
    document = upload(SeriesDocument("heart_rate", "/min", times, values))
    for bounds in (BOUNDS, Bounds(earliest_ms=-62_135_596_800_000, ahead_ms=0)):
        checked = check(document, NOW, bounds)
        if bounds is BOUNDS:
            listed = (
                list(column.tolist() if isinstance(column, np.ndarray) else column)
                for column in (times, values)
            )
            series = (SeriesDocument("heart_rate", "/min", *listed),)
            kept, rejected, accepted = reference(document._replace(series=series))
            assert samples(checked) == kept
            assert checked.accepted == accepted
            entries = rejections.entries(checked)
            assert [(e["series"], e["index"], e["reason"]) for e in entries] == rejected
        for instant_kept in samples(checked).get("heart_rate", {}):
            assert instant_kept in {NOW, NOW - 1}


def test_many_rejected_samples_are_split_over_records() -> None:
    size = 2 * rejections.SAMPLES_PER_RECORD + 1
    values: list[object] = ["x" * 1000] * size
    checked = check(upload(SeriesDocument("spo2", "%", [NOW] * size, values)), NOW, BOUNDS)
    records = list(rejections.records(checked, CODEC))
    assert len(records) == 3
    decoded = [CODEC.decode(rejections.SUBJECT, record)["samples"] for record in records]
    assert [s["index"] for part in decoded for s in part] == list(range(size))
    assert {len(s["value"]) for part in decoded for s in part} == {rejections.TEXT_LENGTH}


def test_values_that_are_no_scalars_are_rejected_however_deep() -> None:
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    checked = check(upload(SeriesDocument("spo2", "%", [NOW, {}], [deep, 97])), NOW, BOUNDS)
    assert [r.reason for r in checked.rejections] == ["bad_time", "not_a_number"]
    (record,) = rejections.records(checked, CODEC)
    first, second = CODEC.decode(rejections.SUBJECT, record)["samples"]
    assert (first["value"], second["time"]) == ("list", "dict")


def test_details_never_quote_the_value() -> None:
    series = SeriesDocument("heart_rate", "/min", [NOW, "61.25"], [4711.5, 4711.5])
    for entry in rejections.entries(check(upload(series), NOW, BOUNDS)):
        assert "4711" not in entry["detail"]
        assert entry["reason"] in REASONS
