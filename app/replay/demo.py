"""The endless demo: each participant's devices send what they measure, at the pace of life."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.replay.pacing import CatchUp
from app.replay.participants import DemoState, Participant
from app.replay.sender import Sender
from app.replay.tally import Tally
from app.replay.uploads import uploads_of

_SPAN_MS = 1_800_000
_STATE_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How a demo runs.

    Attributes
    ----------
    stretch_ms
        How much of the past a demo sends when it starts, and at most after an outage.
    speed
        How much faster than life it sends the past; more than 1.
    interval_scale
        Multiplies the intervals at which devices send.
    """

    stretch_ms: int = 3 * 3_600_000
    speed: float = 150.0
    interval_scale: float = 1.0


class Demo:
    """Sends what the participants' devices measure, first the recent past, then the present.

    Parameters
    ----------
    people
        The participants.
    state
        How far each one's data were sent before; kept up to date.
    state_path
        Where the state is saved every few seconds.
    pace
        How it runs.
    sender, tally
        Where uploads go to, and where what is skipped is counted.
    now_ms
        The present, in milliseconds since 1970-01-01 UTC.
    """

    def __init__(
        self,
        people: Sequence[Participant],
        state: DemoState,
        state_path: Path,
        *,
        pace: Pace,
        sender: Sender,
        tally: Tally,
        now_ms: Callable[[], int],
    ) -> None:
        self._people, self._state, self._state_path = people, state, state_path
        self._pace, self._sender, self._tally, self._now_ms = pace, sender, tally, now_ms
        started_ms = now_ms()
        oldest_ms = started_ms - pace.stretch_ms
        begin = {p.user_id: max(oldest_ms, state.sent_ms.get(p.user_id, oldest_ms)) for p in people}
        state.sent_ms |= begin
        behind_ms = max(0, started_ms - min(begin.values(), default=started_ms))
        self._clock = CatchUp(started_ms, behind_ms, pace.speed)
        tally.behind_ms = behind_ms

    def work(self) -> list[Coroutine[None, None, None]]:
        """Return what is to run at the same time; each ends when the sender is stopped."""
        return [*map(self._live, self._people), self._keep()]

    def save(self) -> None:
        """Write the state."""
        self._state.save(self._state_path)

    async def _live(self, person: Participant) -> None:
        """Send one person's data up to the clock's horizon, for ever."""
        track = person.track
        position = track.position(self._state.sent_ms[person.user_id])
        while not self._sender.stopping():
            now_ms = self._now_ms()
            horizon_ms = self._clock.horizon_ms(now_ms)
            kept = track.position(horizon_ms - self._pace.stretch_ms)
            if position < kept:  # devices keep what they measure for a while, not for ever
                self._tally.skipped += kept - position
                position = kept
            due = track.position(horizon_ms)
            if position >= due:
                await self._wait(person, track.instant_ms(position), horizon_ms, now_ms)
                continue
            end = track.stretch_end(position, due, _SPAN_MS)
            for upload in uploads_of(track, position, end):
                if await self._sender.send(upload) is None:
                    return  # the next run sends the whole stretch
            position = end
            self._state.sent_ms[person.user_id] = track.instant_ms(end - 1)

    async def _wait(self, person: Participant, next_ms: int, horizon_ms: int, now_ms: int) -> None:
        """Wait for the next sample, at least as long as the person's devices do."""
        wait = person.interval_seconds * self._pace.interval_scale
        if horizon_ms == now_ms:
            wait = max(wait, (next_ms - now_ms) / 1000)
        # A clock that was set, or a machine that slept, must be noticed.
        await self._sender.pause(min(wait, _LONGEST_WAIT_SECONDS))

    async def _keep(self) -> None:
        """Save the state and note the delay every few seconds."""
        while not self._sender.stopping():
            now_ms = self._now_ms()
            self._tally.behind_ms = now_ms - self._clock.horizon_ms(now_ms)
            self.save()
            await self._sender.pause(_STATE_SECONDS)
