"""What is watched: the per-metric parameters of detection."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, cast, get_args

from app.errors import ConfigurationError

PARAMETERS: Final = Path(__file__).with_name("detection.csv")

Sides = Literal["both", "low", "high"]


@dataclass(frozen=True, slots=True)
class AnomalyParameters:
    """How the values of a metric are compared with the person's own day.

    Attributes
    ----------
    sides
        On which side of the expected band a value can be unusual.
    scale_floor
        Least value of the scale, in the metric's unit. From what the sensor and the body vary
        by at rest; without it a flat stretch (MAD 0) would make the next value unusual.
    warm_up_minutes
        Minutes with data that a day needs before its own baseline serves.
    """

    sides: Sides
    scale_floor: float
    warm_up_minutes: int


@dataclass(frozen=True, slots=True)
class Watch:
    """A metric that detection watches.

    ``decimals`` is the precision in which its values are shown, and compared with limits;
    ``anomaly`` is None for a metric without a baseline of the day (spot measurements);
    ``caveat`` is a sentence that its alerts carry, or empty.
    """

    metric: str
    label: str
    decimals: int
    anomaly: AnomalyParameters | None
    caveat: str


@cache
def watches() -> Mapping[str, Watch]:
    """Return the watched metrics by name, from ``tables/detection.csv``."""
    with PARAMETERS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return MappingProxyType({row["metric"]: _watch(row) for row in rows})


def _watch(row: dict[str, str]) -> Watch:
    anomaly = None
    if row["anomaly_sides"]:
        if row["anomaly_sides"] not in get_args(Sides):
            raise ConfigurationError(f"{PARAMETERS.name}: malformed row of {row['metric']}: {row}")
        anomaly = AnomalyParameters(
            sides=cast("Sides", row["anomaly_sides"]),
            scale_floor=float(row["scale_floor"]),
            warm_up_minutes=int(row["warm_up_minutes"]),
        )
    return Watch(row["metric"], row["label"], int(row["decimals"]), anomaly, row["caveat"])
