"""A small application as worker and sink are: ``python -m tests.kafka.small_app``.

``FAULT`` says what is wrong with it: ``agent`` (record ``freeze`` is awaited for ever), ``loop``
(record ``freeze`` stops the event loop), ``dead`` (records ``dead`` go to the dead letters),
``rewind`` (nothing is acknowledged, and after record ``rewind`` it begins again, once).
"""

import asyncio
import os
import time
from collections.abc import Sequence
from typing import cast

import faust
import structlog

from app.kafka.clients import ConfirmedProducer
from app.kafka.dead_ratio import DeadRatio
from app.kafka.effects import complete_or_exit
from app.kafka.faust_app import make_faust_app, run_faust_app
from app.logs import configure
from app.settings import Settings
from schemas.topics import UPLOADS, WORKER

_log = structlog.get_logger(__name__)
FAULT = os.environ.get("FAULT", "")


class SmallApp:
    """Takes records and does nothing with them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: ConfirmedProducer | None = None
        self.app = make_faust_app(settings, WORKER)
        self._ratio = DeadRatio(settings, WORKER, self._producer)
        self._rewinding: asyncio.Task[None] | None = None
        topic = self.app.topic(
            settings.topic(UPLOADS), key_serializer="raw", value_serializer="raw",
            key_type=bytes, value_type=bytes,
        )  # fmt: skip
        run = self._run_and_rewind if FAULT == "rewind" else self._run
        self.app.agent(topic, name="small", concurrency=1)(run)

    async def start(self) -> None:
        self._made = ConfirmedProducer(self._settings)
        await self._ratio.wait_until_released()

    async def stop(self) -> None:
        await self._producer().close(1)

    def _producer(self) -> ConfirmedProducer:
        assert self._made is not None
        return self._made

    async def _run(self, stream: faust.StreamT[bytes]) -> None:
        taken = cast("faust.Stream[bytes]", stream).take_events(10, within=0.05)
        async for events in taken:
            await complete_or_exit(self._step([event.value for event in events]))

    async def _run_and_rewind(self, stream: faust.StreamT[bytes]) -> None:
        async for event in cast("faust.Stream[bytes]", stream).noack().events():
            _log.info("taken", value=event.value.decode())
            if event.value == b"rewind" and self._rewinding is None:
                self._rewinding = asyncio.create_task(self.app.consumer.perform_seek())

    async def _step(self, values: Sequence[bytes]) -> None:
        if b"freeze" in values:
            if FAULT == "agent":
                await asyncio.Event().wait()
            if FAULT == "loop":
                time.sleep(3600)  # noqa: ASYNC251 - that is the fault
        dead = values.count(b"dead") if FAULT == "dead" else 0
        await self._ratio.admit(len(values), {"DecodeError": dead} if dead else {})


def main() -> None:
    """Run it with the settings of the environment."""
    settings = Settings()
    configure(settings, "small")
    small = SmallApp(settings)
    run_faust_app(small.app, before=small.start, after=small.stop)


if __name__ == "__main__":
    main()
