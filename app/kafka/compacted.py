"""Following a compacted topic: the latest record of every key, kept up to date by a thread."""

import threading
from collections.abc import Callable

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from app.kafka.clients import consumer_config
from app.settings import Settings

_log = structlog.get_logger(__name__)


class CompactedReader:
    """Reads a topic from its beginning and follows it.

    Parameters
    ----------
    settings : Settings
        The deployment.
    topic : str
        The topic, without the deployment's prefix.
    on_record : callable
        Called in the reader's thread with the key and the value, None for a deleted key. What it
        raises is logged, and the record is passed over.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        on_record: Callable[[bytes, bytes | None], None],
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._on_record = on_record
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"reader-{topic}", daemon=True)
        self.caught_up = threading.Event()
        """Set once everything that stood in the topic at the start has been read."""

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stopped.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._follow()
            except KafkaException as error:
                _log.warning("reader starts again", topic=self._topic, error=str(error))
                self._stopped.wait(1)

    def _follow(self) -> None:
        consumer = Consumer(consumer_config(self._settings, f"reader-{self._topic}"))
        try:
            ends = self._assign(consumer)
            while not self._stopped.is_set():
                # The first as soon as it is there, and with it what has come already.
                first = consumer.poll(0.2)
                for message in [] if first is None else [first, *consumer.consume(500, 0)]:
                    if message.error():
                        continue
                    self._take(message.key() or b"", message.value())
                if not self.caught_up.is_set():
                    self._note_caught_up(consumer, ends)
        finally:
            consumer.close()

    def _assign(self, consumer: Consumer) -> dict[int, int]:
        name = self._settings.topic(self._topic)
        partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
        ends = {
            number: consumer.get_watermark_offsets(TopicPartition(name, number), timeout=10)[1]
            for number in partitions
        }
        consumer.assign([TopicPartition(name, number, OFFSET_BEGINNING) for number in partitions])
        return ends

    def _note_caught_up(self, consumer: Consumer, ends: dict[int, int]) -> None:
        name = self._settings.topic(self._topic)
        waiting = [TopicPartition(name, number) for number, end in ends.items() if end > 0]
        # A position is unknown (negative) until a first record came; a partition emptied by
        # compaction or deletion never brings one, so its low watermark counts too.
        for position in consumer.position(waiting) if waiting else []:
            low, _ = consumer.get_watermark_offsets(position, cached=True)
            if max(position.offset, low) < ends[position.partition]:
                return
        self.caught_up.set()

    def _take(self, key: bytes, value: bytes | None) -> None:
        try:
            self._on_record(key, value)
        except Exception as error:  # noqa: BLE001 - one bad record must not hide the others
            _log.error("record passed over", topic=self._topic, error=type(error).__name__)
