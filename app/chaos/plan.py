"""What will be done to the system: episodes of faults, all of them drawn from the seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    Attributes
    ----------
    summary
        What is done, for people.
    seconds
        Shortest and longest time that it lasts.
    modes
        Its variants.
    client
        Whether it needs nothing but the addresses of a deployment.
    """

    summary: str
    seconds: tuple[float, float] = (0.0, 0.0)
    modes: tuple[str, ...] = ("",)
    client: bool = False


FULL_DISK: Final = "full-disk"
_CUTS: Final = ("reset", "refuse", "stall")
_CUT_SECONDS: Final = (1.0, 9.0)
KINDS: Final[dict[str, Kind]] = {
    "kill-gateway": Kind("kill -9 of the gateway"),
    "kill-worker": Kind("kill -9 of a worker"),
    "kill-sink": Kind("kill -9 of the sink"),
    "kill-broker": Kind("kill -9 of the broker"),
    "kill-clickhouse": Kind("kill -9 of ClickHouse in the middle of an insert"),
    "pause-gateway": Kind("SIGSTOP and SIGCONT of the gateway", (1, 12)),
    "pause-worker": Kind("SIGSTOP and SIGCONT of a worker, beyond its session too", (1, 20)),
    "pause-sink": Kind("SIGSTOP and SIGCONT of the sink, beyond its session too", (1, 20)),
    "pause-broker": Kind("SIGSTOP and SIGCONT of the broker", (1, 8)),
    "pause-clickhouse": Kind("SIGSTOP and SIGCONT of ClickHouse", (1, 12)),
    "rebalance": Kind("workers join and leave every few seconds", (6, 16)),
    "cut-client-gateway": Kind("connections of devices", _CUT_SECONDS, _CUTS, client=True),
    "cut-gateway-broker": Kind("connections gateway to broker", _CUT_SECONDS, _CUTS),
    "cut-gateway-clickhouse": Kind("connections gateway to ClickHouse", _CUT_SECONDS, _CUTS),
    "cut-worker-broker": Kind("connections of one worker to the broker", (1, 18), _CUTS),
    "cut-sink-broker": Kind("connections sink to broker", (1, 18), _CUTS),
    "cut-sink-clickhouse": Kind("connections sink to ClickHouse", _CUT_SECONDS, _CUTS),
    FULL_DISK: Kind(
        "the disk under ClickHouse is full, or nearly", (2, 10), ("full", "nearly", "wavering")
    ),
    "poison": Kind("records on every topic that are none"),
    "clock-jump": Kind("clocks of devices jump", client=True),
}
"""Every kind of fault, by name."""

_TOGETHER: Final = (1, 1, 2, 2, 3)
"""How many faults an episode has; drawn evenly from these."""
_CALM_SECONDS: Final = (0.2, 2.5)
_APART_SECONDS: Final = (0.0, 6.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes
    ----------
    kind
        A key of :data:`KINDS`.
    after
        Seconds from the start of its episode.
    seconds
        How long it lasts.
    mode
        Which variant.
    pick
        In [0, 1): chooses among the processes, the devices or the bytes that are there then.
    """

    kind: str
    after: float
    seconds: float
    mode: str
    pick: float


@dataclass(frozen=True, slots=True)
class Episode:
    """Faults that fall together, after ``calm`` seconds without any."""

    number: int
    calm: float
    faults: tuple[Fault, ...]

    @property
    def name(self) -> str:
        """Its fault's kind, or ``together``."""
        return self.faults[0].kind if len(self.faults) == 1 else "together"


def kinds(*, client_only: bool = False, small_disk: bool = True) -> list[str]:
    """Return the kinds of fault that can be injected.

    Parameters
    ----------
    client_only
        Whether there is no access to processes.
    small_disk
        Whether ClickHouse has a disk of its own that can be filled.
    """
    names = [name for name, kind in KINDS.items() if kind.client or not client_only]
    return [name for name in names if small_disk or name != FULL_DISK]


def episodes(seed: int, names: Sequence[str]) -> Iterator[Episode]:
    """Yield episodes without end; the same arguments give the same ones.

    Kinds are dealt like cards: none comes again before all others have come.

    Parameters
    ----------
    seed
        Any integer.
    names
        The kinds of fault that are wanted.
    """
    chance = random.Random(f"{seed}/plan")  # noqa: S311  (must be repeatable, guards nothing)
    dealt = _dealt(chance, names)
    number = 0
    while True:
        number += 1
        count = chance.choice(_TOGETHER)
        faults = [_fault(chance, next(dealt), first=place == 0) for place in range(count)]
        yield Episode(number, round(chance.uniform(*_CALM_SECONDS), 2), tuple(faults))


def _dealt(chance: random.Random, names: Sequence[str]) -> Iterator[str]:
    while True:
        deck = list(names)
        chance.shuffle(deck)
        yield from deck


def _fault(chance: random.Random, name: str, *, first: bool) -> Fault:
    kind = KINDS[name]
    after = 0.0 if first else chance.uniform(*_APART_SECONDS)
    # Most faults are short; a few last as long as they may.
    least, most = kind.seconds
    seconds = least + (most - least) * chance.random() ** 2
    return Fault(name, round(after, 2), round(seconds, 2), chance.choice(kind.modes),
                 chance.random())  # fmt: skip
