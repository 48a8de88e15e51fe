"""Who takes part in the endless demo, and how far each one's data were sent before."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4, uuid5

import orjson

from app.errors import RecordingError
from app.replay.pacing import Track, is_dense
from app.replay.recording import MAX_SAMPLES, Recording, load
from app.replay.tally import write_atomically

_DENSE_PAUSE_MS = 60_000
_SPARSE_PAUSE_MS = 600_000


@dataclass(frozen=True, slots=True)
class Participant:
    """One person of the demo.

    Attributes
    ----------
    track
        What the person's devices measure, for ever.
    interval_seconds
        How often the devices send; 1 to 5 s.
    """

    track: Track
    interval_seconds: float

    @property
    def user_id(self) -> str:
        """The person's id."""
        return str(self.track.recording.person)


@dataclass(slots=True)
class DemoState:
    """What a demo must remember to go on with the same people and the same signal.

    Attributes
    ----------
    seed
        From which ids and phases are made.
    epoch_ms
        When the recordings of the real people ended for the first time.
    sent_ms
        By user id: the instant up to which everything was sent.
    """

    seed: UUID
    epoch_ms: int
    sent_ms: dict[str, int]

    @classmethod
    def load(cls, path: Path, now_ms: int) -> Self:
        """Read the state; begin a new demo at ``now_ms`` when there is none that can be read."""
        try:
            stored = orjson.loads(path.read_bytes())
            sent_ms = {str(user): int(instant) for user, instant in stored["sent_ms"].items()}
            return cls(UUID(stored["seed"]), int(stored["epoch_ms"]), sent_ms)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls(uuid4(), now_ms, {})

    def save(self, path: Path) -> None:
        """Write the state; a kill at any moment leaves the old or the new one."""
        document = {"seed": str(self.seed), "epoch_ms": self.epoch_ms, "sent_ms": self.sent_ms}
        write_atomically(path, document)


def participants(
    recordings: Sequence[Recording], count: int, state: DemoState
) -> list[Participant]:
    """Return the people of a demo; the same arguments give the same people.

    First come the people of the recordings, whose last sample is at ``state.epoch_ms``. Those
    beyond are further people who replay the dense recordings (all, if none is), shifted by a part
    of its length, with ids of their own.

    Pauses are shortened: to a minute in dense recordings, so that the pages are alive; to ten
    minutes in others, which leaves the intervals of glucose monitors and step counters as they are.

    Parameters
    ----------
    recordings
        At least one.
    count
        How many people; at least 1.
    state
        Gives seed and epoch.
    """
    ordered = [
        recording.retimed(state.epoch_ms, _DENSE_PAUSE_MS if dense else _SPARSE_PAUSE_MS)
        for dense in (True, False)
        for recording in recordings
        if is_dense(recording) == dense
    ]
    people = [_participant(recording, 0.0, state) for recording in ordered[:count]]
    lively = [recording for recording in ordered if is_dense(recording)] or ordered
    for number in range(count - len(people)):
        recording = lively[number % len(lively)]
        user = uuid5(state.seed, f"participant/{number}")
        devices = tuple(str(uuid5(user, device)) for device in recording.devices)
        another = replace(recording, person=user, devices=devices)
        people.append(_participant(another, _fraction(user), state))
    return people


def _participant(recording: Recording, phase: float, state: DemoState) -> Participant:
    namespace = uuid5(state.seed, str(recording.person))
    return Participant(
        track=Track.of(recording, namespace, math.floor(phase * recording.duration_ms)),
        interval_seconds=1 + 4 * _fraction(uuid5(recording.person, "interval")),
    )


def _fraction(source: UUID) -> float:
    """Return a number in [0, 1) that follows from an id."""
    return (source.int & 0xFFFFFFFF) / 2**32


def load_all(paths: Sequence[Path]) -> list[Recording]:
    """Read all recordings of a demo, which keeps them in memory.

    Raises
    ------
    RecordingError
        When a file cannot be read, there are too many samples in all, or a person has two
        recordings, which would be at the same instants.
    """
    people: dict[UUID, Recording] = {}
    samples = 0
    for path in paths:
        for recording in load(path):
            samples += len(recording)
            if samples > MAX_SAMPLES:
                raise RecordingError(f"more than {MAX_SAMPLES:,} samples: a demo takes no more")
            if recording.person in people:
                raise RecordingError(f"{path}: this person has a recording in another file too")
            people[recording.person] = recording
    return list(people.values())
