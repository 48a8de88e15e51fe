"""The workload of all subjects: seeded uploads of people who wear a heart-rate sensor.

Every person uploads in turn, ``samples`` samples at a fixed interval, each upload going on where
the person's last one ended. A person's clock is shifted against the others', so an upload of 60
samples at 1 Hz touches two minutes. Values wander slowly about the person's own level with a
little noise, rounded as sensors round them. The same seed gives the same uploads, to the byte,
however they are packed into records.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

T0 = 1_795_392_000_000
"""First instant of the workload: 2026-11-23T00:00:00Z."""
DAY_MS = 86_400_000
LEVELS = {
    "heart_rate": ("/min", 70.0, 8.0, 1.5),
    "respiratory_rate": ("/min", 15.0, 1.5, 0.4),
    "spo2": ("%", 97.0, 0.4, 0.2),
}
"""Unit, level, spread of people about it, and noise, by metric."""
_NAMES_SEED = 7


@dataclass(frozen=True, slots=True)
class Turn:
    """One upload each of consecutive people.

    Attributes
    ----------
    people : (N,) int64
        Which people.
    ids : (N, 16) uint8
        Ids of the uploads.
    received_ms : (N,) int64
        When the gateway took them.
    times : (N, samples) int64
        Instants, epoch milliseconds: those of every metric of the upload.
    values : (N, metrics, samples) float64
        Values.
    """

    people: NDArray[np.int64]
    ids: NDArray[np.uint8]
    received_ms: NDArray[np.int64]
    times: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Workload:
    """A seeded workload.

    Attributes
    ----------
    users : int
        People.
    partitions : int
        Partitions that they are spread over.
    samples : int
        Samples of each metric in an upload.
    interval_ms : int
        Time between them.
    metrics : tuple of str
        Metrics of every upload, of ``LEVELS``.
    seed : int
        Start of the random numbers.
    """

    users: int
    partitions: int
    samples: int = 60
    interval_ms: int = 1000
    metrics: tuple[str, ...] = ("heart_rate",)
    seed: int = 1

    def names(self) -> list[str]:
        """Return the people's ids."""
        raw = np.random.default_rng(_NAMES_SEED).bytes(16 * self.users)
        return [str(UUID(bytes=raw[i : i + 16], version=4)) for i in range(0, len(raw), 16)]

    def turns(self, uploads: int) -> Iterator[Turn]:
        """Yield the first ``uploads`` uploads: everybody's first, then everybody's second."""
        person = np.random.default_rng(self.seed)
        shift = person.integers(0, 60, self.users) * 1000
        levels = np.array([LEVELS[name][1:] for name in self.metrics])  # level, spread, noise
        own = levels[:, 0] + levels[:, 1] * person.normal(size=(self.users, len(self.metrics)))
        step = np.arange(self.samples, dtype=np.int64) * self.interval_ms
        for turn, done in enumerate(range(0, uploads, self.users)):
            random = np.random.default_rng([self.seed, turn])
            people = np.arange(min(self.users, uploads - done))
            start = T0 + shift[people] + turn * self.samples * self.interval_ms
            times = start[:, None] + step
            wander = np.sin(times / 600_000 + people[:, None])[:, None, :]
            noise = random.standard_normal((len(people), len(self.metrics), self.samples))
            scale = levels[:, 1, None] / 2 * wander + levels[:, 2, None] * noise
            yield Turn(
                people,
                random.integers(0, 256, (len(people), 16), np.uint8),
                times[:, -1] + 1000,
                times,
                np.round(own[people][:, :, None] + scale),
            )
