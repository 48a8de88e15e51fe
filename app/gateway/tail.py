"""Following a topic: every partition, in a thread, without a group's offsets."""

import asyncio
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from app.errors import DataError, UnavailableError
from app.kafka.clients import consumer_config
from app.settings import Settings

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")
_TAKE: Final = 500
_WAIT_SECONDS: Final = 0.1
_ASK_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 1.0


class TopicTail(Generic[_T]):
    """Reads a topic from some point on, for ever, and hands its records to the event loop.

    Records are decoded in the thread; ``handle`` runs in the loop, and the next records are read
    only when it has returned. Records that cannot be decoded are counted and passed over.

    Parameters
    ----------
    settings : Settings
        The deployment.
    topic : str
        The topic, without the deployment's prefix.
    decode : callable
        From a record's value; raises DataError for one that cannot be read, ever.
    handle : callable
        Takes decoded records, in the order of each partition.
    undecodable : callable
        Called for each record that could not be decoded.
    since_ms : int, optional
        Epoch milliseconds of the oldest records to read; from the topic's beginning by default.
    known : callable, optional
        From a record's key to whether it can be passed over, because what it says is known; called
        in the thread.
    """

    def __init__(
        self,
        settings: Settings,
        topic: str,
        *,
        decode: Callable[[bytes], _T],
        handle: Callable[[list[_T]], None],
        undecodable: Callable[[], None],
        since_ms: int | None = None,
        known: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        self._name = topic
        self._topic = settings.topic(topic)
        self._partitions = settings.partitions
        self._config = consumer_config(settings, f"gateway-{topic}") | {
            "enable.partition.eof": True
        }
        self._decode = decode
        self._handle = handle
        self._undecodable = undecodable
        self._since_ms = since_ms
        self._known = known
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self._behind = set(range(settings.partitions))
        self._thread = threading.Thread(target=self._run, name=f"tail-{topic}", daemon=True)
        self.caught_up = asyncio.Event()
        """Set once the end of every partition was reached."""

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    @property
    def following(self) -> bool:
        """Whether the end was reached once and the topic is still read."""
        return self.caught_up.is_set() and self._thread.is_alive()

    async def stop(self) -> None:
        """Read no more."""
        self._stopped.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        consumer = Consumer(self._config)
        try:
            while not self._stopped.is_set() and not self._assign(consumer):
                self._stopped.wait(_WAIT_SECONDS)
            while not self._stopped.is_set():
                self._take(consumer.consume(_TAKE, _WAIT_SECONDS))
        finally:
            consumer.close()

    def _assign(self, consumer: Consumer) -> bool:
        """Assign all partitions; return False while the broker is away or the topic missing."""
        offset = OFFSET_BEGINNING if self._since_ms is None else self._since_ms
        places = [TopicPartition(self._topic, n, offset) for n in range(self._partitions)]
        try:
            found = consumer.list_topics(self._topic, timeout=_ASK_SECONDS).topics[self._topic]
            if len(found.partitions) != self._partitions:
                return False
            if self._since_ms is not None:
                places = consumer.offsets_for_times(places, timeout=_ASK_SECONDS)
            consumer.assign(places)
        except KafkaException as error:
            _log.debug("topic cannot be followed yet", topic=self._topic, error=str(error))
            return False
        return True

    def _take(self, messages: list[Message]) -> None:
        records: list[_T] = []
        for message in messages:
            error, value = message.error(), message.value()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    self._behind.discard(message.partition() or 0)
            elif value is not None and not self._known(_key(message)):
                records += self._decoded(value, message)
        if records:
            self._deliver(records)
        if not self._behind and not self.caught_up.is_set():
            self._loop.call_soon_threadsafe(self.caught_up.set)

    def _decoded(self, value: bytes, message: Message) -> list[_T]:
        """Return the record; none when it cannot be decoded, or the reader was stopped."""
        while not self._stopped.is_set():
            try:
                return [self._decode(value)]
            except DataError as failure:
                self._undecodable()
                _log.warning(
                    "record passed over",
                    topic=self._topic,
                    partition=message.partition(),
                    offset=message.offset(),
                    error=type(failure).__name__,
                )
                return []
            except UnavailableError:  # the schema registry: the record waits for it
                self._stopped.wait(_PAUSE_SECONDS)
        return []

    def _deliver(self, records: list[_T]) -> None:
        handled = threading.Event()

        def run() -> None:
            try:
                self._handle(records)
            finally:
                handled.set()

        self._loop.call_soon_threadsafe(run)
        while not handled.wait(_WAIT_SECONDS) and not self._stopped.is_set():
            pass


def _key(message: Message) -> bytes:
    key = message.key()
    return key if isinstance(key, bytes) else b""
