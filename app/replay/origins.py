"""How each bundled recording is derived from its public source: one generator per source.

Every rule that selects, drops or converts something stands here; nothing else changes a value.
Used by :mod:`app.replay.prepare` alone, never while the product runs. ``fitdecode`` is needed.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import fitdecode  # type: ignore[import-untyped]

HRV_MEASUREMENTS = 50
"""Heart-rate-variability measurements that are kept of one Welltory participant."""
HRV_PEOPLE = 11
"""Welltory participants chosen for their beat-to-beat data."""
HEART_RATE_DAYS = ("2020-03-17", "2020-04-17")
"""First and last day kept of the Welltory participant with the continuous heart rate."""
FIT_RECORDS = 10_000
"""Records that are kept of one activity: under three hours at one a second."""
STEP_DAYS = 3
"""Days of minute steps that are kept of one person."""

Row = dict[str, str]


class Sample(NamedTuple):
    """One value; ``device`` is its role ("wearable"), replaced by a random id when written."""

    time_ms: int
    metric: str
    unit: str
    value: float
    device: str


@dataclass
class Origin:
    """One real person: the code in the source (never shipped), the source's name, the samples."""

    code: str
    source: str
    samples: list[Sample] = field(default_factory=list)

    def add(self, at: datetime, metric: str, unit: str, value: float, device: str) -> None:
        """Append a sample; a time without a zone is taken as UTC."""
        milliseconds = (at.replace(tzinfo=at.tzinfo or UTC) - _EPOCH) // timedelta(milliseconds=1)
        self.samples.append(Sample(milliseconds, metric, unit, value, device))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEARABLES = (
    # column, metric, unit, factor (SpO2 is documented as percent but holds fractions)
    ("resting_pulse", "resting_heart_rate", "/min", 1),
    ("average_spo2_value", "spo2", "%", 100),
    ("body_temperature_avg", "body_temperature", "Cel", 1),
    ("steps_count", "steps", "{steps}", 1),
    ("distance", "distance", "m", 1),
    ("total_number_of_flights_climbed", "floors_climbed", "{floors}", 1),
    ("active_calories_burned", "active_energy", "kcal", 1),
    ("basal_calories_burned", "basal_energy", "kcal", 1),
    ("total_calories_burned", "total_energy", "kcal", 1),
    ("average_environment_exposure", "environmental_sound", "dB", 1),
)
_SLEEP = (
    ("sleep_duration", "sleep_duration"),
    ("sleep_rem_duration", "sleep_rem_duration"),
    ("sleep_light_duration", "sleep_light_duration"),
    ("sleep_deep_duration", "sleep_deep_duration"),
)
_ACTIVITIES = (
    # repository, files of one and the same device
    ("python-fitparse", ("Edge810-Vector-2013-08-16-15-35-10.fit",)),
    ("python-fitparse", ("activity-small-fenix2-run.fit", "activity-large-fenxi2-multisport.fit")),
    ("python-fitparse", ("sample-activity.fit", "garmin-edge-500-activity.fit")),
    ("python-fitparse", ("developer-types-sample.fit",)),
    ("python-fitparse", ("nick.fit",)),
    ("fitdecode", ("garmin-fr935-cr.fit",)),
)


def welltory(folder: Path) -> Iterator[Origin]:
    """Read ``data/*.csv`` of Welltory/hrv-covid19; times are local ones, shown as UTC.

    The participant with the most heart rates is kept for :data:`HEART_RATE_DAYS`. Of those others
    who have daily data of a wearable, the :data:`HRV_PEOPLE` with the most heart beats are kept
    for the shortest span that holds :data:`HRV_MEASUREMENTS` consecutive measurements.
    """
    tables = {
        name: _by_user(folder / f"{name}.csv")
        for name in ("hrv_measurements", "blood_pressure", "wearables", "sleep")
    }
    rates = _by_user(folder / "heart_rate_431bb93.csv")
    continuous = max(rates, key=lambda user: len(rates[user]))
    origin = _participant(continuous, HEART_RATE_DAYS, tables)
    _heart_rates(origin, rates[continuous])
    yield origin

    beats = Counter(
        {
            user: sum(row["rr_data"].count(",") + 1 for row in rows)
            for user, rows in tables["hrv_measurements"].items()
            if user in tables["wearables"] and user != continuous
        }
    )
    for user, _ in beats.most_common(HRV_PEOPLE):
        measured = sorted(_local(row) for row in tables["hrv_measurements"][user])
        runs = zip(measured, measured[HRV_MEASUREMENTS - 1 :], strict=False)
        first, last = min(
            runs, key=lambda run: run[1] - run[0], default=(measured[0], measured[-1])
        )
        yield _participant(user, (first.date().isoformat(), last.date().isoformat()), tables)


def _participant(
    user: str, days: tuple[str, str], tables: dict[str, dict[str, list[Row]]]
) -> Origin:
    def within(table: str, column: str) -> list[Row]:
        rows = tables[table].get(user, [])
        return [row for row in rows if days[0] <= row[column][:10] <= days[1]]

    origin = Origin(user, "welltory")
    _beats(origin, within("hrv_measurements", "measurement_datetime"))
    _blood_pressure(origin, within("blood_pressure", "measurement_datetime"))
    for row in within("wearables", "day"):
        # A daily value is known when the day ends, and belongs to that day.
        at = datetime.fromisoformat(row["day"]) + timedelta(hours=23, minutes=59, seconds=59)
        for column, metric, unit, factor in _WEARABLES:
            if row[column]:
                origin.add(at, metric, unit, round(float(row[column]) * factor, 6), "wearable")
    for row in within("sleep", "day"):
        at = datetime.fromisoformat(row["sleep_end"])
        for column, metric in _SLEEP:
            if row[column]:  # documented as hours, but holds seconds
                origin.add(at, metric, "s", float(row[column]), "wearable")
    return origin


def _beats(origin: Origin, rows: Iterable[Row]) -> None:
    """Beat by beat, stamped at the beat that ends the interval; summaries at the last beat.

    The few measurements that start before the previous one has ended are dropped.
    """
    ended: datetime | None = None
    for row in sorted(rows, key=_local):
        at = _local(row)
        if ended and at < ended:
            continue
        for interval in map(int, row["rr_data"].split(",")):
            at += timedelta(milliseconds=interval)
            origin.add(at, "rr_interval", "ms", interval, "hrv")
            origin.add(at, "heart_rate", "/min", round(60_000 / interval, 2), "hrv")
        ended = at
        origin.add(at, "hrv_rmssd", "ms", float(row["rmssd"]), "hrv")
        origin.add(at, "hrv_sdnn", "ms", float(row["sdnn"]), "hrv")


def _blood_pressure(origin: Origin, rows: Iterable[Row]) -> None:
    """Both pressures at one instant; a pair's copy exactly three hours later is dropped.

    The source holds most readings twice, the second time shifted by a time zone.
    """
    seen: set[tuple[datetime, str, str]] = set()
    for row in sorted(rows, key=_local):
        at, pair = _local(row), (row["systolic"], row["diastolic"])
        if (at - timedelta(hours=3), *pair) in seen:
            continue
        seen.add((at, *pair))
        origin.add(at, "systolic_bp", "mm[Hg]", float(row["systolic"]), "blood-pressure")
        origin.add(at, "diastolic_bp", "mm[Hg]", float(row["diastolic"]), "blood-pressure")


def _heart_rates(origin: Origin, rows: Iterable[Row]) -> None:
    """Heart rates at their native rate; of several in one second the last row is kept.

    This table alone is in UTC: its copies of this participant's measurements agree to the second
    with the others only after a shift by eastern European time, so that is what brings them onto
    the participant's one clock.
    """
    zone = ZoneInfo("Europe/Kyiv")
    kept: dict[datetime, float] = {}
    for row in rows:
        instant = datetime.fromisoformat(row["datetime"]).replace(tzinfo=UTC)
        kept[instant.astimezone(zone).replace(tzinfo=None)] = float(row["heart_rate"])
    for at, value in kept.items():
        if HEART_RATE_DAYS[0] <= at.date().isoformat() <= HEART_RATE_DAYS[1]:
            origin.add(at, "heart_rate", "/min", value, "wearable")


def hall(file: Path) -> Iterator[Origin]:
    """Read glucose every five minutes; of each person the stretch with the most samples.

    A pause of more than a day ends a stretch. Times are taken as UTC.
    """
    people: dict[str, list[list[tuple[datetime, float]]]] = defaultdict(lambda: [[]])
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            stretches, at = people[row["id"]], datetime.fromisoformat(row["time"])
            if stretches[-1] and at - stretches[-1][-1][0] > timedelta(days=1):
                stretches.append([])
            stretches[-1].append((at, float(row["gl"])))
    for code, stretches in people.items():
        origin = Origin(code, "hall2018")
        for at, value in max(stretches, key=len):
            origin.add(at, "blood_glucose", "mg/dL", value, "glucose")
        yield origin


def fitabase(folder: Path) -> Iterator[Origin]:
    """Read steps per minute, zeros too, of the :data:`STEP_DAYS` days in a row with most steps."""
    for file in sorted(folder.glob("*_minuteStepsNarrow_*.csv")):
        days: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
        with file.open(encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines):
                at = datetime.strptime(row["ActivityMinute"], "%m/%d/%Y %I:%M:%S %p")  # noqa: DTZ007
                days[at.date().isoformat()].append((at, float(row["Steps"])))
        blocks = [list(days.values())[start : start + STEP_DAYS] for start in range(len(days))]
        busiest = max(blocks, key=lambda block: sum(steps for day in block for _, steps in day))
        origin = Origin(file.name.partition("_")[0], "actiwearcheck")
        for at, steps in (minute for day in busiest for minute in day):
            origin.add(at, "steps", "{steps}", steps, "wearable")
        yield origin


def activities(folder: Path) -> Iterator[Origin]:
    """Read the first :data:`FIT_RECORDS` records of FIT activities; one person per device."""
    for source, names in _ACTIVITIES:
        origin = Origin(names[0], source)
        for name in names:
            _activity(origin, folder / name)
        yield origin


def _activity(origin: Origin, file: Path) -> None:
    """Heart rate as it is; distance as the difference to the previous record.

    The file's distance counts up from the start of the session. Records that do not come after
    the previous one are dropped.
    """
    records: list[tuple[datetime, float | None, float | None]] = []
    with fitdecode.FitReader(file, error_handling=fitdecode.ErrorHandling.WARN) as messages:
        for message in messages:
            if not isinstance(message, fitdecode.FitDataMessage) or message.name != "record":
                continue
            get: Callable[..., float | None] = message.get_value
            at: datetime = message.get_value("timestamp")
            if not records or at > records[-1][0]:
                records.append(
                    (at, get("heart_rate", fallback=None), get("distance", fallback=None))
                )
            if len(records) == FIT_RECORDS:
                break
    for at, rate, _ in records:
        if rate is not None:
            origin.add(at, "heart_rate", "/min", rate, "sport")
    if any(distance for _, _, distance in records):
        for (_, _, before), (at, _, distance) in pairwise(records):
            if before is not None and distance is not None and distance >= before:
                origin.add(at, "distance", "m", round(distance - before, 2), "sport")


def _by_user(file: Path) -> dict[str, list[Row]]:
    people: dict[str, list[Row]] = defaultdict(list)
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            people[row["user_code"]].append(row)
    return dict(people)


def _local(row: Row) -> datetime:
    return datetime.fromisoformat(" ".join(row["measurement_datetime"].split()))
