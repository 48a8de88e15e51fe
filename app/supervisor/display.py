"""What ``up`` and ``demo`` show: progress while starting, then one live line."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from app.supervisor.rates import SystemRates, describe

_PLAIN_SECONDS = 5.0
_PROGRESS_SECONDS = 2.0


class Display:
    """Lines that stay, and below them on a terminal one line that changes.

    Parameters
    ----------
    console
        Where to write. What is not a terminal gets plain lines, at most one every few seconds.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live = Live(
            Text(), console=self._console, auto_refresh=False, redirect_stdout=False,
            redirect_stderr=False, transient=True,
        )  # fmt: skip
        self._next_plain = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pause()

    def pause(self) -> None:
        """Remove the changing line, for something else to be printed."""
        if self._live.is_started:
            self._live.stop()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(Text(line), soft_wrap=True)

    def stage(self, name: str, seconds: float, detail: str = "") -> None:
        """Print that a stage of the start is done."""
        self._console.print(
            Text.assemble(("  ✓ ", "green"), f"{name:<22}{seconds:5.1f} s  ", (detail, "dim"))
        )

    def progress(self, text: str) -> None:
        """Show what is being done right now."""
        self._changing(Text(f"  … {text}"), _PROGRESS_SECONDS)

    def rates(self, rates: SystemRates | None) -> None:
        """Show the live status."""
        self._changing(Text(describe(rates)), _PLAIN_SECONDS)

    def _changing(self, text: Text, every: float) -> None:
        if self._live.is_started:
            self._live.update(text, refresh=True)
        elif not self._console.is_terminal and time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + every
            self._console.print(text, soft_wrap=True)
