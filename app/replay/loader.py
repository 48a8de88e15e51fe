"""Handing out recordings from files one by one, with few of them in memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID, uuid5

from app.errors import RecordingError
from app.replay.recording import Recording, load
from app.replay.tally import Tally
from app.replay.tasks import in_daemon_thread

HELD_SAMPLES = 4_000_000
"""No further file is read while more samples than this are in memory."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A recording that is to be replayed.

    Attributes
    ----------
    recording
        As it stands in the file.
    namespace
        Of its upload ids; no two recordings of a run share one.
    work
        Its share of the work, in bytes of its file.
    """

    recording: Recording
    namespace: UUID
    work: float


class Loader:
    """Reads files when their turn comes. A person's recordings are handed out one after the other.

    Parameters
    ----------
    paths
        The files.
    run
        Id of the run.
    tally
        Is told the whole work, and which files cannot be read.
    stopping
        When set, no more are handed out.
    held_samples
        See :data:`HELD_SAMPLES`.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        run: UUID,
        tally: Tally,
        stopping: asyncio.Event,
        held_samples: int = HELD_SAMPLES,
    ) -> None:
        self._paths = deque(enumerate(paths))
        self._run, self._tally = run, tally
        self._stopping, self._limit = stopping, held_samples
        self._ready: deque[Loaded] = deque()
        self._busy: set[UUID] = set()
        self._held = 0
        self._changed = asyncio.Condition()
        tally.work = float(sum(_size(path) for path in paths))

    @asynccontextmanager
    async def next(self) -> AsyncIterator[Loaded | None]:
        """Hand out a recording until the context ends; None when there are no more."""
        async with self._changed:
            while (loaded := await self._take()) is None and self._more:
                await self._changed.wait()
        try:
            yield loaded
        finally:
            if loaded is not None:
                async with self._changed:
                    self._busy.discard(loaded.recording.person)
                    self._held -= len(loaded.recording)
                    self._changed.notify_all()

    @property
    def _more(self) -> bool:
        return bool(self._ready or self._paths) and not self._stopping.is_set()

    async def _take(self) -> Loaded | None:
        """Return the first recording whose person is free, after reading files as allowed."""
        while self._more:
            for loaded in self._ready:
                if loaded.recording.person not in self._busy:
                    self._ready.remove(loaded)
                    self._busy.add(loaded.recording.person)
                    return loaded
            if not self._paths or self._held > self._limit:
                break
            await self._read(*self._paths.popleft())
        return None

    async def _read(self, number: int, path: Path) -> None:
        """Read one file; the lock is held meanwhile, so that files stay in their order."""
        size = float(_size(path))
        try:
            recordings = await in_daemon_thread(partial(load, path))
        except RecordingError as error:
            self._tally.fail(str(error))
            self._tally.done += size
            return
        samples = sum(map(len, recordings))
        self._held += samples
        for recording in recordings:
            namespace = uuid5(self._run, f"{number}/{recording.person}")
            self._ready.append(Loaded(recording, namespace, size * len(recording) / samples))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # reading it will tell why
        return 0
