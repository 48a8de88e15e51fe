"""Topic ``uploads``: applied to the people's states; windows, alerts and samples go on.

A step applies what has arrived and sends what follows from it, at once. About once a second a
flush writes down the state of everybody who has changed, then how far each partition has been
read, and only then are the records acknowledged. Each of these waits for the broker's
acknowledgement before the next begins. A process that dies in between repeats what was not
flushed from the state before it, and sends the same outputs again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import faust
from confluent_kafka import Message

from agents.failures import Origin, deaths
from agents.step import Counts, Record, Step
from agents.written_state import WrittenState
from app.errors import InvariantError, OverloadedError
from app.kafka.clients import ConfirmedProducer
from app.kafka.dead_ratio import DeadRatio
from app.kafka.effects import complete_or_exit, exit_unfinished
from app.kafka.guard import Arrival, OffsetGuard
from app.settings import Settings
from schemas.catalogue import catalogue
from schemas.codec import Codec
from schemas.topics import ALERTS, SAMPLES, UPLOAD_STATUS, UPLOADS, WINDOWS, WORKER
from tables.apply import Bounds
from tables.days import Calendar
from tables.pool import SAMPLES_MAX
from tables.state import State

_Output = tuple[str, bytes, int, bytes | None, Sequence[tuple[str, bytes]] | None]
"""Topic, value, partition, key, headers."""
SUSPENDED_SECONDS: Final = 7.0
"""A process that stood still for longer may have lost its partitions: it must not write. Less than
the session timeout of the consumer group."""
_TICK_SECONDS: Final = 0.1
_QUIET_SECONDS: Final = 0.2
"""Nothing came for so long: what was applied is written down without waiting for more."""
_FLUSH_SHARE: Final = 10
"""Flushes take at most about one part in so many of the time: the pause between them stretches."""


class UploadsAgent:
    """Applies upload batches.

    Parameters
    ----------
    app : faust.App
        The worker's application.
    settings : Settings
        The deployment.
    codec : Codec
        For the records.
    calendar_of : callable
        Returns a person's days by user id.
    changed_calendars : callable
        Returns the ids of people whose days have changed since it was last asked.
    producer : callable
        Returns the confirmed producer, once the event loop runs.
    dead_ratio : DeadRatio
        Stops a step that sends too much to the dead letters, before anything is sent.
    on_step, on_flush : callable
        Told the counts and the seconds of every step, and the people and seconds of every flush.
    """

    def __init__(
        self,
        app: faust.App,
        settings: Settings,
        *,
        codec: Codec,
        calendar_of: Callable[[str], Calendar],
        changed_calendars: Callable[[], Sequence[str]],
        producer: Callable[[], ConfirmedProducer],
        dead_ratio: DeadRatio,
        on_step: Callable[[Counts, float], None],
        on_flush: Callable[[int, float], None],
    ) -> None:
        self._app = app
        self._settings = settings
        self._codec = codec
        self._calendar_of = calendar_of
        self._changed_calendars = changed_calendars
        self._producer = producer
        self._dead_ratio = dead_ratio
        self._on_step = on_step
        self._on_flush = on_flush
        self._bounds = Bounds(
            settings.live_horizon_seconds * 1000, min(settings.live_samples_max, SAMPLES_MAX)
        )
        self.state = State(len(catalogue()))
        self._written = WrittenState(
            settings, codec, self.state, calendar_of=calendar_of, submit=self._submit
        )
        self.guard = OffsetGuard(settings, WORKER, marked=self._written.mark)
        self._busy = asyncio.Lock()
        self._stream: faust.Stream[bytes] | None = None
        self._held: list[faust.EventT[bytes]] = []
        self._held_bytes = 0
        self._sent: list[asyncio.Future[Message]] = []
        self._touched: set[tuple[str, int]] = set()
        self._flush_at = 0.0
        self._stepped_at = 0.0
        self._alive = time.monotonic()
        topic = app.topic(
            settings.topic(UPLOADS), key_serializer="raw", value_serializer="raw",
            key_type=bytes, value_type=bytes,
        )  # fmt: skip
        app.agent(topic, name="uploads", concurrency=1)(self._run)
        app.on_rebalance_complete.connect(self._rebalanced)
        app.task(self._beat)
        app.task(self._flush_when_due)

    def ready(self) -> bool:
        """Whether the state of all assigned partitions is known."""
        return self._written.knows(self._assigned())

    async def _run(self, stream: faust.StreamT[bytes]) -> None:
        self._stream = cast("faust.Stream[bytes]", stream)
        # Faust's other ways of taking several acknowledge them; here the flush does.
        taken = self._stream.noack_take(
            self._settings.worker_take, within=self._settings.worker_within_seconds
        )
        async for events in taken:
            await complete_or_exit(self._step(cast("Sequence[faust.EventT[bytes]]", events)))

    async def _step(self, events: Sequence[faust.EventT[bytes]]) -> None:
        """Apply records and send what follows from them; the flush waits for the confirmations.

        Raises
        ------
        InvariantError
            If a record was skipped, the process may have lost its partitions, or too much goes
            to the dead letters.
        KafkaUnavailableError
            If the broker did not acknowledge in time.
        """
        async with self._busy:
            started = time.perf_counter()
            records = [_record(event) for event in events]
            await self._written.learn({r.origin.partition for r in records})
            self._take_calendars()
            admitted = [
                record
                for record in records
                if await self.guard.admit(*_place(record)) is Arrival.NEXT
            ]
            step = Step(
                self.state, self._bounds, self._calendar_of, self._codec,
                self._settings.retry_attempts, now_ms=time.time_ns() // 1_000_000,
            )  # fmt: skip
            await step.apply(admitted)
            self._touched.update((r.origin.topic, r.origin.partition) for r in admitted)
            self._held.extend(events)
            self._held_bytes += sum(len(record.value) for record in records)
            self._refuse_if_suspended()
            await self._dead_ratio.admit(
                step.counts.uploads + step.unreadable, deaths(step.rerouted)
            )
            await self._send_outputs(step)
            self._stepped_at = time.monotonic()
            self._on_step(step.counts, time.perf_counter() - started)
            if self._due():
                await self._flush()

    def _take_calendars(self) -> None:
        for user_id in self._changed_calendars():
            self.state.set_calendar(user_id, self._calendar_of(user_id))

    async def _send_outputs(self, step: Step) -> None:
        outputs: list[_Output] = [
            *((SAMPLES, value, partition, None, None) for partition, value in step.stored),
            *((WINDOWS, value, partition, None, None) for partition, value in step.windows),
            *(
                (ALERTS, self._codec.encode("alert", alert.to_record()), partition,
                 alert.user_id.encode(), None)
                for partition, alert in step.alerts
            ),
            *(
                (UPLOAD_STATUS, value, partition, key, None)
                for partition, key, value in step.statuses
            ),
            *((x.topic, x.value, x.partition, None, x.headers) for x in step.rerouted),
        ]  # fmt: skip
        self._sent += [await self._submit(*output) for output in outputs]

    def _due(self) -> bool:
        """Whether what was applied is to be written down now."""
        if not self._held:
            return False
        now = time.monotonic()
        full = self._held_bytes >= self._settings.worker_unacknowledged_bytes
        caught_up = now - self._stepped_at >= _QUIET_SECONDS
        return full or caught_up or now >= self._flush_at or not self._app.flow_control.is_active()

    async def _flush(self) -> None:
        """Wait for the outputs, write down the state, acknowledge the records it has applied."""
        started = time.monotonic()
        await asyncio.gather(*self._sent)
        self._sent.clear()
        self._refuse_if_suspended()
        expected = self.guard.next_offsets()
        people = await self._written.write({place: expected[place] for place in self._touched})
        self._touched.clear()
        held, self._held, self._held_bytes = self._held, [], 0
        assert self._stream is not None, "events came from it"  # noqa: S101
        for event in held:
            await self._stream.ack(event)
        seconds = time.monotonic() - started
        pause = max(self._settings.changelog_seconds, _FLUSH_SHARE * seconds)
        longest = max(self._settings.changelog_seconds, self._settings.changelog_longest_seconds)
        self._flush_at = time.monotonic() + min(pause, longest)
        self._on_flush(people, seconds)

    async def _submit(
        self,
        topic: str,
        value: bytes,
        partition: int,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> "asyncio.Future[Message]":
        while True:
            try:
                return self._producer().submit(
                    topic, value, key=key, partition=partition, headers=headers
                )
            except OverloadedError:  # the producer's bounded queue is full: let it drain
                await asyncio.sleep(0.005)

    def _assigned(self) -> set[int]:
        name = self._settings.topic(UPLOADS)
        return {tp.partition for tp in self._app.consumer.assignment() if tp.topic == name}

    async def _rebalanced(self, *_: object, **__: object) -> None:
        # Another worker may have read on meanwhile; what is written tells.
        await complete_or_exit(self._begin_again())

    async def _begin_again(self) -> None:
        async with self._busy:
            self.guard.forget()
            # What could not be acknowledged before the partitions went will come again.
            await asyncio.gather(*self._sent)
            self._sent.clear()
            self._held, self._held_bytes = [], 0
            self._touched.clear()
            self._written.doubt(keep=self._assigned())
            await self._written.learn(self._assigned())

    async def _beat(self) -> None:
        """Notice that the process stood still; nothing here ever waits for anybody else."""
        self._alive = time.monotonic()
        while True:
            try:
                self._refuse_if_suspended()
            except InvariantError as error:
                exit_unfinished(error)
            self._alive = time.monotonic()
            await asyncio.sleep(_TICK_SECONDS)

    async def _flush_when_due(self) -> None:
        while True:
            if self._due() and not self._busy.locked():
                await complete_or_exit(self._flush_alone())
            await asyncio.sleep(_TICK_SECONDS)

    async def _flush_alone(self) -> None:
        async with self._busy:
            if self._due():
                await self._flush()

    def _refuse_if_suspended(self) -> None:
        """Stop a process that was frozen: by now another may own its partitions.

        Raises
        ------
        InvariantError
            If the event loop stood still for too long.
        """
        still = time.monotonic() - self._alive
        if still > SUSPENDED_SECONDS:
            raise InvariantError(f"the process stood still for {still:.1f} s")


def _record(event: faust.EventT[bytes]) -> Record:
    message = event.message
    headers: Any = message.headers or ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return Record(
        Origin(message.topic, message.partition, message.offset),
        message.value or b"",
        {key: bytes(value or b"") for key, value in pairs},
    )


def _place(record: Record) -> tuple[str, int, int]:
    return record.origin.topic, record.origin.partition, record.origin.offset
