"""When each sample of a replay is sent: pure rules over a recording and a clock.

A :class:`Track` lays a recording end to end, endlessly in both directions, on the line of time. A
sample has a *position* on the track: loop ``k`` of a recording of ``n`` samples holds the positions
``k * n`` to ``k * n + n - 1``. Positions and instants belong together for good, so that a replay
that stops and starts again goes on with the very same signal, and whoever sends the positions one
after the other sends no instant twice.
"""

from dataclasses import dataclass
from uuid import UUID

import numpy as np

from app.replay.recording import Recording

STRETCH_INSTANTS = 60
"""Most distinct instants in one stretch."""
STRETCH_SAMPLES = 2_000
"""Most samples in one stretch, however many share an instant."""
DENSE_MS = 10_000
"""A recording is dense when half of the pauses between its instants are no longer than this."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A recording on the line of time, repeated without end.

    Attributes
    ----------
    recording
        What is repeated; tracks may share its columns.
    period_ms
        From one loop to the next; longer than the recording, so that no instant is met twice.
    namespace
        From which the ids of the track's uploads are made; no two tracks share one.
    shift_ms
        Loop 0 is so much later than the recording.
    """

    recording: Recording
    period_ms: int
    namespace: UUID
    shift_ms: int = 0

    @classmethod
    def of(cls, recording: Recording, namespace: UUID, shift_ms: int = 0) -> "Track":
        """Repeat ``recording`` after a pause as long as is usual in it."""
        period_ms = recording.duration_ms + usual_pause_ms(recording)
        return cls(recording, period_ms, namespace, shift_ms)

    def position(self, instant_ms: int) -> int:
        """Return the position of the first sample that is later than ``instant_ms``."""
        times = self.recording.time_ms
        loop, since = divmod(instant_ms - self.shift_ms - int(times[0]), self.period_ms)
        return loop * len(times) + int(np.searchsorted(times, times[0] + since, "right"))

    def instant_ms(self, position: int) -> int:
        """Return the instant of the sample at ``position``."""
        loop, index = divmod(position, len(self.recording))
        return int(self.recording.time_ms[index]) + self.loop_shift_ms(loop)

    def loop_shift_ms(self, loop: int) -> int:
        """Return how much later than the recording a loop is, in milliseconds."""
        return self.shift_ms + loop * self.period_ms

    def stretch_end(self, start: int, stop: int, span_ms: int) -> int:
        """Return where the stretch ends that one sends together, beginning at ``start``.

        Parameters
        ----------
        start, stop
            Positions; ``start`` < ``stop``.
        span_ms
            Longest time from the first sample of the stretch to its last, in milliseconds.

        Returns
        -------
        int
            A position in (start, stop], no further than the end of the loop. The stretch keeps the
            bounds of this module; samples of one instant are parted only by
            :data:`STRETCH_SAMPLES`.
        """
        times = self.recording.time_ms
        loop, first = divmod(start, len(times))
        most = min(len(times), first + STRETCH_SAMPLES, first + stop - start)
        ahead = times[first:most]
        end = int(np.searchsorted(ahead, ahead[0] + span_ms, "right"))
        begins = np.flatnonzero(np.diff(ahead[:end])) + 1
        if len(begins) >= STRETCH_INSTANTS:
            end = int(begins[STRETCH_INSTANTS - 1])
        return loop * len(times) + first + end


def usual_pause_ms(recording: Recording) -> int:
    """Return the median pause between neighbouring instants, in milliseconds; at least 1."""
    pauses = np.diff(recording.time_ms)
    pauses = pauses[pauses > 0]
    return max(1, int(np.median(pauses))) if len(pauses) else 600_000


def is_dense(recording: Recording) -> bool:
    """Whether the recording is of every few seconds while something is measured."""
    return usual_pause_ms(recording) <= DENSE_MS


@dataclass(frozen=True, slots=True)
class CatchUp:
    """A clock of event time that begins in the past and runs faster until it meets the present.

    Attributes
    ----------
    started_ms
        The present when the clock was started, in milliseconds since 1970-01-01 UTC.
    behind_ms
        How far in the past it began.
    speed
        How much faster than the present it runs while it is behind; more than 1.
    """

    started_ms: int
    behind_ms: int
    speed: float

    def horizon_ms(self, now_ms: int) -> int:
        """Return the instant up to which samples are due at ``now_ms``; never later than that."""
        gained = (self.speed - 1) * max(0, now_ms - self.started_ms)
        return now_ms - max(0, self.behind_ms - int(gained))


def backoff_seconds(attempt: int, asked_seconds: float, chance: float) -> float:
    """Return how long to wait before an upload is sent again.

    Parameters
    ----------
    attempt
        How often it was sent, from 1.
    asked_seconds
        What the server asked for (Retry-After); 0 when it did not.
    chance
        Uniform in [0, 1): spreads senders that failed at the same moment.

    Returns
    -------
    float
        Seconds: never less than was asked for; from 0.25 s doubling up to 15 s, of which a random
        part of up to one half is taken off.
    """
    backoff = min(15.0, 0.25 * 2.0 ** min(attempt - 1, 10)) * (1 - chance / 2)
    return max(backoff, asked_seconds * (1 + chance / 4))
