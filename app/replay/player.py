"""Replaying recordings through a gateway's public interface, as the devices would."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TextIO
from uuid import uuid4

import aiohttp

from app.replay.demo import Demo, Pace
from app.replay.loader import Loaded, Loader
from app.replay.pacing import Track
from app.replay.participants import DemoState, Participant
from app.replay.sender import Sender, Tokens
from app.replay.tally import Tally, write_atomically
from app.replay.tasks import run_all
from app.replay.uploads import uploads_of
from app.settings import Settings

SUMMARY_FILE: Final = "replay.json"
IDS_FILE: Final = "replay-upload-ids.txt"
STATE_FILE: Final = "replay-demo.json"

_REQUEST_SECONDS = 30
_SPAN_MS = 1_800_000


def wall_clock_ms() -> int:
    """Return the present, in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


class Player:
    """Sends recordings to one gateway. A player is used once.

    Parameters
    ----------
    settings
        Give the data directory, and the key that signs tokens.
    gateway
        Base URL of the gateway.
    token
        For everybody; None: each person's devices get one that is minted here.
    concurrency
        Most uploads that are being sent at once.
    now_ms
        The present, in milliseconds since 1970-01-01 UTC.

    Attributes
    ----------
    tally
        What became of the uploads so far.
    """

    def __init__(
        self,
        settings: Settings,
        gateway: str,
        *,
        token: str | None = None,
        concurrency: int = 32,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self.tally = Tally()
        self._directory = settings.data_dir / "run"
        self._gateway, self._tokens = gateway, Tokens(settings, token)
        self._concurrency, self._now_ms = concurrency, now_ms
        self._stopping = asyncio.Event()
        self._users: dict[str, None] = {}

    def stop(self) -> None:
        """Send no more, and end once the requests under way are answered, or 1.5 s later."""
        self._stopping.set()

    async def once(
        self, paths: Sequence[Path], *, retime: bool, max_gap_ms: int | None = None
    ) -> bool:
        """Replay files one time, as fast as the gateway takes them, each person's in order.

        Writes ``DATA_DIR/run/replay.json``, and the ids of all accepted uploads beside it.

        Parameters
        ----------
        paths
            Recordings.
        retime, max_gap_ms
            Whether each recording is moved so that it ends now, and how long its pauses then are
            at most (None: as they are).

        Returns
        -------
        bool
            Whether all was sent and each upload answered with 202. It does not mean that the
            samples are stored.

        Raises
        ------
        AuthenticationError, ConfigurationError
            When there is no token that the gateway accepts.
        """
        started_ms = self._now_ms()
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / SUMMARY_FILE).unlink(missing_ok=True)  # of another run
        loader = Loader(paths, uuid4(), self.tally, self._stopping)

        def track(loaded: Loaded) -> Track:
            recording = loaded.recording
            if retime:
                recording = recording.retimed(started_ms, max_gap_ms)
            return Track.of(recording, loaded.namespace)

        with _create(self._directory / IDS_FILE) as ids:
            async with self._sender() as sender:
                workers = [
                    self._replay(loader, track, sender, ids) for _ in range(self._concurrency)
                ]
                await run_all(workers, self._stopping)
        return self._conclude(started_ms)

    def demo_state(self) -> DemoState:
        """Return what the demo of this data directory remembers, or the beginning of a new one."""
        return DemoState.load(self._directory / STATE_FILE, self._now_ms())

    async def demo(self, people: Sequence[Participant], state: DemoState, pace: Pace) -> None:
        """Send what the participants' devices measure until :meth:`stop`.

        First the last ``pace.stretch_ms``, or what was not yet sent of it, sped up; then at the
        pace of life. ``DATA_DIR/run/replay-demo.json`` keeps how far each one's data were sent.

        Raises
        ------
        AuthenticationError, ConfigurationError
            When there is no token that the gateway accepts.
        """
        async with self._sender() as sender:
            demo = Demo(
                people,
                state,
                self._directory / STATE_FILE,
                pace=pace,
                sender=sender,
                tally=self.tally,
                now_ms=self._now_ms,
            )
            try:
                await run_all(demo.work(), self._stopping)
            finally:
                demo.save()

    async def _replay(
        self, loader: Loader, track_of: Callable[[Loaded], Track], sender: Sender, ids: TextIO
    ) -> None:
        """Replay one recording after the other until there are no more."""
        while not self._stopping.is_set():
            async with loader.next() as loaded:
                if loaded is None:
                    return
                self._users[str(loaded.recording.person)] = None
                track = track_of(loaded)
                position, end = 0, len(track.recording)
                while position < end and not self._stopping.is_set():
                    stop = track.stretch_end(position, end, _SPAN_MS)
                    for upload in uploads_of(track, position, stop):
                        if await sender.send(upload):
                            ids.write(f"{upload.upload_id}\n")
                    self.tally.done += loaded.work * (stop - position) / end
                    position = stop

    def _conclude(self, started_ms: int) -> bool:
        """Write the summary; return whether all went well."""
        tally = self.tally
        if tally.unaccounted:
            tally.fail(f"the answers do not account for {tally.unaccounted} samples")
        if self._stopping.is_set():
            tally.fail("interrupted")
        summary: dict[str, Any] = {
            "complete": not tally.failures,
            "uploads": tally.uploads,
            "samples_sent": tally.samples_sent,
            "accepted": tally.accepted,
            "rejected": tally.rejected,
            "rejected_by_reason": dict(tally.reasons),
            "repeated": tally.repeated,
            "failed_uploads": tally.failed_uploads,
            "failures": dict(tally.failures),
            "retries": tally.retries,
            "user_ids": list(self._users),
            "upload_ids_file": str(self._directory / IDS_FILE),
            "started_ms": started_ms,
            "ended_ms": self._now_ms(),
        }
        write_atomically(self._directory / SUMMARY_FILE, summary)
        return not tally.failures

    @asynccontextmanager
    async def _sender(self) -> AsyncIterator[Sender]:
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS),
            connector=aiohttp.TCPConnector(limit=self._concurrency),
        ) as session:
            yield Sender(
                session,
                self._gateway,
                tokens=self._tokens,
                tally=self.tally,
                stopping=self._stopping,
                concurrency=self._concurrency,
            )


def _create(path: Path) -> TextIO:
    return path.open("w", encoding="ascii")
