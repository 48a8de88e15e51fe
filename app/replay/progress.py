"""Telling how a replay goes: a bar on a terminal, a line every few seconds elsewhere."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.replay.tally import Tally

LINE_SECONDS = 5.0
_BAR_SECONDS = 0.25
_TROUBLE = 100


class Lines:
    """Makes the lines that tell what happened since the one before.

    Parameters
    ----------
    tally
        What is told.
    seconds
        A monotonic clock.
    """

    def __init__(self, tally: Tally, seconds: Callable[[], float] = time.monotonic) -> None:
        self._tally, self._seconds = tally, seconds
        self._at, self._uploads, self._samples = seconds(), 0, 0

    def next(self) -> str:
        """Return the next line."""
        tally, now = self._tally, self._seconds()
        elapsed = max(now - self._at, 1e-3)
        parts = [
            f"{(tally.uploads - self._uploads) / elapsed:,.1f} uploads/s",
            f"{(tally.samples_sent - self._samples) / elapsed:,.0f} samples/s",
            f"{tally.rejected:,} rejected",
            f"{tally.retries:,} retries",
        ]
        self._at, self._uploads, self._samples = now, tally.uploads, tally.samples_sent
        if tally.work:
            parts.insert(0, f"{tally.done / tally.work:.0%}")
        elif tally.behind_ms >= 60_000:
            parts.append(f"{tally.behind_ms // 60_000} min behind")
        if tally.failed_uploads:
            parts.append(f"{tally.failed_uploads:,} refused")
        if tally.skipped:
            parts.append(f"{tally.skipped:,} samples skipped")
        if trouble := tally.trouble or next(iter(tally.failures), ""):
            parts.append(trouble[:_TROUBLE])
        return "  ".join(parts)


async def tell_lines(tally: Tally, echo: Callable[[str], None], seconds: float) -> None:
    """Print a line every few seconds until cancelled."""
    lines = Lines(tally)
    while True:
        await asyncio.sleep(seconds)
        echo(lines.next())


async def tell_bar(tally: Tally, draw: Callable[[float, str], None]) -> None:
    """Draw the share of the work that is done, and a line beside it, until cancelled."""
    lines = Lines(tally)
    text, told = lines.next(), time.monotonic()
    while True:
        await asyncio.sleep(_BAR_SECONDS)
        if time.monotonic() - told >= 1:
            text, told = lines.next(), time.monotonic()
        draw(tally.done / tally.work if tally.work else 0.0, text)


@contextmanager
def bar() -> Iterator[Callable[[float, str], None]]:
    """Show a progress bar; yields what draws it: a share from 0 to 1 and a text."""
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415  (slow to import)

    columns = (BarColumn(), TextColumn("{task.percentage:3.0f}%  {task.description}"))
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda share, text: progress.update(task, completed=share, description=text)
