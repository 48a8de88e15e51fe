"""``vitalstream score``: files in, files out, and what is wrong with them."""

import csv
import gzip
import os
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from app.cli.configuration import CHECKOUT
from app.errors import ConfigurationError, RecordingError
from app.score import DETECTORS, score_file
from app.score.moments import moment
from tables.detection.novelty import novelty
from tests.score.test_nightsignal import RECORDING

START = datetime(2024, 3, 1, tzinfo=UTC)


def days(count: int) -> list[str]:
    return [f"{START + timedelta(days=day):%Y-%m-%d %H:%M:%S}" for day in range(count)]


def scored(tmp_path: Path, detector: str, text: str) -> list[tuple[str, float]]:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(text, encoding="utf-8")
    score_file(detector, source, target)
    with target.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["time", "score"]
    return [(time, float(score)) for time, score in rows]


def refused(tmp_path: Path, detector: str, text: str) -> str:
    """Return the message of the error; check that an earlier output stays as it was."""
    target = tmp_path / "out.csv"
    target.write_text("earlier")
    with pytest.raises(RecordingError) as caught:
        scored(tmp_path, detector, text)
    assert target.read_text() == "earlier"
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv"}
    return str(caught.value).removeprefix(str(tmp_path))


def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "score", *arguments],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "100"},
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_the_command_scores_a_published_record_as_published(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(gzip.decompress((RECORDING / "resting_heart_rate.csv.gz").read_bytes()))
    options = ["--detector", "nightsignal", "--input", str(source), "--output", str(target)]
    assert "19,572 rows scored" in run(*options).stdout
    with source.open() as before, target.open() as after:
        times = [row["time"] for row in csv.DictReader(before)]
        rows = list(csv.DictReader(after))
    assert [row["time"] for row in rows] == times
    found = {row["time"][:10]: float(row["score"]) for row in rows}
    with (RECORDING / "alerts.csv").open() as file:
        assert found == {row["day"]: float(row["alert"]) for row in csv.DictReader(file)}


def test_the_command_says_what_is_wrong_in_a_line(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("time,value\n2024-03-01 00:00:00,1\n2024-03-01 00:05:00,high\n")
    options = ["--input", str(source), "--output", str(target)]
    error = run("--detector", "anomaly", *options, code=1).stderr
    assert error.endswith("in.csv, row 2 (line 3): value 'high' is not a finite number\n")
    assert not target.exists()
    error = run("--detector", "oracle", *options, code=1).stderr
    assert "there is no detector 'oracle'; there are anomaly, illness-pattern" in error


def test_the_help_names_every_detector() -> None:
    shown = run("--help").stdout
    assert all(f"{name}: " in " ".join(shown.replace("│", " ").split()) for name in DETECTORS)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_score_rests_on_its_row_and_those_before(tmp_path: Path, detector: str) -> None:
    steps = [8_000 + 700 * (day % 7) for day in range(60)] + [500] * 4 + [9_000] * 10
    rates = [58 + day % 4 for day in range(60)] + [66] * 4 + [59] * 10
    lines = [
        f"{time},{rate},{step}\n" for time, rate, step in zip(days(74), rates, steps, strict=True)
    ]
    header = "time,resting_heart_rate,steps\n"
    whole = scored(tmp_path, detector, header + "".join(lines))
    assert max(score for _, score in whole) > 0
    for cut in (1, 30, 62, 70):
        changed = [f"{time},{120},{90_000}\n" for time in days(74)[cut:]]
        assert (
            scored(tmp_path, detector, header + "".join(lines[:cut] + changed))[:cut]
            == (whole[:cut])
        )


def test_times_come_back_as_they_were_written(tmp_path: Path) -> None:
    times = [
        "2024-03-01 00:00:00",
        "2024-03-01T00:05:00Z",
        "2024-03-01t02:10:00.250+02:00",
        "2024-03-01 00:15:00.5z",
        "2016-12-31T23:59:60Z",
        " 2024-03-01 00:20:00",
    ]
    text = "time,value\r\n" + "".join(f'{time},"1"\r\n' for time in times)
    assert scored(tmp_path, "anomaly", f"\ufeff{text}\r\n") == [(time, 0.0) for time in times]


def test_a_lone_series_may_be_of_unknown_kind_and_has_gaps(tmp_path: Path) -> None:
    values = [float(row % 5) for row in range(100)] + [40.0] + [1.0] * 5
    full = "".join(f"{time},{value}\n" for time, value in zip(days(106), values, strict=True))
    expected = scored(tmp_path, "anomaly", f"time,value\n{full}")
    assert [score for _, score in expected] == pytest.approx(novelty(values).tolist())
    assert expected[100][1] > 0.8
    gap = "2024-03-01 00:00:00,\n2024-03-01 00:00:00, nan\n"
    found = scored(tmp_path, "anomaly", f"time,spo2\n{gap}{full}")
    assert found[:2] == [("2024-03-01 00:00:00", 0.0)] * 2
    assert found[2:] == expected


def test_of_several_series_the_most_unusual_counts(tmp_path: Path) -> None:
    rows = []
    for row, time in enumerate(days(200)):
        rate = 180 if row == 120 else 60 + row % 5
        spo2 = "" if row % 3 else 70 if row == 180 else 97
        rows.append(f"{time},{rate},{spo2},V\n")
    text = "time,heart_rate,spo2,consciousness_acvpu\n" + "".join(rows)
    unusual = [row for row, (_, score) in enumerate(scored(tmp_path, "anomaly", text)) if score]
    assert unusual == [120, 180]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("value\n1\n", "there is no column 'time'"),
        ("time\n", "no column besides 'time'"),
        ("time,value,value\n", "column 'value' appears more than once"),
        ("time,value,steps\n", "stands for an unknown series, and alone"),
        ("time,hart_rate\n", "column 'hart_rate' is no metric of the catalogue"),
        ("time,sleep_stage\n", "no column of numbers (anomaly)"),
        ("time,value\n2024-03-01 00:00:00\n", "row 1 (line 2): 1 cells, but 2 columns"),
        ("time,value\n\n2024-03-01 00:00:00,inf\n", "row 1 (line 3): value 'inf' is not a finite"),
        ("time,value\n2024-03-01 00:00:00,1e301\n", "value '1e301' is not a finite number"),
        ("time,value\n2024-03-01 00:00:00,1_0\n", "value '1_0' is not a finite number"),
        ("time,value\n2024-03-01T00:00:00,1\n", "time '2024-03-01T00:00:00' is neither RFC 3339"),
        ("time,value\n2024-02-30 00:00:00,1\n", "is not an instant of the calendar"),
        (f"time,value\n{'x' * 99},1\n", f"row 1 (line 2): time '{'x' * 40}…' is neither"),
        ('time,value\n"2024-03-01 00:00:00,1\n', "line 2: unexpected end of data"),
        (f"time,value\n{'1' * 70_000}\n", "line 2: longer than 65,536 characters"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, "anomaly", text)


def test_days_have_to_be_in_order(tmp_path: Path) -> None:
    rows = "time,{}\n2024-03-02 00:00:00,1\n2024-03-02 09:00:00,1\n2024-03-01 00:00:00,1\n"
    message = refused(tmp_path, "illness-pattern", rows.format("steps"))
    assert "row 2 (line 3): 2024-03-02 follows 2024-03-02; one row a day" in message
    message = refused(tmp_path, "nightsignal", rows.format("value"))
    assert "row 3 (line 4): 2024-03-01 follows 2024-03-02; rows have to be in order" in message


def test_columns_that_a_detector_needs_are_named(tmp_path: Path) -> None:
    assert "column 'steps' is needed" in refused(tmp_path, "illness-pattern", "time,value\n")
    assert "column 'resting_heart_rate' or" in refused(tmp_path, "nightsignal", "time,steps\n")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(b"time,value\n\xff\xfe\n")
    with pytest.raises(RecordingError, match=r"in\.csv: not UTF-8, after line"):
        score_file("anomaly", source, tmp_path / "out.csv")
    with pytest.raises(RecordingError, match="No such file"):
        score_file("anomaly", tmp_path / "none.csv", tmp_path / "out.csv")


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("time,value\n")
    for target in (tmp_path / "none" / "out.csv", tmp_path, Path("/dev/null")):
        with pytest.raises(ConfigurationError, match="cannot be written"):
            score_file("anomaly", source, target)


def test_a_recording_may_be_scored_in_place(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("time,value\n2024-03-01 00:00:00,1\n")
    assert score_file("anomaly", source, source).rows == 1
    assert source.read_text() == "time,score\n2024-03-01 00:00:00,0.0\n"


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = []
    for count in (2_000, 20_000):
        source = tmp_path / "in.csv"
        times = (START + timedelta(minutes=row) for row in range(count))
        source.write_text("time,value\n" + "".join(f"{t},{t.minute}\n" for t in times))
        tracemalloc.start()
        score_file("anomaly", source, tmp_path / "out.csv")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 50_000


def test_a_time_keeps_its_zone() -> None:
    assert moment("2024-03-01T01:30:00+02:00").hour == 1
    assert moment("2024-03-01 01:30:00").utcoffset() == timedelta(0)
    assert moment("2024-03-01T01:30:00+02:00").tzinfo == timezone(timedelta(hours=2))
