"""Reading recordings, the bundled ones included, and moving them in time."""

import csv
import gzip
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RecordingError
from app.replay import recording
from app.replay.recording import Recording, bundled, load

ROOT = Path(recording.__file__).parents[2]
RECORDINGS = ROOT / "app" / "replay" / "recordings"
PERSON = "1c7315b1-2908-404d-b746-9ab9f1f03f0a"
HEADER = "time,metric,unit,value"
LINE = "2026-11-23T10:00:00.250Z,heart_rate,/min,61.5"


@pytest.fixture(scope="module")
def people() -> list[Recording]:
    return [person for path in bundled() for person in load(path)]


def write(folder: Path, *lines: str, name: str = f"{PERSON}.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def identities(person: Recording) -> set[tuple[str, str, int]]:
    """Distinct (device, metric, instant) of a recording."""
    devices = (person.devices[code] for code in person.device)
    metrics = (person.metrics[code] for code in person.metric)
    return set(zip(devices, metrics, person.time_ms.tolist(), strict=True))


# The bundled recordings


def test_bundled_are_many_people_of_one_file_each(people: list[Recording]) -> None:
    assert [path.name for path in bundled()] == [f"{person.person}.csv.gz" for person in people]
    assert len({person.person for person in people}) >= 20
    assert 150_000 <= sum(map(len, people)) <= 300_000
    assert sum(path.stat().st_size for path in bundled()) <= 3_000_000
    with_heart_rate = [person for person in people if "heart_rate" in person.metrics]
    assert len(with_heart_rate) >= 10
    assert len({metric for person in people for metric in person.metrics}) >= 6


def test_bundled_heart_rates_are_at_their_native_rate(people: list[Recording]) -> None:
    for person in people:
        if "heart_rate" in person.metrics:
            times = person.time_ms[person.metric == person.metrics.index("heart_rate")]
            assert np.median(np.diff(times)) <= 9_000


def test_bundled_files_are_sorted_and_hold_no_duplicates(people: list[Recording]) -> None:
    for path, person in zip(bundled(), people, strict=True):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            times = [line.split(",", 1)[0] for line in lines][1:]
        assert times == sorted(times)
        assert len(identities(person)) == len(person)


def test_bundled_values_are_in_the_catalogue(people: list[Recording]) -> None:
    """Only known metrics and units; out of range are exactly the four that the README names."""
    with (ROOT / "schemas" / "metrics.csv").open(encoding="utf-8", newline="") as lines:
        catalogue = {row["name"]: row for row in csv.DictReader(lines)}
    outside = []
    for person in people:
        for code, (metric, unit) in enumerate(zip(person.metrics, person.units, strict=True)):
            row = catalogue[metric]
            assert unit == row["ucum_unit"] or (unit == "s" and row["ucum_unit"] == "min")
            values = person.value[person.metric == code] / (60 if unit == "s" else 1)
            allowed = (values >= float(row["range_min"])) & (values <= float(row["range_max"]))
            outside += [(str(person.person), metric, value) for value in values[~allowed]]
    assert outside == [("a36d6575-8f36-4c7e-95cc-cebc3a5d4d6c", "heart_rate", 0.0)] * 4


def test_every_bundled_file_is_attributed(people: list[Recording]) -> None:
    readme = (RECORDINGS / "README.md").read_text(encoding="utf-8")
    for person in people:
        (source,) = set(person.sources)
        assert f"| {person.person} | {source} | {len(person):,} |" in readme
        assert f"(LICENSES/{source}.txt)" in readme
        licence = (RECORDINGS / "LICENSES" / f"{source}.txt").read_text(encoding="utf-8")
        assert "CC0 1.0" in licence or "MIT License" in licence or "CC BY 4.0" in licence


def test_bundled_ids_are_random_uuids(people: list[Recording]) -> None:
    ids = [person.person for person in people]
    devices = [device for person in people for device in person.devices]
    assert len(set(devices)) == len(devices)
    assert {UUID(str(each)).version for each in [*ids, *devices]} == {4}


# Files of users


def test_minimal_file_gets_defaults(tmp_path: Path) -> None:
    (person,) = load(write(tmp_path, HEADER, LINE))
    assert str(person.person) == PERSON
    assert (person.metrics, person.units) == (("heart_rate",), ("/min",))
    assert person.time_ms.tolist() == [1_795_428_000_250]
    assert person.value.tolist() == [61.5]
    assert person.sources == ("file",)
    assert UUID(person.devices[0]).version == 5


def test_lines_and_columns_in_any_order_and_both_kinds_of_time(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "value,source,unit,device,metric,time",
        "3,a,/min,watch,heart_rate,2026-11-23T12:00:02+02:00",
        "1,b,ms,strap,rr_interval,1795428000000",
        "2,,/min,watch,heart_rate,2026-11-23t10:00:01.9999999z",
    )
    (person,) = load(path)
    assert person.value.tolist() == [1, 2, 3]
    assert person.time_ms.tolist() == [1_795_428_000_000, 1_795_428_001_999, 1_795_428_002_000]
    assert [person.metrics[code] for code in person.metric] == [
        "rr_interval",
        "heart_rate",
        "heart_rate",
    ]
    devices = list(zip(person.devices, person.sources, strict=True))
    assert [devices[code] for code in person.device] == [
        ("strap", "b"),
        ("watch", "file"),
        ("watch", "a"),
    ]


def test_one_metric_in_two_units_keeps_both(tmp_path: Path) -> None:
    (person,) = load(write(tmp_path, HEADER, "0,weight,kg,70", "1,weight,g,70100"))
    assert person.metrics == ("weight", "weight")
    assert [person.units[code] for code in person.metric] == ["kg", "g"]


def test_several_people_in_one_compressed_file(tmp_path: Path) -> None:
    path = tmp_path / "family.csv.gz"
    lines = [f"{HEADER},person", f"{LINE},{PERSON}", f"{LINE},Ada", f"{LINE},{PERSON}"]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    first, second = load(path)
    assert (str(first.person), len(first)) == (PERSON, 2)
    assert (second.person.version, len(second)) == (5, 1)


def test_the_same_name_is_the_same_person(tmp_path: Path) -> None:
    (by_file,) = load(write(tmp_path, HEADER, LINE, name="Ada.csv"))
    (by_column,) = load(write(tmp_path, f"{HEADER},person", f"{LINE},Ada", name="x.csv"))
    (other,) = load(write(tmp_path, HEADER, LINE, name="Bob.csv"))
    assert by_file.person == by_column.person != other.person


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2026-11-23T10:00:00,heart_rate,/min,61", "time is neither"),
        ("2026-11-23,heart_rate,/min,61", "time is neither"),
        ("1795428000000.5,heart_rate,/min,61", "time is neither"),
        (",heart_rate,/min,61", "time is neither"),
        ("2026-02-30T10:00:00Z,heart_rate,/min,61", "time is not an instant"),
        (LINE.replace("61.5", "sixty"), "value is not a finite number"),
        (LINE.replace("61.5", "nan"), "value is not a finite number"),
        (LINE.replace("61.5", "1e999"), "value is not a finite number"),
        (LINE.replace("61.5", ""), "value is not a finite number"),
        (LINE.replace("heart_rate", ""), "metric or unit is empty"),
        (LINE.replace("/min", ""), "metric or unit is empty"),
        (f"{LINE},", "5 fields instead of 4"),
        ("", "0 fields instead of 4"),
        (f'"{LINE}', "unexpected end of data"),
        ("x" * 5_000, "longer than 4096 characters"),
    ],
)
def test_malformed_line_names_file_and_line(tmp_path: Path, line: str, reason: str) -> None:
    path = write(tmp_path, HEADER, LINE, line)
    with pytest.raises(RecordingError, match=reason) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:")
    named = int(str(caught.value).removeprefix(f"{path}:").partition(":")[0])
    assert named == (2 if len(line) > 4_096 else 3)  # "the next line" after line 2


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("time,metric,value", "the header lacks unit"),
        (f"{HEADER},devise", "nothing else"),
        (f"{HEADER},unit", "each of these once"),
        (HEADER, "no samples"),
        ("", "the header lacks time, metric, unit, value"),
    ],
)
def test_bad_header_is_refused(tmp_path: Path, header: str, reason: str) -> None:
    with pytest.raises(RecordingError, match=f"csv:1: .*{reason}"):
        load(write(tmp_path, header))


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    packed = gzip.compress(f"{HEADER}\n{LINE}\n".encode() * 50)
    contents = {
        "cut.csv.gz": packed[:-12],
        "not-gzip.csv.gz": b"time,metric",
        "latin.csv": f"{HEADER}\n{LINE}é\n".encode("latin-1"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in [*contents, "missing.csv"]:
        with pytest.raises(RecordingError, match=f"{name}"):
            load(tmp_path / name)


def test_limits_are_enforced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_SAMPLES", 3)
    monkeypatch.setattr(recording, "MAX_NAMES", 2)
    path = write(tmp_path, f"{HEADER},person", *[f"{LINE},Ada"] * 4)
    with pytest.raises(RecordingError, match=":5: more than 3 samples"):
        load(path)
    path = write(tmp_path, f"{HEADER},person", *(f"{LINE},{name}" for name in "abc"))
    with pytest.raises(RecordingError, match=":4: more than 2 people"):
        load(path)
    path = write(tmp_path, HEADER, *(f"0,{name},1,0" for name in "abc"))
    with pytest.raises(RecordingError, match=":4: more than 2 distinct"):
        load(path)


# Moving in time


def recording_at(times: list[int]) -> Recording:
    """Build a recording of one metric and a device per sample of an instant."""
    codes = np.arange(len(times), dtype=np.int32)
    return Recording(
        person=UUID(PERSON),
        time_ms=np.array(sorted(times), np.int64),
        metric=np.zeros(len(times), np.int32),
        metrics=("heart_rate",),
        units=("/min",),
        value=codes.astype(np.float64),
        device=codes,
        devices=tuple(map(str, codes)),
        sources=("file",) * len(times),
    )


INSTANTS = st.integers(-(10**12), 4 * 10**12)


@given(
    times=st.lists(INSTANTS, min_size=1, max_size=50),
    end=INSTANTS,
    longest=st.none() | st.integers(1, 10**9),
)
def test_retimed_keeps_order_and_bounds_pauses(
    times: list[int], end: int, longest: int | None
) -> None:
    before = recording_at(times)
    after = before.retimed(end, longest)
    old, new = np.diff(before.time_ms), np.diff(after.time_ms)
    assert after.time_ms[-1] == end
    assert after.time_ms.dtype == np.int64
    expected = old if longest is None else np.minimum(old, longest)
    np.testing.assert_array_equal(new, expected)
    np.testing.assert_array_equal(new == 0, old == 0)  # instants neither merge nor split
    np.testing.assert_array_equal(after.value, before.value)
    assert after.duration_ms == int(expected.sum())


def test_retimed_bundled_recordings_stay_free_of_duplicates(people: list[Recording]) -> None:
    for person in people:
        moved = person.retimed(1_795_428_000_000, max_gap_ms=1)
        assert len(identities(moved)) == len(person)


def test_retimed_refuses_a_gap_that_would_merge_instants() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        recording_at([0, 5]).retimed(0, 0)


def test_columns_must_match_and_ascend() -> None:
    good = recording_at([1, 2])
    columns = {name: getattr(good, name) for name in Recording.__dataclass_fields__}
    with pytest.raises(RecordingError, match="ordered by time"):
        Recording(**{**columns, "time_ms": good.time_ms[::-1]})
    with pytest.raises(RecordingError, match="equally long"):
        Recording(**{**columns, "value": good.value[:1]})
