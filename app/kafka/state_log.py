"""The changelog of the workers' state: read into memory, as far as it is not there yet.

Faust would read it record by record at a few thousand a second. A partition that comes back after
a rebalance needs only what was written since, and usually that is nothing.
"""

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from app.errors import KafkaUnavailableError
from app.kafka.clients import consumer_config
from app.settings import Settings
from schemas.topics import STATE_CHANGELOG, WORKER

_TIMEOUT = 20.0
_AT_ONCE = 5_000
_IDLE_SECONDS = 30.0
Latest = dict[bytes, bytes | None]
"""By key the last value; None where it was deleted."""


class StateLog:
    """Reads partitions of the changelog; one method, for a thread.

    Parameters
    ----------
    settings : Settings
        The deployment.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def read(self, positions: Mapping[int, int]) -> dict[int, tuple[Latest, int]]:
        """Read partitions to their present ends.

        Parameters
        ----------
        positions : mapping of int to int
            By partition the offset of the first record that is not known yet.

        Returns
        -------
        dict of int to (Latest, int)
            By partition the last value of each key that was read, and the offset behind the end.

        Raises
        ------
        KafkaUnavailableError
            If the broker does not answer.
        """
        config = consumer_config(self._settings, WORKER) | {"enable.partition.eof": True}
        consumer = Consumer(config)
        try:
            return self._read(consumer, positions)
        except KafkaException as error:
            raise KafkaUnavailableError("the changelog cannot be read") from error
        finally:
            consumer.close()

    def _read(
        self, consumer: Consumer, positions: Mapping[int, int]
    ) -> dict[int, tuple[Latest, int]]:
        topic = self._settings.topic(STATE_CHANGELOG)
        found: dict[int, tuple[Latest, int]] = {}
        starts = []
        for partition, position in positions.items():
            low, high = consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=_TIMEOUT
            )
            found[partition] = ({}, high)
            if max(position, low) < high:
                starts.append(TopicPartition(topic, partition, max(position, low)))
        if starts:
            consumer.assign(starts)
            self._drain(consumer, found, {at.partition for at in starts})
        return found

    @staticmethod
    def _drain(consumer: Consumer, found: dict[int, tuple[Latest, int]], behind: set[int]) -> None:
        """Take what comes until each partition has reached its end."""
        deadline = time.monotonic() + _IDLE_SECONDS
        while behind:
            messages = consumer.consume(_AT_ONCE, timeout=0.2)
            if messages:
                deadline = time.monotonic() + _IDLE_SECONDS
            elif time.monotonic() > deadline:
                raise KafkaUnavailableError("the changelog stopped coming")
            for message in messages:
                partition, key, failure = message.partition(), message.key(), message.error()
                assert partition is not None, "delivered messages have a place"  # noqa: S101
                if failure is None:
                    if key is not None:
                        found[partition][0][key] = message.value()
                elif failure.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    behind.discard(partition)
                else:
                    raise KafkaException(failure)
