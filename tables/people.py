"""All that is kept of one person, and its packed form in the changelog."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from schemas.codec import Codec
from schemas.columns import F64, I32, I64, unpack
from tables.aggregates import Aggregate
from tables.days import Calendar
from tables.detector import DetectorState
from tables.series import Series, recalendar

SUBJECT: Final = "user_state"
UPLOADS_KEPT: Final = 64
"""How many of a person's latest uploads keep their first ``received_ms``."""


@dataclass(frozen=True, slots=True)
class Person:
    """State of one person; never changed in place.

    Attributes
    ----------
    calendar : Calendar
        The days by which the windows were cut.
    devices : tuple of str
        Device ids; their positions are the codes in the series.
    uploads : mapping of bytes to int
        First ``received_ms`` of the latest uploads, by their id's 16 bytes, oldest first.
    series : mapping of str to Series
        By metric.
    detectors : mapping of str to DetectorState
        By metric.
    """

    calendar: Calendar
    devices: tuple[str, ...] = ()
    uploads: Mapping[bytes, int] = field(default_factory=dict)
    series: Mapping[str, Series] = field(default_factory=dict)
    detectors: Mapping[str, DetectorState] = field(default_factory=dict)

    def in_calendar(self, calendar: Calendar) -> "Person":
        """Return the person with other time zones; itself when they are the same."""
        if calendar == self.calendar:
            return self
        series = {metric: recalendar(s, calendar) for metric, s in self.series.items()}
        return replace(self, calendar=calendar, series=series)

    def with_device(self, device_id: str) -> tuple["Person", int]:
        """Return the person with a device in its dictionary, and the device's code."""
        if device_id in self.devices:
            return self, self.devices.index(device_id)
        used = self._without_unused_devices()
        return replace(used, devices=(*used.devices, device_id)), len(used.devices)

    def with_upload(self, upload_id: bytes, received_ms: int) -> tuple["Person", int]:
        """Return the person with an upload noted, and when that upload was first received."""
        first = self.uploads.get(upload_id)
        if first is not None and first <= received_ms:
            return self, first
        uploads = {**self.uploads, upload_id: received_ms}
        while len(uploads) > UPLOADS_KEPT:
            del uploads[next(iter(uploads))]
        return replace(self, uploads=uploads), received_ms

    def _without_unused_devices(self) -> "Person":
        """Drop devices that no kept sample names, so that the dictionary stays small."""
        used = sorted({int(code) for s in self.series.values() for code in np.unique(s.devices)})
        if len(used) == len(self.devices):
            return self
        renumbered = np.zeros(len(self.devices), np.int32)
        renumbered[used] = np.arange(len(used), dtype=np.int32)
        series = {m: replace(s, devices=renumbered[s.devices]) for m, s in self.series.items()}
        return replace(self, devices=tuple(self.devices[code] for code in used), series=series)


def pack(person: Person, codec: Codec) -> bytes:
    """Write a person's state as a record of the changelog."""
    zones = zip(person.calendar.since, person.calendar.zones, strict=True)
    return codec.encode(
        SUBJECT,
        {
            "zones": [{"since_ms": since, "zone": zone} for since, zone in zones],
            "devices": list(person.devices),
            "upload_ids": b"".join(person.uploads),
            "upload_received": np.array(list(person.uploads.values()), I64).tobytes(),
            "series": [
                _pack_series(metric, series, person.detectors.get(metric))
                for metric, series in person.series.items()
            ],
        },
    )


def unpack_person(data: bytes, codec: Codec) -> Person:
    """Read a person's state from a record of the changelog.

    Raises
    ------
    DecodeError
        If the bytes are not such a record.
    """
    record = codec.decode(SUBJECT, data)
    received = unpack(record["upload_received"], I64, "upload_received").tolist()
    ids = record["upload_ids"]
    return Person(
        Calendar(
            tuple(zone["since_ms"] for zone in record["zones"]),
            tuple(zone["zone"] for zone in record["zones"]),
        ),
        tuple(record["devices"]),
        {ids[16 * i : 16 * i + 16]: first for i, first in enumerate(received)},
        {one["metric"]: _unpack_series(one) for one in record["series"]},
        {
            one["metric"]: DetectorState.unpack(one["detector"])
            for one in record["series"]
            if one["detector"]
        },
    )


def _pack_series(metric: str, series: Series, detector: DetectorState | None) -> dict[str, Any]:
    return {
        "metric": metric,
        "floor_ms": series.floor_ms,
        "times": series.times.astype(I64).tobytes(),
        "values": series.values.astype(F64).tobytes(),
        "ranks": series.ranks.astype(I64).tobytes(),
        "devices": series.devices.astype(I32).tobytes(),
        "closed": [
            {"size": size, "start": start, "end": end}
            | {name: getattr(whole, name) for name in Aggregate.__slots__}
            for (size, start, end), whole in series.closed.items()
        ],
        "mixed": [
            {"size": size, "start": start, "end": end} for size, start, end in sorted(series.mixed)
        ],
        "detector": detector.pack() if detector else b"",
    }


def _unpack_series(record: dict[str, Any]) -> Series:
    return Series(
        record["floor_ms"],
        unpack(record["times"], I64, "times"),
        unpack(record["values"], F64, "values"),
        unpack(record["ranks"], I64, "ranks"),
        unpack(record["devices"], I32, "devices"),
        {
            (one["size"], one["start"], one["end"]): Aggregate(
                **{name: one[name] for name in Aggregate.__slots__}
            )
            for one in record["closed"]
        },
        frozenset((one["size"], one["start"], one["end"]) for one in record["mixed"]),
    )
