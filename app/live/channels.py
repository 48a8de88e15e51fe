"""The channels of the live protocol: what each shows at first, and what it says later.

A channel has no queue. It has a place in what the hub keeps, and is asked for what came after it
when its connection can send: a slow browser gets fewer, larger messages, and one that has lost
its place gets a snapshot.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any

from app.errors import ClickHouseUnavailableError
from app.live.cursor import Cursor
from app.live.hub import Hub
from app.live.protocol import now_ms
from app.live.records import Alert
from app.live.rows import rows_of
from app.live.store import Store
from app.live.system import System

State = dict[str, Any]
SAMPLES_MS = 15 * 60_000
ALERTS_MS = 24 * 3_600_000
PEOPLE_MAX = 500

NO_HISTORY = "Stored history cannot be read now; this is what arrived in the last minutes."
NO_FEED = "The live feed is not connected to Kafka; values may be old."


class Channel(ABC):
    """One subscription's view of the hub."""

    @property
    @abstractmethod
    def epoch(self) -> str:
        """Names what positions refer to."""

    @property
    @abstractmethod
    def position(self) -> str:
        """The place after everything that was taken."""

    @abstractmethod
    async def snapshot(self) -> State:
        """Return the state, and go to the place after it."""

    def resume(self, epoch: str, position: str) -> bool:  # noqa: ARG002 - for those who can
        """Go back to a place; False when that is not possible, and a snapshot is needed."""
        return False

    @property
    def lost(self) -> bool:
        """Whether the place is no longer known: time for a reset."""
        return False

    def alarms(self) -> list[tuple[Alert, str]]:
        """Take the new alarms, each with the position after it; never left out, never merged."""
        return []

    @abstractmethod
    def data(self) -> Any | None:  # noqa: ANN401 - JSON
        """Take the new rows, or None when there is nothing."""


class _Followed(Channel):
    """A channel with a place in the rings."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._cursor = self._place()

    @abstractmethod
    def _place(self) -> Cursor:
        """Return a place after everything that is there now."""

    @property
    def epoch(self) -> str:
        """Names what positions refer to."""
        return self._cursor.epoch

    @property
    def position(self) -> str:
        """The place after everything that was taken."""
        return str(self._cursor)

    @property
    def lost(self) -> bool:
        """Whether the place is no longer known."""
        return self._cursor.lost

    def resume(self, epoch: str, position: str) -> bool:
        """Go back to a place if the rings hold all from there on."""
        self._cursor = self._place()
        return bool(epoch) and epoch == self.epoch and self._cursor.move_to(position)

    def _visible(self, alert: Alert) -> bool:  # noqa: ARG002 - for those who filter
        return True

    def alarms(self) -> list[tuple[Alert, str]]:
        """Take the new alarms."""
        taken = []
        for record in self._cursor.ahead("alerts"):
            self._cursor.pass_by(record)
            if isinstance(record.body, dict) and self._visible(record.body):
                taken.append((record.body, self.position))
        return taken


class PersonChannel(_Followed):
    """One person's samples, windows and alarms.

    The snapshot joins what is stored with what is still in the rings, which overlap by far more
    than storage is behind. Merging is the reader's: a window replaces one of the same start whose
    version is not higher, a sample one of the same device and instant.
    """

    def __init__(self, hub: Hub, store: Store, user: str, points_max: int) -> None:
        self._user, self._store, self._points_max = user, store, points_max
        super().__init__(hub)

    def _place(self) -> Cursor:
        return Cursor(self._hub, self._hub.streams_of(self._user))

    async def snapshot(self) -> State:
        """Return the state, and go to the place after it."""
        now = now_ms()
        state: State = {"samples": [], "windows": [], "alerts": [], "cut": False, "notices": []}
        try:
            state["samples"] = await self._store.samples(
                self._user, now - SAMPLES_MS, now + SAMPLES_MS, self._points_max // 4
            )
            state["windows"] = await self._store.windows(
                self._user, "1m", now - SAMPLES_MS, now + SAMPLES_MS
            )
            state["alerts"] = await self._store.alerts(self._user, now - ALERTS_MS)
            self._hub.metrics.snapshots.labels("stored").inc()
        except ClickHouseUnavailableError:
            state["notices"].append(NO_HISTORY)
            self._hub.metrics.snapshots.labels("missing").inc()
        # From here on nothing is awaited: the place and what is read before it belong together.
        self._cursor = self._place()
        if not self._hub.partitions:
            state["notices"].append(NO_FEED)
            return state
        streams = self._hub.streams_of(self._user)
        kept = [record for stream in streams for record in self._hub.since(stream, 0)]
        recent = rows_of(kept, self._user, self._points_max)
        state["samples"] += recent["samples"]
        state["windows"] += recent["windows"]
        state["cut"] = recent["cut"]
        state["alerts"] += [
            record.body
            for record in kept
            if isinstance(record.body, dict) and self._visible(record.body)
        ]
        return state

    def _visible(self, alert: Alert) -> bool:
        return bool(alert["user_id"] == self._user)

    def data(self) -> State | None:
        """Take the new rows."""
        records = self._cursor.take("samples") + self._cursor.take("windows")
        if not records:
            return None
        rows = rows_of(records, self._user, self._points_max)
        return rows if rows["samples"] or rows["windows"] or rows["cut"] else None


class AlertsChannel(_Followed):
    """All alarms of the people whom a token covers; None means everybody."""

    def __init__(self, hub: Hub, users: Collection[str] | None) -> None:
        self._users = users
        super().__init__(hub)

    def _place(self) -> Cursor:
        return Cursor(self._hub, self._hub.alert_streams())

    async def snapshot(self) -> State:
        """Return the state, and go to the place after it."""
        self._cursor = self._place()
        notices = [] if self._hub.partitions else [NO_FEED]
        return {"alerts": self._hub.overview.alerts(self._users), "notices": notices}

    def _visible(self, alert: Alert) -> bool:
        return self._users is None or alert["user_id"] in self._users

    def data(self) -> None:
        """Take nothing: alarms are all there is."""


class OverviewChannel(Channel):
    """Latest values of everyone whom a token covers: the worst first, the newest value wins."""

    def __init__(self, hub: Hub, users: Collection[str] | None) -> None:
        self._hub, self._users = hub, users
        self._seq = hub.overview.seq

    @property
    def epoch(self) -> str:
        """Names what positions refer to."""
        return self._hub.instance

    @property
    def position(self) -> str:
        """The place after everything that was taken."""
        return str(self._seq)

    async def snapshot(self) -> State:
        """Return the state, and go to the place after it."""
        overview = self._hub.overview
        self._seq = overview.seq
        shown = overview.worst(self._users, PEOPLE_MAX)
        total = sum(1 for _ in overview.visible(self._users))
        return {"people": [overview.view(user) for user in shown], "total": total}

    def data(self) -> State | None:
        """Take the new rows."""
        overview, since = self._hub.overview, self._seq
        if overview.seq == since:
            return None
        self._seq = overview.seq
        changed = list(overview.changed_since(since, self._users))
        return {"people": [overview.view(user, since) for user in changed]} if changed else None


class PipelineChannel(Channel):
    """Rates, delay and lag of the whole system, as often as they are measured."""

    def __init__(self, hub: Hub, system: System, users: Collection[str] | None) -> None:
        self._hub, self._system, self._users = hub, system, users
        self._round = system.round

    @property
    def epoch(self) -> str:
        """Names what positions refer to."""
        return self._hub.instance

    @property
    def position(self) -> str:
        """The place after everything that was taken."""
        return str(self._round)

    async def snapshot(self) -> State:
        """Return the state, and go to the place after it."""
        self._round = self._system.round
        return self._system.view(self._users)

    def data(self) -> State | None:
        """Take the new rows."""
        if self._round == self._system.round:
            return None
        self._round = self._system.round
        return self._system.view(self._users)
