"""Figures of the whole system: throughput, delay, lag, alerts, dead letters."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from app.kafka.admin import admin
from app.kafka.clients import consumer_config
from app.kafka.lag import GROUPS
from app.live.feed import Feed
from app.live.hub import Hub
from app.settings import Settings
from schemas import topics

ROUND_SECONDS: Final = 2.0
_TIMEOUT: Final = 4.0
_CONSUMED: Final = {group: GROUPS[group] for group in (topics.WORKER, topics.SINK)}
_Offsets = dict[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Lag:
    """What waits in Kafka; None while Kafka does not answer.

    Attributes
    ----------
    worker, sink : int or None
        Records that the group has not acknowledged yet.
    dead_letters : int or None
        Records in the dead-letter topic.
    """

    worker: int | None = None
    sink: int | None = None
    dead_letters: int | None = None


class System:
    """Measures in rounds of two seconds; asking costs nothing.

    Parameters
    ----------
    settings, hub, feed
        The deployment, and where the figures come from.
    """

    def __init__(self, settings: Settings, hub: Hub, feed: Feed) -> None:
        self._settings, self._hub, self._feed = settings, hub, feed
        self._lag = Lag()
        self._admin: AdminClient | None = None
        self._readers: dict[str, Consumer] = {}
        self.round = 0

    def view(self, users: Collection[str] | None) -> dict[str, Any]:
        """Return the figures; people and alerts are counted among ``users``, None for all."""
        lag, overview = self._lag, self._hub.overview
        return {
            **self._hub.rates.view(),
            "lag_records": None if lag.worker is None else lag.worker + (lag.sink or 0),
            "lag_worker": lag.worker,
            "lag_sink": lag.sink,
            "dead_letters": lag.dead_letters,
            "alerts_open": overview.open_count(users),
            "people": sum(1 for _ in overview.visible(users)),
            "feed_connected": self._feed.connected,
            "feed_lag_records": self._feed.lag_records,
            "at_ms": int(time.time() * 1000),
        }

    async def run(self) -> None:
        """Measure again and again, until cancelled."""
        measuring: asyncio.Task[Lag] | None = None
        try:
            while True:
                measuring = asyncio.create_task(asyncio.to_thread(self._measure))
                try:
                    self._lag = await asyncio.shield(measuring)
                except (KafkaException, TimeoutError):
                    self._lag = Lag()
                self.round += 1
                self._hub.wake()
                await asyncio.sleep(ROUND_SECONDS)
        finally:
            if measuring is not None:  # its thread uses the consumers
                await asyncio.wait([measuring])
            for consumer in self._readers.values():
                consumer.close()

    def _measure(self) -> Lag:
        if self._admin is None:
            self._admin = admin(self._settings)
        count = self._partitions(self._admin)
        newest = self._list(self._admin, count, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        oldest = self._list(self._admin, count, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        dead = self._settings.topic(topics.DEAD_LETTERS)
        return Lag(
            self._behind(topics.WORKER, newest, oldest),
            self._behind(topics.SINK, newest, oldest),
            sum(newest[key] - oldest[key] for key in newest if key[0] == dead),
        )

    def _partitions(self, client: AdminClient) -> dict[str, int]:
        wanted = {self._settings.topic(name) for names in _CONSUMED.values() for name in names}
        known = client.list_topics(timeout=_TIMEOUT).topics
        return {name: len(known[name].partitions) for name in wanted if name in known}

    def _list(self, client: AdminClient, count: dict[str, int], spec: OffsetSpec) -> _Offsets:
        asked = {TopicPartition(name, p): spec for name, n in count.items() for p in range(n)}
        if not asked:
            return {}
        answers = client.list_offsets(asked, request_timeout=_TIMEOUT)
        return {(tp.topic, tp.partition): f.result(_TIMEOUT).offset for tp, f in answers.items()}

    def _behind(self, group: str, newest: _Offsets, oldest: _Offsets) -> int:
        """Return what a group has not acknowledged; all that is there for one that never ran."""
        consumed = {self._settings.topic(topic) for topic in _CONSUMED[group]}
        asked = [TopicPartition(*key) for key in newest if key[0] in consumed]
        committed = self._reader(group).committed(asked, timeout=_TIMEOUT)
        lag = 0
        for place in committed:
            key = place.topic, place.partition
            lag += max(newest[key] - max(place.offset, oldest[key]), 0)
        return lag

    def _reader(self, group: str) -> Consumer:
        """Return a consumer that asks for a group's offsets and never joins it.

        The administration client can ask for them too, but librdkafka 2.16 crashes the process
        when the group's coordinator is just being elected.
        """
        if group not in self._readers:
            self._readers[group] = Consumer(consumer_config(self._settings, group))
        return self._readers[group]
