"""What a benchmark is, and what it gives: measured figures, ratios, notes.

A benchmark is one module of the package ``benchmarks`` (``benchmarks/stream.py`` for
``vitalstream bench stream``), listed in :mod:`app.bench.registry`. It has three names::

    class Parameters(BaseModel):      # pydantic; each field becomes an option of the command:
        uploads: int = Field(200_000, gt=0, description="Uploads that are drained.")

    QUICK: dict[str, int] = {"uploads": 20_000}   # parameters of `--quick`: some seconds in all

    def measure(bench: Bench, parameters: Parameters) -> Result: ...

``measure`` starts what it needs (:class:`app.bench.bench.Bench` has a broker, pinned processes,
scratch space), runs its subjects **interleaved** ``bench.repeats`` times (A B C A B C, never
A A B B), and returns a :class:`Result`. Tables, JSON and chart are made from that alone.

Times on a shared machine mean little; ratios within one interleaved run do. So give every subject
the same number of values, in the order of the repeats, and state targets as :class:`Ratio`::

    tables = Table()                                    # while measuring
    tables.add("bare handler", "uploads/s", 5_400.0)    # subject (a row), quantity (a column)
    tables.add("gateway, JSON", "uploads/s", 3_700.0)
    ...
    figures = tables.figures()
    return Result(
        title="Gateway: uploads a second of one process",
        figures=figures,
        ratios=(ratio(figures, "uploads/s", "gateway, JSON", "bare handler", at_least=0.6),),
        notes=("60 samples an upload, acks=all, 64 connections",),
        charted="uploads/s",
    )
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity of one subject, measured in every repeat.

    Attributes
    ----------
    subject : str
        What was measured, for example ``Kafka Streams``: a row of the table.
    quantity : str
        What was measured of it, unit included, for example ``uploads/CPU-s``: a column.
    values : tuple of float
        One value a repeat, in the order of the repeats; at least one.
    """

    subject: str
    quantity: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return median(self.values)

    @property
    def low(self) -> float:
        """The least value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The greatest value."""
        return max(self.values)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How a subject compares with another in the same repeats, or with a limit.

    Attributes
    ----------
    name : str
        For example ``worker / Kafka Streams, uploads/CPU-s``.
    values : tuple of float
        One ratio a repeat.
    at_least, at_most : float or None
        The target, if there is one.
    """

    name: str
    values: tuple[float, ...]
    at_least: float | None = None
    at_most: float | None = None

    @property
    def median(self) -> float:
        """The middle ratio: what the target is held against."""
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None when there is none."""
        if self.at_least is None and self.at_most is None:
            return None
        above = self.at_least is None or self.median >= self.at_least
        return above and (self.at_most is None or self.median <= self.at_most)


@dataclass(frozen=True, slots=True)
class Result:
    """What a benchmark found.

    Attributes
    ----------
    title : str
        What was measured, in a line.
    figures : tuple of Figure
        All that was measured.
    ratios : tuple of Ratio
        Comparisons, with targets where there are any. A target on a single figure (seconds, bytes)
        is a ratio to a limit: ``Ratio("restart, s", figure.values, at_most=15)``.
    notes : tuple of str
        What a reader must know to judge the figures: a sentence each.
    charted : str
        The quantity that the chart shows, of all subjects that have it; empty: no chart.
    """

    title: str
    figures: tuple[Figure, ...]
    ratios: tuple[Ratio, ...] = ()
    notes: tuple[str, ...] = ()
    charted: str = ""


class Table:
    """Collects values while repeats run; see the example at the top of this module."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = {}

    def add(self, subject: str, quantity: str, value: float) -> None:
        """Add the value of the current repeat."""
        self._values.setdefault((subject, quantity), []).append(value)

    def drop(self, subject: str) -> None:
        """Forget a subject, for example because it failed in a later repeat."""
        self._values = {key: v for key, v in self._values.items() if key[0] != subject}

    def figures(self) -> tuple[Figure, ...]:
        """Return what was collected, subjects and quantities in the order of their first value."""
        return tuple(
            Figure(subject, quantity, tuple(values))
            for (subject, quantity), values in self._values.items()
        )


def find(figures: Iterable[Figure], subject: str, quantity: str) -> Figure:
    """Return the figure of a subject.

    Raises
    ------
    KeyError
        If it was not measured.
    """
    for figure in figures:
        if (figure.subject, figure.quantity) == (subject, quantity):
            return figure
    raise KeyError(f"{quantity} of {subject} was not measured")


def ratio(
    figures: Sequence[Figure],
    quantity: str,
    subject: str,
    to: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Ratio:
    """Compare two subjects, repeat by repeat.

    Parameters
    ----------
    figures : sequence of Figure
        What was measured.
    quantity : str
        The quantity that is compared.
    subject, to : str
        Numerator and denominator; both with a value of every repeat.
    at_least, at_most : float, optional
        The target.

    Raises
    ------
    KeyError
        If one was not measured.
    ValueError
        If they have different numbers of repeats.
    """
    above, below = find(figures, subject, quantity), find(figures, to, quantity)
    values = tuple(a / b for a, b in zip(above.values, below.values, strict=True))
    return Ratio(f"{subject} / {to}, {quantity}", values, at_least, at_most)
