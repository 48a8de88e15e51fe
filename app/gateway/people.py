"""Settings of people: topic ``user-settings``, and the memory that follows it."""

from collections.abc import Callable
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

from app.gateway.clock import Clock
from app.gateway.problems import Problem
from app.gateway.statuses import rfc3339
from app.kafka.clients import ConfirmedProducer
from app.settings import Settings
from schemas.codec import Codec
from schemas.topics import USER_SETTINGS, partition_of

SUBJECT: Final = "user_settings"
ZONES_MAX: Final = 500
"""Most changes of zone that are kept of a person."""

Record = dict[str, Any]


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


class People:
    """The settings of all people who have set something.

    Parameters
    ----------
    settings, codec, producer, clock
        What it works with.
    on_size : callable
        Told the number of people after each change.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        codec: Codec,
        producer: ConfirmedProducer,
        clock: Clock,
        on_size: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._codec = codec
        self._producer = producer
        self._clock = clock
        self._on_size = on_size
        self._records: dict[str, Record] = {}

    def apply(self, records: list[Record]) -> None:
        """Take in records of the topic; of one person the one updated last counts."""
        for record in records:
            known = self._records.get(record["user_id"])
            if known is None or known["updated_ms"] <= record["updated_ms"]:
                self._records[record["user_id"]] = record
        self._on_size(len(self._records))

    def document(self, user_id: str) -> dict[str, Any]:
        """Return a person's settings, those of the deployment where nothing was set."""
        record = self._records.get(user_id)
        if record is None:
            zone = self._settings.default_time_zone
            return {"user_id": user_id, "time_zone": zone, "time_zones": [], "updated_at": None}
        zones = [{"since": rfc3339(z["since_ms"]), "time_zone": z["zone"]} for z in record["zones"]]
        return {
            "user_id": user_id,
            "time_zone": record["zones"][-1]["zone"],
            "time_zones": zones,
            "updated_at": rfc3339(record["updated_ms"]),
        }

    async def set_zone(self, user_id: str, zone: str) -> dict[str, Any]:
        """Set a person's time zone from now on; the first one holds for all time before, too.

        Raises
        ------
        Problem
            422 for a name that is no IANA zone, or after too many changes.
        KafkaUnavailableError, OverloadedError
            If it could not be written.
        """
        if zone not in _zones():
            raise _invalid("must be an IANA time zone, such as Europe/Berlin")
        record = self._records.get(user_id)
        zones = list(record["zones"]) if record else []
        if zones and zones[-1]["zone"] == zone:
            return self.document(user_id)
        if len(zones) >= ZONES_MAX:
            raise _invalid(f"was changed {ZONES_MAX} times, which is the most")
        now = max(self._clock.now_ms(), zones[-1]["since_ms"] + 1 if zones else 0)
        zones.append({"since_ms": now, "zone": zone})
        changed: Record = {"user_id": user_id, "zones": zones, "updated_ms": now}
        await self._producer.send(
            USER_SETTINGS,
            self._codec.encode(SUBJECT, changed),
            key=user_id,
            partition=partition_of(user_id, self._settings.partitions),
        )
        self.apply([changed])
        return self.document(user_id)


def _invalid(detail: str) -> Problem:
    return Problem("invalid", "The settings are not valid.", errors=[("/time_zone", detail)])
