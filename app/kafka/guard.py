"""The contiguity guard: no agent trusts that what it is given is without holes.

The guard should never fire. It is there because offsets are acknowledged in ranges: a record that
was never delivered, but lies below one that was acknowledged, would be lost for good.
"""

import asyncio
from collections.abc import Callable
from enum import Enum

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from app.errors import KafkaUnavailableError, OffsetGapError
from app.kafka.clients import consumer_config
from app.settings import Settings

_log = structlog.get_logger(__name__)
_TIMEOUT = 20.0


class Arrival(Enum):
    """What a delivered record is to its partition."""

    NEXT = "next"
    AGAIN = "again"


class OffsetGuard:
    """Knows, for each source partition, which offset has to come next.

    Parameters
    ----------
    settings : Settings
        The deployment.
    group : str
        Consumer group whose committed offsets are the starting points of partitions without a
        mark of their own.
    marked : callable, optional
        Returns the next expected offset that the application itself has kept for a topic and
        partition, or None. Asked when a partition is seen first, and after :meth:`forget`.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        *,
        marked: Callable[[str, int], int | None] | None = None,
    ) -> None:
        self._settings = settings
        self._group = group
        self._marked = marked
        self._expected: dict[tuple[str, int], int] = {}
        self.expired = 0
        """Records that retention deleted before they were read."""

    async def admit(self, topic: str, partition: int, offset: int) -> Arrival:
        """Check a delivered record against its partition.

        Returns
        -------
        Arrival
            ``NEXT``: it is the one expected. ``AGAIN``: it was admitted before.

        Raises
        ------
        OffsetGapError
            If records before it have not been delivered. The process has to end without
            acknowledging anything; it will resume below the hole.
        KafkaUnavailableError
            If the broker had to be asked for a starting point and did not answer.
        """
        expected = self._expected.get((topic, partition))
        if expected is None:
            expected = await self._starting_point(topic, partition)
        if offset > expected:
            first = await self._ask(self._log_start, topic, partition)
            if first < offset:
                raise OffsetGapError(
                    f"{topic}-{partition}: offset {offset} was delivered, {expected} is next"
                )
            self.expired += offset - expected
            _log.error(
                "records deleted by retention before they were read",
                topic=topic, partition=partition, first=expected, count=offset - expected,
            )  # fmt: skip
        if offset < expected:
            self._expected[topic, partition] = expected
            return Arrival.AGAIN
        self._expected[topic, partition] = offset + 1
        return Arrival.NEXT

    def next_offsets(self) -> dict[tuple[str, int], int]:
        """Return the next expected offset of every partition seen."""
        return dict(self._expected)

    def forget(self) -> None:
        """Forget every partition: after a rebalance another process may have read on."""
        self._expected.clear()

    async def _starting_point(self, topic: str, partition: int) -> int:
        marked = self._marked(topic, partition) if self._marked else None
        if marked is not None:
            return marked
        return await self._ask(self._committed_or_start, topic, partition)

    async def _ask(
        self, question: Callable[[Consumer, str, int], int], topic: str, partition: int
    ) -> int:
        return await asyncio.to_thread(self._ask_broker, question, topic, partition)

    def _ask_broker(
        self, question: Callable[[Consumer, str, int], int], topic: str, partition: int
    ) -> int:
        consumer = Consumer(consumer_config(self._settings, self._group))
        try:
            return question(consumer, topic, partition)
        except KafkaException as error:
            raise KafkaUnavailableError(f"no answer about {topic}-{partition}") from error
        finally:
            consumer.close()

    @staticmethod
    def _log_start(consumer: Consumer, topic: str, partition: int) -> int:
        low, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT)
        return int(low)

    @classmethod
    def _committed_or_start(cls, consumer: Consumer, topic: str, partition: int) -> int:
        [committed] = consumer.committed([TopicPartition(topic, partition)], timeout=_TIMEOUT)
        if committed.offset >= 0:
            return int(committed.offset)
        return cls._log_start(consumer, topic, partition)
