"""How long until the whole system serves again: everything ready, and new samples stored."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from app.chaos.devices import Courier
from app.chaos.journal import Piece, Sending
from app.chaos.people import Device
from app.clickhouse.client import ClickHouse
from app.errors import ClickHouseUnavailableError, QueryError

LIMIT_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.2
_STORED: Final = """
SELECT count() AS n FROM uploads WHERE upload_id IN {ids:Array(UUID)} AND stored_at IS NOT NULL
"""


class Probes:
    """Uploads to every partition, sent after a fault, and looked for in ClickHouse.

    Parameters
    ----------
    devices : sequence of (Device, Courier)
        One for each partition.
    clickhouse : ClickHouse
        A reader that does not go through a link.
    seed : int
        Of the run.
    start_ms : int
        Instant of the first probe's samples.
    not_ready : callable
        Returns the names of processes that do not serve yet; may block.
    """

    def __init__(
        self,
        devices: Sequence[tuple[Device, Courier]],
        clickhouse: ClickHouse,
        *,
        seed: int,
        start_ms: int,
        not_ready: Callable[[], list[str]],
    ) -> None:
        self._devices = devices
        self._clickhouse = clickhouse
        self._not_ready = not_ready
        self._chance = random.Random(f"{seed}/recovery")  # noqa: S311  (must be repeatable)
        self._at_ms = start_ms
        self._round = 0

    async def recovered(self) -> float | None:
        """Return the seconds until all is well again; None when that took too long.

        Well is: every process says that it is ready, and for each partition an upload that was
        sent after the call began has been acknowledged and stands in ClickHouse.
        """
        started = time.monotonic()
        self._round += 1
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                uploads = [self._upload(device) for device, _ in self._devices]
                await asyncio.gather(
                    *(
                        courier.deliver(upload)
                        for (_, courier), upload in zip(self._devices, uploads, strict=True)
                    )
                )
                while not await asyncio.to_thread(self._stored, uploads):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
                while await asyncio.to_thread(self._not_ready):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            return None
        return time.monotonic() - started

    def _upload(self, device: Device) -> Sending:
        at = self._at_ms + self._round * device.span_ms
        pieces = tuple(
            Piece(
                channel.metric,
                channel.unit,
                tuple(at + n * channel.step_ms for n in range(channel.count)),
                tuple(channel.low + n / 2 for n in range(channel.count)),
            )
            for channel in device.channels
        )
        upload_id = str(UUID(int=self._chance.getrandbits(128), version=4))
        return Sending(
            upload_id, device.user_id, device.name, "chaos", "probe", pieces, self._round
        )

    def _stored(self, uploads: list[Sending]) -> bool:
        ids = {"ids": [upload.upload_id for upload in uploads]}
        try:
            [row] = self._clickhouse.rows(_STORED, ids)
        except (ClickHouseUnavailableError, QueryError):
            return False
        return bool(row["n"] == len(uploads))
