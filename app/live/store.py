"""What the live pages ask of stored history."""

from collections.abc import Sequence
from typing import Any, Protocol

from app.live.records import Alert


class Store(Protocol):
    """Stored history; every method raises ClickHouseUnavailableError while it is away."""

    async def samples(
        self, user: str, since_ms: int, until_ms: int, most: int
    ) -> list[dict[str, Any]]:
        """Return a person's series like :meth:`app.live.records.Samples.of`.

        At most ``most`` samples of each metric, the newest.
        """

    async def windows(
        self, user: str, size: str, since_ms: int, until_ms: int
    ) -> list[dict[str, Any]]:
        """Return a person's windows like :meth:`app.live.records.Windows.of`."""

    async def alerts(self, user: str, since_ms: int) -> list[Alert]:
        """Return a person's alerts that were open at ``since_ms`` or later, newest first."""

    async def open_alerts(self) -> list[Alert]:
        """Return everybody's open alerts."""

    async def latest(self) -> Sequence[tuple[str, str, int, float]]:
        """Return (user, metric, time in ms, value) of everybody's newest samples."""

    async def minutes(self, since_ms: int) -> Sequence[tuple[str, str, int, float]]:
        """Return (user, metric, start in ms, mean) of everybody's one-minute windows."""

    async def close(self) -> None:
        """Give up connections."""
