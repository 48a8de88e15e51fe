"""Whether Kafka answers: asked in the background, so that no request finds out by waiting."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import structlog
from confluent_kafka import KafkaException

from app.errors import KafkaUnavailableError
from app.kafka.admin import admin
from app.settings import Settings
from schemas.topics import TOPICS

_log = structlog.get_logger(__name__)
_ASK_SECONDS: Final = 2.0
_PAUSE_UP: Final = 2.0
_PAUSE_DOWN: Final = 0.5


class Broker:
    """The broker's health as last seen.

    Parameters
    ----------
    settings : Settings
        The deployment.
    on_change : callable, optional
        Told whether it is up, whenever that was asked.

    Attributes
    ----------
    up : bool
        Whether the broker answered when last asked. Until first asked: no.
    missing : tuple of str
        Topics of the deployment that did not exist then, or have another number of partitions.
    """

    def __init__(self, settings: Settings, on_change: Callable[[bool], None] | None = None) -> None:
        self._settings = settings
        self._admin = admin(settings)
        self._on_change = on_change or (lambda _: None)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.up = False
        self.missing: tuple[str, ...] = ()

    def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._watch(), name="kafka-health")

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def require(self) -> None:
        """Raise KafkaUnavailableError when the broker is known to be away."""
        if not self.up:
            raise KafkaUnavailableError("Kafka does not answer; nothing was taken")

    def failed(self) -> None:
        """Note that a record was not acknowledged: away, until the broker answers again."""
        self._set(False)
        self._wake.set()

    def _set(self, up: bool) -> None:
        if up != self.up:
            _log.info("Kafka answers" if up else "Kafka is away")
        self.up = up
        self._on_change(up)

    async def _watch(self) -> None:
        while True:
            try:
                counts = await asyncio.to_thread(self._ask)
                self.missing = tuple(
                    topic.name
                    for topic in TOPICS
                    if counts.get(self._settings.topic(topic.name)) != self._settings.partitions
                )
                self._set(True)
            except KafkaException:
                self._set(False)
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _PAUSE_UP if self.up else _PAUSE_DOWN)

    def _ask(self) -> dict[str, int]:
        topics = self._admin.list_topics(timeout=_ASK_SECONDS).topics
        return {name: len(topic.partitions) for name, topic in topics.items()}
