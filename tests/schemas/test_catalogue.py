"""The metric catalogue: every unit of the file is understood, or left out on purpose."""

import csv
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ConfigurationError
from schemas import catalogue as module
from schemas.catalogue import catalogue, parse_conversions


def test_every_metric_of_the_file_is_there() -> None:
    with module._FILE.open(encoding="utf-8", newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    assert list(catalogue()) == names


@pytest.mark.parametrize("metric", catalogue().values(), ids=lambda metric: metric.name)
def test_a_metric_is_whole(metric: module.Metric) -> None:
    assert metric.conversions[metric.unit] == module.Conversion()
    assert metric.description
    assert metric.numeric == (metric.kind != "categorical")
    assert metric.loinc is None or "-" in metric.loinc
    if metric.numeric:
        assert -math.inf < metric.low < metric.high < math.inf


@pytest.mark.parametrize(
    ("metric", "unit", "value", "expected"),
    [
        ("heart_rate", "/min", 61.5, 61.5),
        ("heart_rate", "bpm", 61.5, 61.5),
        ("heart_rate", "Hz", 1.5, 90.0),
        ("body_temperature", "[degF]", 98.6, 37.0),
        ("body_temperature", "degF", 113.0, 45.0),
        ("body_temperature", "K", 310.15, 37.0),
        ("skin_temperature_delta", "[degF]", 1.8, 1.0),
        ("skin_temperature_delta", "K", 1.0, 1.0),
        ("spo2", "%", 0.97, 0.97),
        ("spo2", "1", 0.97, 97.0),
        ("spo2", "fraction", 0.97, 97.0),
        ("rr_interval", "Hz", 1.25, 800.0),
        ("eda", "kOhm", 100.0, 10.0),
        ("blood_glucose", "mmol/L", 5.5, 99.085745),
        ("blood_glucose", "mmol<180.15588>/L", 5.5, 99.085745),
        ("distance", "[mi_i]", 1.0, 1609.344),
        ("weight", "lb", 100.0, 45.359237),
        ("active_energy", "Cal", 250.0, 250.0),
        ("vo2max", "mL/min·kg", 41.0, 41.0),
        ("bmi", "count", 22.0, 22.0),
    ],
)
def test_values_are_converted(metric: str, unit: str, value: float, expected: float) -> None:
    converted = catalogue()[metric].conversions[unit].apply(np.array([value]))
    assert converted.tolist() == pytest.approx([expected], rel=1e-12)


@given(st.floats(-1e6, 1e6))
def test_fahrenheit_goes_there_and_back(celsius: float) -> None:
    fahrenheit = np.array([celsius * 9 / 5 + 32])
    converted = catalogue()["body_temperature"].conversions["[degF]"].apply(fahrenheit)
    assert converted[0] == pytest.approx(celsius, rel=1e-9, abs=1e-9)


def test_a_reciprocal_of_zero_is_infinite_and_no_warning() -> None:
    assert catalogue()["rr_interval"].conversions["Hz"].apply(np.zeros(1)).tolist() == [math.inf]


@pytest.mark.parametrize("metric", ["supplemental_oxygen", "basal_energy"])
def test_what_is_no_unit_is_left_out(metric: str) -> None:
    units = set(catalogue()[metric].conversions)
    assert not units & {"1", "(bool)", "kcal/d", "rate"}


@pytest.mark.parametrize("text", ["Hz", "Hz=", "Hz=fast", "K=273-x", "[degF]=x*5/9"])
def test_an_entry_that_nobody_understands_is_an_error(text: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot interpret"):
        parse_conversions("/min", text)
