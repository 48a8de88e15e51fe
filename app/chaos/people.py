"""Who takes part: people, their devices and time zones, all drawn from the seed."""

import random
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from schemas.topics import partition_of


@dataclass(frozen=True, slots=True)
class Channel:
    """What a device measures: ``count`` samples an upload, ``step_ms`` apart.

    Values wander between ``low`` and ``high``; during a spell they lie around ``spell``.
    """

    metric: str
    unit: str
    step_ms: int
    count: int
    low: float
    high: float
    spell: float


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a person and the way by which it sends, ``http`` or ``stream``."""

    user_id: str
    name: str
    transport: str
    channels: tuple[Channel, ...]

    @property
    def span_ms(self) -> int:
        """How much time one upload covers."""
        return max(channel.step_ms * channel.count for channel in self.channels)


@dataclass(frozen=True, slots=True)
class Person:
    """A person; ``zone`` is None for one who never set a time zone."""

    user_id: str
    zone: str | None
    devices: tuple[Device, ...]


# Plain gauges: a value is worth the same in every unit named here, so that sums can be compared.
_WATCH: Final = (
    Channel("heart_rate", "bpm", 5_000, 20, 58, 96, 152),
    Channel("spo2", "%", 20_000, 5, 94.5, 99, 89),
    Channel("skin_temperature", "Cel", 50_000, 2, 32, 35, 38.5),
)
_STRAP: Final = (
    Channel("heart_rate", "/min", 10_000, 10, 60, 94, 148),
    Channel("respiratory_rate", "/min", 20_000, 5, 12, 18, 29),
)
_SENSOR: Final = (Channel("blood_glucose", "mg/dL", 60_000, 5, 80, 150, 268),)
_PROBE: Final = (Channel("body_temperature", "Cel", 1_000, 3, 36.5, 37, 37),)
_ZONES: Final = (None, "UTC", "Asia/Kolkata", "America/New_York", "Europe/Berlin",
                 "Australia/Lord_Howe")  # fmt: skip


def people(seed: int, count: int) -> list[Person]:
    """Return the people of a run; every second device sends over WebSocket."""
    chance = random.Random(f"{seed}/people")  # noqa: S311  (must be repeatable, guards nothing)
    made = []
    number = 0
    for place in range(count):
        user_id = _uuid(chance)
        kinds = [("watch", _WATCH), ("strap", _STRAP), ("sensor", _SENSOR)]
        devices = []
        for name, channels in kinds[: 2 + place % 2]:
            number += 1
            transport = "stream" if number % 2 else "http"
            devices.append(Device(user_id, f"{name}-{place}", transport, channels))
        made.append(Person(user_id, _ZONES[place % len(_ZONES)], tuple(devices)))
    return made


def probes(seed: int, partitions: int) -> list[Device]:
    """Return one device for each partition, whose person belongs there: they measure recovery."""
    chance = random.Random(f"{seed}/probes")  # noqa: S311
    found: dict[int, Device] = {}
    while len(found) < partitions:
        user_id = _uuid(chance)
        device = Device(user_id, "probe", "http", _PROBE)
        found.setdefault(partition_of(user_id, partitions), device)
    return [found[number] for number in range(partitions)]


def _uuid(chance: random.Random) -> str:
    return str(UUID(int=chance.getrandbits(128), version=4))
