"""What a run works on: a system of its own, or another deployment by its addresses."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit

from app.chaos.compare import Findings, compare_dead_letters
from app.chaos.devices import Fleet
from app.chaos.faults import Injector, SystemInjector
from app.chaos.journal import Journal
from app.chaos.people import Device, Person
from app.chaos.plan import kinds
from app.chaos.poison import Poisoner
from app.chaos.proxy import Switchboard
from app.chaos.stored import Stored
from app.chaos.system import EmbeddedSystem
from app.chaos.undisturbed import compare_alerts
from app.clickhouse.client import ClickHouse, reader
from app.errors import ConfigurationError, KafkaUnavailableError
from app.security import mint_token
from app.settings import Settings

_TOKEN_SECONDS: Final = 86_400
_ZONE_SECONDS: Final = 20.0
_ZONE_GRACE_SECONDS: Final = 3.0
_ZONES_KNOWN: Final = "vitalstream_worker_people_with_zone "
Say = Callable[[str], None]


class Target(Protocol):
    """What a run needs of the system that it works on."""

    @property
    def client_only(self) -> bool:
        """Whether only faults of devices and their networks are possible."""

    @property
    def settings(self) -> Settings:
        """Of the system, for clients that go around the links."""

    @property
    def lag_settings(self) -> Settings | None:
        """Whose consumer groups can be asked for their lag; None: nobody's."""

    @property
    def gateway(self) -> str:
        """Base URL of the gateway, of a link that faults may cut."""

    @property
    def reader(self) -> ClickHouse:
        """A reader of ClickHouse that goes around the links."""

    @property
    def zones(self) -> dict[str, str | None]:
        """Time zones of people, once they are set."""

    def kinds(self) -> list[str]:
        """Return the kinds of fault that are possible."""

    def exits(self) -> list[str]:
        """Return what is known of processes that ended."""

    def token(self, device: Device) -> str:
        """Return a bearer token for a device."""

    def injector(self, fleet: Fleet) -> Injector:
        """Return what does the faults."""

    def not_ready(self) -> list[str]:
        """Return the names of processes that do not serve; may block for a second or two."""

    async def set_zones(self, persons: Sequence[Person]) -> None:
        """Give people their time zones, and see to it that workers know them."""

    def compare_more(
        self, journal: Journal, stored: Stored, findings: Findings, say: Say
    ) -> list[str]:
        """Compare what only this target can tell; return what could not be compared."""


class _Shared:
    """What both kinds of target do alike."""

    def __init__(self, settings: Settings, gateway: str, token: str | None) -> None:
        self.settings, self.gateway = settings, gateway
        self.reader = reader(settings)
        self.zones: dict[str, str | None] = {}
        self._token = token

    def token(self, device: Device) -> str:
        """Return a bearer token for a device."""
        name = f"chaos-{device.user_id}-{device.name}"
        return self._token or mint_token(
            self.settings, name, "device", [device.user_id], _TOKEN_SECONDS
        )

    async def _put_zones(self, persons: Sequence[Person]) -> None:
        for person in persons:
            self.zones[person.user_id] = person.zone
            if person.zone is not None:
                await asyncio.to_thread(self._put_zone, person.user_id, person.zone)

    def _put_zone(self, user_id: str, zone: str) -> None:
        token = self._token or mint_token(self.settings, user_id, "user", [user_id], _TOKEN_SECONDS)
        request = urllib.request.Request(  # noqa: S310  (the gateway that was asked for)
            f"{self.gateway}/v1/users/{user_id}/settings",
            data=json.dumps({"time_zone": zone}).encode(), method="PUT",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )  # fmt: skip
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


class EmbeddedTarget(_Shared):
    """A system of the run's own; every kind of fault."""

    client_only = False

    def __init__(self, system: EmbeddedSystem) -> None:
        super().__init__(system.settings, system.gateway, None)
        self._system = system
        self._poisoner = Poisoner(system.settings)
        self.lag_settings: Settings | None = system.settings

    def injector(self, fleet: Fleet) -> Injector:
        """See :class:`Target`."""
        return SystemInjector(fleet, self._system, self._poisoner)

    def not_ready(self) -> list[str]:
        """See :class:`Target`."""
        return self._system.not_ready()

    def kinds(self) -> list[str]:
        """See :class:`Target`."""
        return kinds(small_disk=self._system.disk is not None)

    def exits(self) -> list[str]:
        """Return what the supervisors said."""
        return self._system.tell.lines

    async def set_zones(self, persons: Sequence[Person]) -> None:
        """See :class:`Target`; blocks until every worker that runs knows them."""
        await self._put_zones(persons)
        wanted = sum(zone is not None for zone in self.zones.values())
        try:
            async with asyncio.timeout(_ZONE_SECONDS):
                for number in range(len(self._system.workers())):
                    while await asyncio.to_thread(self._zones_known, number) != wanted:  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise KafkaUnavailableError("the workers did not learn the time zones") from error

    def _zones_known(self, worker: int) -> int | None:
        port = self.settings.metrics_port + self.settings.port_offset + 1 + worker
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        found = [line for line in lines if line.startswith(_ZONES_KNOWN)]
        return int(float(found[0].split()[1])) if found else None

    def compare_more(
        self, journal: Journal, stored: Stored, findings: Findings, say: Say
    ) -> list[str]:
        """Compare dead letters with the poison, and alerts with those of an undisturbed run."""
        compare_dead_letters(self._poisoner.written, stored.dead_letters(), findings)
        users = sorted({upload.user_id for upload in journal.uploads.values()})
        alerts = {row["alert_id"]: row for user in users for row in stored.alerts(user)}
        say("running the same input once more, undisturbed, to compare alerts")
        self._system.stop_processes("gateway", "sink", *self._system.workers())
        try:
            compare_alerts(self._system, self._poisoner.written, alerts, findings)
        except KafkaUnavailableError as error:
            findings.differ("alerts", str(error))
        return []


class RemoteTarget(_Shared):
    """Another deployment: the faults are those that devices and their networks have.

    Parameters
    ----------
    settings : Settings
        With the deployment's addresses; its broker is asked for lag where one is set.
    gateway : str
        Base URL of the deployment's gateway, without TLS: connections are cut in between.
    token : str, optional
        A token that covers everybody; by default one is made for each device.

    Raises
    ------
    ConfigurationError
        If the URL is none that can be used.
    """

    client_only = True

    def __init__(self, settings: Settings, gateway: str, token: str | None) -> None:
        address = urlsplit(gateway)
        if address.scheme != "http" or not address.hostname:
            raise ConfigurationError(
                f"--gateway {gateway}: an http:// URL is needed, as connections are cut in between"
            )
        self._board = Switchboard()
        self._link = self._board.link(address.port or 80, address.hostname)
        super().__init__(settings, f"http://127.0.0.1:{self._link.port}", token)
        self.lag_settings = settings if settings.kafka_bootstrap is not None else None
        self._ready_url = f"{gateway.rstrip('/')}/readyz"

    def close(self) -> None:
        """Let go of the link."""
        self._board.close()

    def injector(self, fleet: Fleet) -> Injector:
        """See :class:`Target`."""
        return Injector(fleet, self._link)

    def not_ready(self) -> list[str]:
        """See :class:`Target`."""
        try:
            urllib.request.urlopen(self._ready_url, timeout=2).close()  # noqa: S310
        except (OSError, urllib.error.URLError):
            return ["gateway"]
        return []

    def kinds(self) -> list[str]:
        """See :class:`Target`."""
        return kinds(client_only=True)

    def exits(self) -> list[str]:
        """Return nothing: whoever runs the deployment knows."""
        return []

    async def set_zones(self, persons: Sequence[Person]) -> None:
        """See :class:`Target`; workers cannot be asked, so they are given a few seconds."""
        await self._put_zones(persons)
        await asyncio.sleep(_ZONE_GRACE_SECONDS)

    def compare_more(
        self, journal: Journal, stored: Stored, findings: Findings, say: Say
    ) -> list[str]:
        """Compare nothing more, and say so."""
        del journal, stored, findings, say
        return ["alerts and dead letters were not compared: that needs a system of the run's own"]
