"""Short names and units of metrics, as people read them."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.catalogue import Metric, catalogue

_LABELS: Final = {
    "spo2": "Oxygen saturation",
    "hrv_rmssd": "HRV (RMSSD)",
    "hrv_sdnn": "HRV (SDNN)",
    "rr_interval": "Beat interval",
    "systolic_bp": "Systolic pressure",
    "diastolic_bp": "Diastolic pressure",
    "skin_temperature_delta": "Skin temperature change",
    "bmi": "Body mass index",
    "vo2max": "VO₂ max",
    "eda": "Skin conductance",
    "ecg_voltage": "ECG",
    "environmental_sound": "Ambient sound",
    "walking_heart_rate_average": "Walking heart rate",
}
_UNITS: Final = {
    "/min": "/min",
    "Cel": "°C",
    "mm[Hg]": "mmHg",
    "uS": "µS",
    "uV": "µV",
    "m/s2": "m/s²",
    "kg/m2": "kg/m²",
    "1": "",
}
_BEATS: Final = ("heart_rate", "resting_heart_rate", "walking_heart_rate_average")
_FIRST: Final = (
    "heart_rate",
    "spo2",
    "respiratory_rate",
    "blood_glucose",
    "body_temperature",
    "systolic_bp",
    "diastolic_bp",
    "skin_temperature",
    "hrv_rmssd",
    "eda",
    "steps",
)


def label_of(name: str) -> str:
    """Return a metric's name for people."""
    return _LABELS.get(name) or name.replace("_", " ").capitalize()


def unit_of(metric: Metric) -> str:
    """Return its canonical unit as people write it."""
    if metric.name in _BEATS:
        return "bpm"
    unit = _UNITS.get(metric.unit, metric.unit)
    # UCUM annotations such as {steps}: a count of what the braces say
    return unit[1:-1] if unit.startswith("{") else unit


def metrics_for_pages(metrics: Mapping[str, Metric] | None = None) -> dict[str, dict[str, Any]]:
    """Return label, unit, description and place in lists of every metric by name."""
    known = catalogue() if metrics is None else metrics
    ordered = sorted(known, key=lambda n: (_FIRST.index(n) if n in _FIRST else len(_FIRST), n))
    return {
        name: {
            "label": label_of(name),
            "unit": unit_of(known[name]),
            "description": known[name].description,
            "order": place,
        }
        for place, name in enumerate(ordered)
    }
