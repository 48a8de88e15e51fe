"""Topic ``uploads``: applied to the people's states; windows, alerts and samples go on.

Order of every step, each acknowledged by the broker before the next begins: outputs, changelog
(people first, the source partitions' marks last), source offsets. A process that dies in between
repeats the step from the state before it, and writes the same outputs again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import faust

from agents.failures import Origin
from agents.step import Counts, Record, Step
from app.errors import InvariantError, OverloadedError
from app.kafka.clients import ConfirmedProducer
from app.kafka.effects import complete_or_exit, exit_unfinished
from app.kafka.guard import Arrival, OffsetGuard
from app.settings import Settings
from schemas.catalogue import Metric
from schemas.codec import Codec
from schemas.topics import (
    ALERTS,
    SAMPLES,
    STATE_CHANGELOG,
    UPLOAD_STATUS,
    UPLOADS,
    WINDOWS,
    WORKER,
)
from tables.binding import StateTable, mark_key, pack_mark
from tables.days import Calendar
from tables.people import Person
from tables.series import Limits

SUSPENDED_SECONDS = 10.0
"""A process that stood still for longer may have lost its partitions: it must not write."""


class UploadsAgent:
    """Applies upload batches.

    Parameters
    ----------
    app : faust.App
        The worker's application.
    settings : Settings
        The deployment.
    metrics : mapping of str to Metric
        The catalogue.
    codec : Codec
        For the records.
    calendar_of : callable
        Returns a person's days by user id.
    producer : callable
        Returns the confirmed producer, once the event loop runs.
    on_step : callable
        Told the counts and the seconds of every step, for the metrics.
    """

    def __init__(
        self,
        app: faust.App,
        settings: Settings,
        *,
        metrics: Mapping[str, Metric],
        codec: Codec,
        calendar_of: Callable[[str], Calendar],
        producer: Callable[[], ConfirmedProducer],
        on_step: Callable[[Counts, float], None],
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._codec = codec
        self._calendar_of = calendar_of
        self._producer = producer
        self._on_step = on_step
        self._limits = Limits(settings.live_horizon_seconds * 1000, settings.live_samples_max)
        self.table = StateTable(
            app, codec, partitions=settings.partitions, cached=settings.state_cache_people
        )
        self.guard = OffsetGuard(settings, WORKER, marked=self.table.mark)
        self._alive = time.monotonic()
        topic = app.topic(
            settings.topic(UPLOADS), key_serializer="raw", value_serializer="raw",
            key_type=bytes, value_type=bytes,
        )  # fmt: skip
        app.agent(topic, name="uploads", concurrency=1)(self._run)
        app.on_rebalance_complete.connect(self._forget)
        app.task(self._tick)

    async def _run(self, stream: faust.StreamT[bytes]) -> None:
        taken = cast("faust.Stream[bytes]", stream).take_events(
            self._settings.worker_take, within=self._settings.worker_within_seconds
        )
        async for events in taken:
            await complete_or_exit(self._step(events))

    async def _step(self, events: Sequence[faust.EventT[bytes]]) -> None:
        """Apply records; when this returns, all that follows from them is confirmed.

        Raises
        ------
        InvariantError
            If a record was skipped, or the process may have lost its partitions.
        KafkaUnavailableError
            If the broker did not acknowledge in time.
        """
        started = time.perf_counter()
        step = Step(
            self._person, self._metrics, self._limits, self._codec,
            self._settings.retry_attempts, now_ms=time.time_ns() // 1_000_000,
        )  # fmt: skip
        partitions = set()
        for event in events:
            record = _record(event)
            origin = record.origin
            arrival = await self.guard.admit(origin.topic, origin.partition, origin.offset)
            if arrival is Arrival.AGAIN:
                continue
            partitions.add((origin.topic, origin.partition))
            step.apply(record)
        self._refuse_if_suspended()
        await self._send_outputs(step)
        self._refuse_if_suspended()
        await self._write_state(step, partitions)
        self._on_step(step.counts, time.perf_counter() - started)

    def _person(self, user_id: str) -> Person:
        calendar = self._calendar_of(user_id)
        return self.table.person(user_id, lambda: calendar).in_calendar(calendar)

    async def _send_outputs(self, step: Step) -> None:
        sends: list[asyncio.Future[object]] = []
        for partition, value in step.stored:
            sends.append(await self._submit(SAMPLES, value, partition))
        for partition, value, _ in step.windows.records(self._codec, now_ms=step.now_ms):
            sends.append(await self._submit(WINDOWS, value, partition))
        for partition, alert in step.alerts:
            value = self._codec.encode("alert", alert.to_record())
            sends.append(await self._submit(ALERTS, value, partition, alert.user_id.encode()))
        for partition, key, value in step.statuses:
            sends.append(await self._submit(UPLOAD_STATUS, value, partition, key))
        for moved in step.rerouted:
            sent = self._submit(moved.topic, moved.value, moved.partition, None, moved.headers)
            sends.append(await sent)
        await asyncio.gather(*sends)

    async def _write_state(self, step: Step, partitions: set[tuple[str, int]]) -> None:
        sends: list[asyncio.Future[object]] = []
        packed = {user_id: self.table.pack(person) for user_id, (person, _) in step.people.items()}
        for user_id, (_, partition) in step.people.items():
            sends.append(
                await self._submit(STATE_CHANGELOG, packed[user_id], partition, user_id.encode())
            )
        expected = self.guard.next_offsets()
        for topic, partition in partitions:
            mark = pack_mark(expected[topic, partition])
            key = mark_key(topic, partition)
            sends.append(await self._submit(STATE_CHANGELOG, mark, partition, key))
        await asyncio.gather(*sends)
        for user_id, (person, partition) in step.people.items():
            self.table.keep(user_id, packed[user_id], person, partition)
        for topic, partition in partitions:
            self.table.keep_mark(topic, partition, expected[topic, partition])

    async def _submit(
        self,
        topic: str,
        value: bytes,
        partition: int,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> "asyncio.Future[object]":
        while True:
            try:
                return self._producer().submit(
                    topic, value, key=key, partition=partition, headers=headers
                )  # type: ignore[return-value]
            except OverloadedError:  # the producer's bounded queue is full: let it drain
                await asyncio.sleep(0.005)

    async def _forget(self, *_: object, **__: object) -> None:
        # Another worker may have read on meanwhile; the recovered table's marks tell.
        self.guard.forget()

    async def _tick(self) -> None:
        self._alive = time.monotonic()
        while True:
            try:
                self._refuse_if_suspended()
            except InvariantError as error:
                exit_unfinished(error)
            self._alive = time.monotonic()
            await asyncio.sleep(0.25)

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
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return Record(
        Origin(message.topic, message.partition, message.offset),
        message.value or b"",
        {key: bytes(value) for key, value in pairs},
    )
