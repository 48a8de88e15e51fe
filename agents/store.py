"""How every topic is stored: taken together, decoded one by one, inserted, then acknowledged."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast

import faust
import structlog

from agents.failures import describe
from app.errors import RegistryUnavailableError
from app.kafka.clients import ConfirmedProducer
from app.kafka.dead_ratio import DeadRatio
from app.kafka.effects import complete_or_exit
from app.kafka.guard import OffsetGuard
from app.metrics import SinkMetrics
from app.settings import Settings
from app.sink.dead_letter_rows import unstorable
from app.sink.records import Decoded, Record
from app.sink.store import Store
from schemas import statuses
from schemas.codec import Codec
from schemas.statuses import StatusBatch
from schemas.topics import UPLOAD_STATUS

_log = structlog.get_logger(__name__)
Decode = Callable[[Record, Codec], Decoded]
_GROUPS_AT_ONCE: Final = 2
"""Groups of one topic that are inserted at the same time, while the next one is decoded."""


@dataclass(frozen=True, slots=True)
class SinkParts:
    """What the sink's agents share."""

    app: faust.App
    settings: Settings
    codec: Codec
    store: Store
    guard: OffsetGuard
    metrics: SinkMetrics
    producer: Callable[[], ConfirmedProducer]
    dead_ratio: DeadRatio


class StoreAgent:
    """Stores one topic.

    A step takes what has arrived (at most ``sink_take`` records, waiting at most
    ``sink_within_seconds``), stores it in groups of at most about ``sink_max_rows`` rows, tells
    that uploads are stored, and only then ends, which acknowledges the records. While two groups
    are being inserted the next is decoded, in threads: three are in memory at most. A record that
    does not decode is kept in ``dead_letters``; its neighbours do not notice.

    Parameters
    ----------
    parts : SinkParts
        What the agents share.
    topic : str
        Its name, without the deployment's prefix.
    decode : callable
        Returns what a record asks for; raises DataError for one that is none.
    """

    def __init__(self, parts: SinkParts, topic: str, decode: Decode) -> None:
        self._parts = parts
        self._topic = topic
        self._decode = decode
        source = parts.app.topic(
            parts.settings.topic(topic), key_serializer="raw", value_serializer="raw",
            key_type=bytes, value_type=bytes,
        )  # fmt: skip
        parts.app.agent(source, name=f"store-{topic}", concurrency=1)(self._run)

    async def _run(self, stream: faust.StreamT[bytes]) -> None:
        settings = self._parts.settings
        taken = cast("faust.Stream[bytes]", stream).take_events(
            settings.sink_take, within=settings.sink_within_seconds
        )
        async for events in taken:
            await complete_or_exit(self._step(events))

    async def _step(self, events: Sequence[faust.EventT[bytes]]) -> None:
        """Store records; when this returns, all that they ask for is in ClickHouse.

        Raises
        ------
        OffsetGapError
            If a record was skipped.
        KafkaUnavailableError
            If the broker did not acknowledge a status in time.
        DeadRatioError
            If too many records are kept apart.
        """
        dead: Counter[str] = Counter()
        for event in events:
            message = event.message
            # A record that comes again is stored again: that changes nothing.
            await self._parts.guard.admit(message.topic, message.partition, message.offset)
        records = iter([_record(event, self._topic) for event in events])
        storing: deque[asyncio.Task[None]] = deque()
        last: asyncio.Task[None] | None = None
        while group := await asyncio.to_thread(self._group, records, dead):
            if len(storing) == _GROUPS_AT_ONCE:
                await storing.popleft()
            last = asyncio.create_task(self._store(group, last, dead))
            storing.append(last)
        for task in storing:
            await task
        await self._parts.dead_ratio.admit(len(events), dead)
        self._parts.metrics.expired_records.set(self._parts.guard.expired)

    async def _store(
        self,
        group: Sequence[Decoded],
        earlier: "asyncio.Task[None] | None",
        dead: Counter[str],
    ) -> None:
        refused = await self._parts.store.store(group, earlier=earlier)
        if refused:
            dead["QueryError"] += len(refused)
        await self._tell(group, refused)

    def _group(self, records: Iterator[Record], dead: Counter[str]) -> list[Decoded]:
        """Decode the records of the next group; return none when there are none."""
        group: list[Decoded] = []
        rows = 0
        for record in records:
            group.append(self._decoded(record, dead))
            rows += group[-1].size
            if rows >= self._parts.settings.sink_max_rows:
                break
        return group

    def _decoded(self, record: Record, dead: Counter[str]) -> Decoded:
        try:
            return self._decode(record, self._parts.codec)
        except RegistryUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, its neighbours go on
            _log.error(
                "not a record of its topic", topic=record.topic, partition=record.partition,
                offset=record.offset, error=describe(error),
            )  # fmt: skip
            self._parts.metrics.records.labels(record.topic, "dead").inc()
            dead[type(error).__name__] += 1
            return unstorable(record, error, self._parts.codec)

    async def _tell(self, group: Sequence[Decoded], refused: Sequence[Decoded]) -> None:
        apart = {id(one) for one in refused}
        await asyncio.gather(
            *(
                self._tell_one(one.record.partition, one.stored, refused=id(one) in apart)
                for one in group
                if one.stored is not None
            )
        )

    async def _tell_one(self, partition: int, status: StatusBatch, *, refused: bool) -> None:
        if refused:
            status = replace(status, stage="failed", reason="refused by the database")
        value = statuses.encode(status, self._parts.codec)
        await self._parts.producer().send(UPLOAD_STATUS, value, key=status.key, partition=partition)
        now_ms = time.time_ns() // 1_000_000
        for received_ms in status.received_ms.tolist():
            self._parts.metrics.store_delay_seconds.observe((now_ms - received_ms) / 1000)


def _record(event: faust.EventT[bytes], topic: str) -> Record:
    message = event.message
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return Record(
        topic,
        message.partition,
        message.offset,
        int(message.timestamp * 1000),
        message.value or b"",
        {key: bytes(value or b"") for key, value in pairs},
    )
