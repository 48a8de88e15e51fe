"""The metric catalogue: canonical units, conversions, plausible ranges and codes.

``metrics.csv`` is the source. Its column ``alt_units_to_canonical`` is read by a strict grammar, so
that an entry that nobody can interpret fails at start and not as a wrong value::

    UNIT=FACTOR            Hz=60
    UNIT=NUM/DEN           [degF] DELTA=5/9
    UNIT=x-OFFSET          K=x-273.15
    UNIT=(x-OFFSET)*NUM/DEN  [degF]=(x-32)*5/9
    UNIT: NUM/x            Hz: 1000/x

A remark in brackets may follow; ``Apple "UNIT"`` is the unit as that source writes it.

``fraction(1)=100`` stands for a source rule: some sources write a percentage as a fraction, under
the unit ``%``. A client that knows so says unit ``1`` or ``fraction``. It is never guessed from a
value: 0.9 % is a plausible perfusion index.
"""

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, cast, get_args

import numpy as np

from app.errors import ConfigurationError
from schemas.columns import Float64

Kind = Literal["gauge", "interval", "categorical"]

_FILE = Path(__file__).with_name("metrics.csv")
_NUMBER = r"\d+(?:\.\d+)?(?:e-?\d+)?"
_ENTRY = re.compile(
    rf"""(?:Apple\ )? (?: "(?P<quoted>[^"]+)" | (?P<plain>\S+?) ) (?:\ DELTA)?
    (?: = (?: x-(?P<minus>{_NUMBER})
            | \(x-(?P<shift>{_NUMBER})\)\*(?P<num>{_NUMBER})/(?P<den>{_NUMBER})
            | (?P<factor>{_NUMBER})(?:/(?P<divisor>{_NUMBER}))? )
      | :\ (?P<over>{_NUMBER})/x )
    (?: \ [\[(].*[\])] )?""",
    re.VERBOSE,
)
_NO_UNITS: Final = frozenset(
    {
        "1 (bool)",  # a yes or no has no flow rate
        "kcal/d rate: multiply by interval",  # needs the interval, which a sample does not carry
    }
)
_SPELLINGS: Final = {
    "fraction(1)": ("fraction", "1"),
    "/min": ("1/min", "min-1"),
    "%": ("percent",),
    "Cel": ("degC", "°C", "C"),
    "[degF]": ("degF", "°F", "F"),
    "mm[Hg]": ("mmHg",),
    "mg/dL": ("mg/dl",),
    "mmol/L": ("mmol/l",),
    "L/min": ("l/min",),
    "L/s": ("l/s",),
    "{steps}": ("steps",),
    "{floors}": ("floors",),
    "{score}": ("score",),
    "kg/m2": ("kg/m^2", "kg/m²"),
    "m/s2": ("m/s^2", "m/s²"),
    "[g]": ("g",),
    "[lb_av]": ("lb", "lbs"),
    "[stone_av]": ("st",),
    "[oz_av]": ("oz",),
    "[mi_i]": ("mi",),
    "[yd_i]": ("yd",),
    "[ft_i]": ("ft",),
    "[in_i]": ("in",),
    "[Cal]": ("Cal",),
    "mL/kg/min": ("mL/(kg.min)", "ml/kg/min"),
    "uS": ("µS", "μS"),
    "uV": ("µV", "μV"),
}
"""Other spellings of a UCUM unit; they hold where the unit itself is known for the metric."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a value becomes one in the canonical unit.

    ``(value + offset) * factor / divisor``, or ``factor / value`` when ``reciprocal``.
    """

    factor: float = 1.0
    offset: float = 0.0
    divisor: float = 1.0
    reciprocal: bool = False

    def apply(self, values: Float64) -> Float64:
        """Return the values in the canonical unit; the same array when there is nothing to do.

        Parameters
        ----------
        values : (T,) float64
            Values in the other unit. Zero becomes infinite when ``reciprocal``.
        """
        if self == _IDENTITY:
            return values
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            if self.reciprocal:
                return self.factor / values
            return (values + self.offset) * self.factor / self.divisor


_IDENTITY: Final = Conversion()


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name : str
        Its name, as in uploads and tables.
    description : str
        What it is, in a few words.
    unit : str
        Canonical UCUM unit.
    kind : {'gauge', 'interval', 'categorical'}
        A state at an instant, an amount in an interval that starts at the instant, or a code.
    low, high : float
        Plausible range in the canonical unit, both ends included; infinite where there is none.
    conversions : mapping of str to Conversion
        By unit as it may be sent, the canonical one among them.
    loinc : str or None
        LOINC code, where one was verified.
    """

    name: str
    description: str
    unit: str
    kind: Kind
    low: float
    high: float
    conversions: Mapping[str, Conversion]
    loinc: str | None

    @property
    def numeric(self) -> bool:
        """Whether its samples are numbers. Categorical metrics are not taken in as samples."""
        return self.kind != "categorical"


@cache
def catalogue() -> Mapping[str, Metric]:
    """Return all metrics by name, in the order of the file.

    Raises
    ------
    ConfigurationError
        If the file holds something that cannot be interpreted.
    """
    with _FILE.open(encoding="utf-8", newline="") as file:
        return MappingProxyType({row["name"]: _metric(row) for row in csv.DictReader(file)})


def _metric(row: dict[str, str]) -> Metric:
    if row["kind"] not in get_args(Kind):
        raise ConfigurationError(f"metrics.csv: {row['name']} is of unknown kind {row['kind']!r}")
    return Metric(
        name=row["name"],
        description=row["description"],
        unit=row["ucum_unit"],
        kind=cast("Kind", row["kind"]),
        low=float(row["range_min"] or -math.inf),
        high=float(row["range_max"] or math.inf),
        conversions=MappingProxyType(
            parse_conversions(row["ucum_unit"], row["alt_units_to_canonical"])
        ),
        loinc=row["loinc"] or None,
    )


def parse_conversions(unit: str, text: str) -> dict[str, Conversion]:
    """Read an ``alt_units_to_canonical`` cell.

    Parameters
    ----------
    unit : str
        The canonical unit.
    text : str
        The cell: entries as in the module's grammar, separated by semicolons.

    Returns
    -------
    dict of str to Conversion
        By unit, with the canonical one and other spellings of each.

    Raises
    ------
    ConfigurationError
        If an entry does not follow the grammar.
    """
    entries = {unit: _IDENTITY}
    for entry in filter(None, map(str.strip, text.split(";"))):
        if entry not in _NO_UNITS:
            name, conversion = _entry(entry)
            entries.setdefault(name, conversion)
    for name in tuple(entries):
        for spelling in _SPELLINGS.get(name, ()):
            entries.setdefault(spelling, entries[name])
    entries.pop("fraction(1)", None)  # a remark of the file, not a unit that anyone would send
    return entries


def _entry(entry: str) -> tuple[str, Conversion]:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise ConfigurationError(f"metrics.csv: cannot interpret the unit entry {entry!r}")
    parts = match.groupdict()
    name = parts["quoted"] or parts["plain"]
    if parts["minus"]:
        return name, Conversion(offset=-float(parts["minus"]))
    if parts["shift"]:
        return name, Conversion(float(parts["num"]), -float(parts["shift"]), float(parts["den"]))
    if parts["over"]:
        return name, Conversion(float(parts["over"]), reciprocal=True)
    return name, Conversion(float(parts["factor"]), divisor=float(parts["divisor"] or 1))
