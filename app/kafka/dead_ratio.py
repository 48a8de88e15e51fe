"""The limit on the dead-letter ratio: stop and say why, instead of draining a topic.

A systematic fault (a schema that is not known, a bug in a rule) would send every upload to the dead
letters, one after the other. So when too large a part of the recent uploads goes there, the process
stops before it acknowledges, and stays stopped after it has been started again, until an operator
lets its group go on. See ``docs/decisions/0010-dead-letter-limit.md``.
"""

import asyncio
import platform
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from prometheus_client import Gauge

from app.errors import DeadRatioError, KafkaUnavailableError, OverloadedError
from app.kafka.clients import ConfirmedProducer
from app.kafka.holds import HOLDS, Hold, encode, standing
from app.settings import Settings
from schemas.topics import partition_of

_log = structlog.get_logger(__name__)
_BUCKETS: Final = 60
_MOST_KINDS: Final = 20
_ASK_SECONDS: Final = 2.0
_REMIND_SECONDS: Final = 60.0

RATIO: Final = Gauge(
    "vitalstream_dead_ratio", "Part of the recent uploads that went to the dead letters."
)
HELD: Final = Gauge(
    "vitalstream_held", "Whether consumption is stopped because of the dead-letter ratio."
)


class DeadWindow:
    """Counts uploads and dead letters of the last while, in a bounded number of buckets.

    Parameters
    ----------
    seconds : float
        Length of the window; it slides by a sixtieth of it.
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._width = seconds / _BUCKETS
        self._clock = clock
        self._buckets: deque[tuple[int, int, Counter[str]]] = deque()

    def add(self, uploads: int, dead: Mapping[str, int]) -> None:
        """Count uploads, the dead ones among them, and the dead ones by class of their error."""
        now = int(self._clock() / self._width)
        if not self._buckets or self._buckets[-1][0] != now:
            self._buckets.append((now, 0, Counter()))
        at, before, kinds = self._buckets.pop()
        for kind, count in dead.items():
            kinds[kind if kind in kinds or len(kinds) < _MOST_KINDS else "others"] += count
        self._buckets.append((at, before + uploads, kinds))
        self._expire(now)

    def totals(self) -> tuple[int, Counter[str]]:
        """Return the uploads in the window, and the dead ones among them by class of error."""
        self._expire(int(self._clock() / self._width))
        kinds: Counter[str] = Counter()
        for _, _, part in self._buckets:
            kinds.update(part)
        return sum(uploads for _, uploads, _ in self._buckets), kinds

    def _expire(self, now: int) -> None:
        while self._buckets and self._buckets[0][0] <= now - _BUCKETS:
            self._buckets.popleft()


class DeadRatio:
    """Asked by every step before it sends anything; asked at the start whether the group is held.

    Parameters
    ----------
    settings : Settings
        The limit, and the deployment.
    group : str
        Consumer group, without the deployment's prefix.
    producer : callable
        Returns the confirmed producer, once the event loop runs.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        producer: Callable[[], ConfirmedProducer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._group = group
        self._producer = producer
        self._window = DeadWindow(settings.dead_ratio_seconds, clock)
        self._hold: Hold | None = None

    async def admit(self, uploads: int, dead: Mapping[str, int]) -> None:
        """Count a step, and refuse it when too many uploads die.

        Parameters
        ----------
        uploads : int
            All uploads of the step, the dead ones included; a record that does not decode is one.
        dead : mapping of str to int
            Those that are going to the dead letters, by class of error; without those that an
            operator had replayed.

        Raises
        ------
        DeadRatioError
            If the limit is passed: the step must not be acknowledged, and its dead letters must
            not be written. The group is held from now on.
        """
        self._window.add(uploads, dead)
        total, kinds = self._window.totals()
        ratio = kinds.total() / total if total else 0.0
        RATIO.set(ratio)
        if total < self._settings.dead_ratio_uploads or ratio <= self._settings.dead_ratio_limit:
            return
        reason = self._words(total, kinds)
        _log.critical("too many dead letters, consumption stops", group=self._group, why=reason)
        self._hold = Hold(
            self._group, "held", time.time_ns() // 1_000_000, platform.node(), reason,
            total, kinds.total(), dict(kinds.most_common()),
        )  # fmt: skip
        HELD.set(1)
        await self._write(self._hold)
        raise DeadRatioError(reason)

    async def wait_until_released(self) -> None:
        """Return when the group may consume; while it is held, wait, and say so every minute.

        Raises
        ------
        ConfigurationError
            If topic ``holds`` does not exist.
        """
        reminded = float("-inf")
        while True:
            try:
                self._hold = await asyncio.to_thread(standing, self._settings, self._group)
            except KafkaUnavailableError as error:
                _log.warning("not known yet whether the group is held", error=str(error))
            else:
                HELD.set(self._hold is not None)
                if self._hold is None:
                    return
                if time.monotonic() - reminded >= _REMIND_SECONDS:
                    reminded = time.monotonic()
                    _log.critical("consumption is stopped", **self.health())
            await asyncio.sleep(_ASK_SECONDS)

    @property
    def held(self) -> bool:
        """Whether consumption is stopped."""
        return self._hold is not None

    def health(self) -> dict[str, Any]:
        """Return what ``/readyz`` tells: why consumption is stopped, or the ratio as it is."""
        hold = self._hold
        if hold is not None:
            return {
                "held": True, "group": hold.group, "since_ms": hold.at_ms, "why": hold.reason,
                "uploads": hold.uploads, "dead": hold.dead, "kinds": dict(hold.kinds),
                "do": f"repair the fault, then: vitalstream dlq resume {hold.group} --reason TEXT",
            }  # fmt: skip
        total, kinds = self._window.totals()
        return {"held": False, "uploads": total, "dead": kinds.total(), "kinds": dict(kinds)}

    def _words(self, total: int, kinds: Counter[str]) -> str:
        dead = kinds.total()
        named = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        return (
            f"{dead} of {total} uploads ({dead / total:.0%}) of the last"
            f" {self._settings.dead_ratio_seconds:g} s were going to the dead letters ({named});"
            f" the limit is {self._settings.dead_ratio_limit:.0%}"
        )

    async def _write(self, hold: Hold) -> None:
        partition = partition_of(self._group, self._settings.partitions)
        try:
            await self._producer().send(HOLDS, encode(hold), key=self._group, partition=partition)
        except (KafkaUnavailableError, OverloadedError) as error:
            # The process stops all the same; started again, it counts from nothing.
            _log.error("the hold could not be written", error=str(error))
