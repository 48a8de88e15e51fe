"""The liveness watchdog: a process that no longer acknowledges anything ends, and is started again.

Faust can stop without a word: an agent that waits for ever, an event loop that stands still, a
rebalance that does not end, while heartbeats from another thread keep the partitions. What counts
is what the broker knows: the committed offsets of the partitions that this process owns. Where
records wait and the offset does not move for too long, the process ends at once and acknowledges
nothing.

A thread does this with a consumer that never joins the group, so that it sees what the event loop
does not. (The administration client is not used: it may crash while a group's coordinator is being
elected, librdkafka 2.16.)
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from prometheus_client import Gauge

from app.errors import StalledError
from app.kafka.clients import consumer_config
from app.kafka.effects import EXIT_UNFINISHED, exit_unfinished
from app.settings import Settings

_log = structlog.get_logger(__name__)
_TIMEOUT: Final = 10.0
_ROUNDS: Final = 10
"""Looks within the time that a partition may stand still."""
_LONGEST_PAUSE: Final = 5.0
_SETTLING: Final = 5
"""How many times longer a rebalance, or the recovery of state, may show no sign of progress."""
_LAST_WORDS: Final = 3.0

STALLED: Final = Gauge(
    "vitalstream_stalled_seconds",
    "Longest time for which a partition with waiting records has acknowledged none.",
)
Place = tuple[str, int]
"""Topic, with the deployment's prefix, and partition."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """What the application says of itself.

    Attributes
    ----------
    assigned : frozenset of Place
        Source partitions that it owns.
    settled : bool
        Whether no rebalance is going on and all state has been recovered.
    settling : object
        While it is not: something that changes as long as that comes on.
    """

    assigned: frozenset[Place]
    settled: bool
    settling: object = None


@dataclass(slots=True)
class Progress:
    """Since when each thing stands still; a clock and observations in, reasons to end out.

    Parameters
    ----------
    limit : float
        How long a partition with waiting records may stand still, seconds.
    """

    limit: float
    _since: dict[Place, tuple[int, float]] = field(default_factory=dict)
    _settling: tuple[object, float] | None = None

    def wait(self) -> None:
        """Note that waiting is right: every time begins afresh."""
        self._since.clear()
        self._settling = None

    def settling(self, sign: object, now: float) -> str | None:
        """Take in that partitions or state are on their way; return why to end, or None."""
        self._since.clear()
        if self._settling is None or self._settling[0] != sign:
            self._settling = sign, now
        still = now - self._settling[1]
        if still <= self.limit * _SETTLING:
            return None
        return f"a rebalance or the recovery of state has not moved for {still:.0f} s"

    def moving(
        self, committed: Mapping[Place, int], ends: Callable[[Place], int], now: float
    ) -> str | None:
        """Take in the committed offsets of the partitions owned; return why to end, or None.

        Parameters
        ----------
        committed : mapping of Place to int
            Committed offset of every partition owned.
        ends : callable
            Returns the offset of the next record to be written; asked only where nothing moved.
        now : float
            Monotonic seconds.
        """
        self._settling = None
        for place in self._since.keys() - committed.keys():
            del self._since[place]
        for place, offset in committed.items():
            before = self._since.get(place)
            if before is None or before[0] != offset or ends(place) <= offset:
                self._since[place] = offset, now
        if not self._since:
            return None
        place, (offset, at) = min(self._since.items(), key=lambda item: item[1][1])
        if now - at <= self.limit:
            return None
        return f"{place[0]}-{place[1]}: nothing acknowledged beyond {offset} for {now - at:.0f} s"

    def longest(self, now: float) -> float:
        """Return for how long the slowest partition has stood still, seconds."""
        return max((now - at for _, at in self._since.values()), default=0.0)


class Watchdog:
    """Looks every few seconds whether a process gets on; a thread.

    Parameters
    ----------
    settings : Settings
        ``stall_seconds`` is how long a partition may stand still.
    group : str
        Consumer group, without the deployment's prefix.
    streaming : callable
        Returns what the application says of itself; called in the watchdog's thread.
    waiting : callable
        Returns why it is right to stand still (a database that is away), or None.
    ping : callable
        Called with a function that the event loop has to call soon.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        *,
        streaming: Callable[[], Streaming],
        waiting: Callable[[], str | None],
        ping: Callable[[Callable[[], None]], object],
    ) -> None:
        self._settings = settings
        self._group = group
        self._streaming = streaming
        self._waiting = waiting
        self._ping = ping
        self._limit = settings.stall_seconds
        self._progress = Progress(self._limit)
        self._answered = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._answered = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Look no more; does not wait for a look that is under way."""
        self._stopped.set()

    def _run(self) -> None:
        consumer = Consumer(consumer_config(self._settings, self._group))
        try:
            while not self._stopped.wait(min(self._limit / _ROUNDS, _LONGEST_PAUSE)):
                try:
                    reason = self._look(consumer)
                except Exception as error:  # noqa: BLE001 - one look that fails must not be the last
                    _log.error("the watchdog could not look", error=repr(error))
                    continue
                STALLED.set(self._progress.longest(time.monotonic()))
                if reason is not None and not self._stopped.is_set():
                    end_stalled(reason)
        finally:
            consumer.close()

    def _look(self, consumer: Consumer) -> str | None:
        self._ping(self._answer)
        silent = time.monotonic() - self._answered
        if silent > self._limit:
            return f"the event loop has stood still for {silent:.0f} s"
        if self._waiting() is not None:
            self._progress.wait()
            return None
        said = self._streaming()
        if not said.settled:
            return self._progress.settling(said.settling, time.monotonic())
        try:
            committed = _committed(consumer, said.assigned)
            return self._progress.moving(
                committed, lambda place: _end(consumer, place), time.monotonic()
            )
        except KafkaException as error:
            # Nobody can acknowledge anything while the broker is away.
            _log.warning("the watchdog has no answer from Kafka", error=str(error))
            self._progress.wait()
            return None

    def _answer(self) -> None:
        self._answered = time.monotonic()


def end_stalled(reason: str) -> NoReturn:
    """Say where every thread stands, and end the process without acknowledging anything."""
    # What stands still may hold the lock of the log: the process ends even so.
    last = threading.Timer(_LAST_WORDS, os._exit, args=(EXIT_UNFINISHED,))
    last.daemon = True
    last.start()
    faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr, all_threads=True)
    exit_unfinished(StalledError(reason))


def _committed(consumer: Consumer, places: Iterable[Place]) -> dict[Place, int]:
    """Return the committed offset of each place; 0 where there is none."""
    asked = [TopicPartition(*place) for place in places]
    found = consumer.committed(asked, timeout=_TIMEOUT) if asked else []
    offsets = {}
    for one in found:
        if one.error is not None:
            raise KafkaException(one.error)
        offsets[one.topic, one.partition] = max(one.offset, 0)
    return offsets


def _end(consumer: Consumer, place: Place) -> int:
    low, high = consumer.get_watermark_offsets(TopicPartition(*place), timeout=_TIMEOUT)
    # Nothing is left to read, whatever was acknowledged.
    return 0 if low >= high else int(high)
