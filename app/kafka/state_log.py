"""The changelog of the workers' state: read into memory, as far as it is not there yet.

Faust would read it record by record at a few thousand a second. A partition that comes back after
a rebalance needs only what was written since, and usually that is nothing.
"""

import time

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

    def read(self, partition: int, position: int) -> tuple[Latest, int]:
        """Read a partition to its present end.

        Parameters
        ----------
        partition : int
            Which.
        position : int
            Offset of the first record that is not known yet.

        Returns
        -------
        Latest
            The last value of each key that was read.
        int
            The offset behind the end.

        Raises
        ------
        KafkaUnavailableError
            If the broker does not answer.
        """
        config = consumer_config(self._settings, WORKER) | {"enable.partition.eof": True}
        consumer = Consumer(config)
        topic = self._settings.topic(STATE_CHANGELOG)
        latest: Latest = {}
        try:
            low, high = consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=_TIMEOUT
            )
            if max(position, low) < high:
                consumer.assign([TopicPartition(topic, partition, max(position, low))])
                self._drain(consumer, latest)
        except KafkaException as error:
            raise KafkaUnavailableError("the changelog cannot be read") from error
        finally:
            consumer.close()
        return latest, high

    @staticmethod
    def _drain(consumer: Consumer, latest: Latest) -> None:
        """Take what comes until the end is reached."""
        deadline = time.monotonic() + _IDLE_SECONDS
        while True:
            messages = consumer.consume(_AT_ONCE, timeout=0.2)
            if messages:
                deadline = time.monotonic() + _IDLE_SECONDS
            elif time.monotonic() > deadline:
                raise KafkaUnavailableError("the changelog stopped coming")
            for message in messages:
                key, failure = message.key(), message.error()
                if failure is None:
                    if key is not None:
                        latest[key] = message.value()
                elif failure.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    return
                else:
                    raise KafkaException(failure)
