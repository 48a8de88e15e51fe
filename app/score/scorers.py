"""The detectors that score recordings, by name: each a state that is carried row by row."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from app.score.table import VALUE
from schemas.catalogue import catalogue
from tables import illness, nightsignal
from tables.detection.joint import Calibrated


class Scorer(Protocol):
    """Scores the rows of one recording in their order, each from itself and those before."""

    def score(self, moment: datetime, values: Sequence[float | None]) -> float:
        """Take in a row; return its score, 0 or more.

        Parameters
        ----------
        moment
            Its time, in the zone as written.
        values
            What the columns of :attr:`Detector.columns` hold, in that order; None is missing.

        Raises
        ------
        ValueError
            If the row cannot follow the one before.
        """

    def reason(self) -> str:
        """Say in a few words what the score of the latest row rests on."""


class Detector(NamedTuple):
    """A way to score recordings.

    Attributes
    ----------
    summary
        What it tells, in a few words.
    columns
        Chooses the columns that it reads from those that there are; ValueError when it lacks some.
    start
        Makes the scorer of a recording with the chosen columns.
    """

    summary: str
    columns: Callable[[Sequence[str]], list[str]]
    start: Callable[[Sequence[str]], Scorer]


class AnomalyScorer:
    """How new a value is for its series; of several series, the greatest counts.

    Parameters
    ----------
    columns
        Their names.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._names = columns
        self._series = [Calibrated() for _ in columns]
        self._at = 0

    def score(self, moment: datetime, values: Sequence[float | None]) -> float:  # noqa: ARG002
        """Take in a row; its time does not matter."""
        best = 0.0
        for at, value in enumerate(values):
            if value is None:
                continue
            score = self._series[at].score(value)
            if score > best:
                best, self._at = score, at
        return best

    def reason(self) -> str:
        """Name the series."""
        return f"{self._names[self._at]} is far from its values before"


class IllnessScorer:
    """How rare the latest days' lack of steps is among healthy days."""

    def __init__(self) -> None:
        self._state = illness.Illness()
        self._pattern: illness.Pattern | None = None

    def score(self, moment: datetime, values: Sequence[float | None]) -> float:
        """Take in a day: its steps and, perhaps, its resting heart rate."""
        ordinal = moment.toordinal()
        if self._state.days and ordinal <= self._state.days[-1].ordinal:
            last = date.fromordinal(self._state.days[-1].ordinal)
            raise ValueError(f"{moment.date()} follows {last}; one row a day is taken, in order")
        steps, heart_rate = (*values, None)[:2]
        self._state, self._pattern = illness.update(self._state, ordinal, steps, heart_rate)
        return self._pattern.score

    def reason(self) -> str:
        """Compare the latest day with the person's baseline."""
        pattern = self._pattern
        if pattern is None or pattern.usual_steps is None:
            return "no baseline yet"
        day = self._state.days[-1]
        words = [f"steps {_word(day.steps)}, usually {_word(pattern.usual_steps)}"]
        if pattern.usual_heart_rate is not None:
            usual = _word(pattern.usual_heart_rate)
            words.append(f"resting heart rate {_word(day.heart_rate)}, usually {usual}")
        return "; ".join(words)


class NightScorer:
    """NightSignal's alert: 0 green, 1 yellow, 2 red."""

    def __init__(self) -> None:
        self._state = nightsignal.NightSignal()
        self._day = nightsignal.NEVER

    def score(self, moment: datetime, values: Sequence[float | None]) -> float:
        """Take in a sample of the resting heart rate."""
        day = moment.toordinal()
        if day < self._day:
            last = date.fromordinal(self._day)
            raise ValueError(f"{moment.date()} follows {last}; rows have to be in order of days")
        self._day = day
        self._state, alert = nightsignal.update(self._state, day, moment.hour, values[0])
        return float(alert)

    def reason(self) -> str:
        """Compare the latest night with the median of all."""
        return (
            f"mean of the night up to then {self._state.now.mean}, median of nights "
            f"{self._state.median} beats per minute; the night before was raised too"
        )


def _word(number: float | None) -> str:
    return "unknown" if number is None else f"{number:,.0f}"


def _series(columns: Sequence[str]) -> list[str]:
    numeric = [name for name in columns if name == VALUE or catalogue()[name].numeric]
    if not numeric:
        raise ValueError("there is no column of numbers")
    return numeric


def _daily(columns: Sequence[str]) -> list[str]:
    if "steps" not in columns:
        raise ValueError("column 'steps' is needed, and 'resting_heart_rate' is of use")
    return [name for name in ("steps", "resting_heart_rate") if name in columns]


def _resting(columns: Sequence[str]) -> list[str]:
    for name in ("resting_heart_rate", VALUE):
        if name in columns:
            return [name]
    raise ValueError(f"column 'resting_heart_rate' or {VALUE!r} is needed")


DETECTORS: Final[Mapping[str, Detector]] = MappingProxyType(
    {
        "anomaly": Detector("values new to their series", _series, AnomalyScorer),
        "illness-pattern": Detector(
            "days with far fewer steps than usual", _daily, lambda _: IllnessScorer()
        ),
        "nightsignal": Detector(
            "two nights with a raised heart rate", _resting, lambda _: NightScorer()
        ),
    }
)
