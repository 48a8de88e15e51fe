"""``vitalstream bench state``: what the state of many people costs, and how fast it is back.

A worker takes in uploads of all people, is stopped and started again, and is at last killed while
a second one stands by: how long until that has done what arrived at the moment of the kill.
"""

import time

import numpy as np
from confluent_kafka import Consumer, TopicPartition
from pydantic import BaseModel, Field

from app.bench.bench import Bench
from app.bench.drain import Backlog, watch
from app.bench.result import Figure, Ratio, Result, Table, find
from app.bench.workers import Deployment, Worker
from app.embedded.process import Deadline
from app.errors import ServerFailedError
from benchmarks.loader import Loader
from benchmarks.workload import LEVELS, Workload

_BYTES, _MEMORY, _RESTART, _TAKE_OVER = "bytes", "GB", "restart s", "take-over s"
_READ_SECONDS = 60.0
_TAKE_OVER_NOTE = (
    "Take-over: from the kill until uploads that arrived at that moment in every partition are "
    "applied and committed by the worker that stood by."
)


class Parameters(BaseModel):
    """What can be chosen."""

    users: int = Field(100_000, gt=0, description="People.")
    metrics: int = Field(3, gt=0, le=len(LEVELS), description="Metrics of each.")
    samples: int = Field(60, gt=0, description="Samples of each metric in an upload, at 1 Hz.")
    uploads: int = Field(2, gt=0, description="Uploads of each person.")
    partitions: int = Field(4, gt=0, description="Partitions of every topic.")
    per_record: int = Field(200, gt=0, description="Uploads in a record.")


QUICK = {"users": 5_000}


def measure(bench: Bench, parameters: Parameters) -> Result:
    """Measure everything."""
    table = Table()
    subject = f"{parameters.users:,} people x {parameters.metrics} metrics"
    with bench.kafka() as bootstrap:
        for repeat in range(bench.repeats):
            bench.say(f"repeat {repeat + 1} of {bench.repeats}")
            _measure_once(bench, bootstrap, f"r{repeat}-", parameters, (subject, table))
    figures = table.figures()
    return Result(
        title="State of one worker",
        figures=figures,
        ratios=(
            _limit(figures, subject, _BYTES, "changelog, bytes a person and metric", 4096),
            _limit(figures, subject, _MEMORY, "worker's memory, GB", 1.5),
            _limit(figures, subject, _RESTART, "restart until ready, s", 15),
            _limit(figures, subject, _TAKE_OVER, "kill -9 until a second worker is done, s", 20),
        ),
        notes=(
            "Bytes are those of each person's latest changelog value, over the metrics.",
            f"A series has got {parameters.uploads * parameters.samples} samples.",
            _TAKE_OVER_NOTE,
        ),
    )


def _limit(
    figures: tuple[Figure, ...], subject: str, quantity: str, name: str, most: float
) -> Ratio:
    return Ratio(name, find(figures, subject, quantity).values, at_most=most)


def _measure_once(
    bench: Bench, bootstrap: str, prefix: str, p: Parameters, into: tuple[str, Table]
) -> None:
    subject, table = into
    loader = Loader(bootstrap)
    deployment = Deployment(bench, bootstrap, prefix, p.partitions)
    workload = Workload(
        p.users, p.partitions, samples=p.samples, metrics=tuple(LEVELS)[: p.metrics]
    )
    bench.say(f"filling a topic with {p.users * p.uploads:,} uploads")
    backlog = loader.batches(
        workload, p.users * p.uploads, deployment.uploads, per_record=p.per_record
    )
    workers: list[Worker] = []
    try:
        workers.append(first := deployment.worker(0))
        for _ in watch(bootstrap, deployment.group, backlog, first.process, timeout=600):
            pass  # until all of it is committed
        table.add(subject, _MEMORY, first.process.rss_bytes() / 1e9)
        size = _changelog_bytes(bootstrap, deployment.changelog, p.partitions)
        table.add(subject, _BYTES, size / (p.users * p.metrics))
        first.process.stop()

        started = time.monotonic()
        workers.append(again := deployment.worker(0))
        again.wait_ready()
        table.add(subject, _RESTART, time.monotonic() - started)
        table.add(subject, "GB after restart", again.process.rss_bytes() / 1e9)

        workers.append(second := deployment.worker(1))
        second.wait_ready()
        again.process.kill()
        killed = time.monotonic()
        more = loader.batches(workload, min(p.users, 2_000), deployment.uploads, per_record=50)
        everything = _both(backlog, more)
        for _ in watch(bootstrap, deployment.group, everything, second.process, timeout=120):
            pass
        table.add(subject, _TAKE_OVER, time.monotonic() - killed)
    finally:
        for worker in workers:
            worker.process.stop()
    loader.delete(prefix)


def _both(one: Backlog, then: Backlog) -> Backlog:
    """Return a topic's backlog after more was written behind it."""
    pairs = zip(one.uploads_before, then.uploads_before, strict=True)
    return Backlog(one.topic, tuple(np.concatenate([a, a[-1] + b[1:]]) for a, b in pairs))


def _changelog_bytes(bootstrap: str, topic: str, partitions: int) -> int:
    """Return the bytes of the latest value of every key, keys included."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "bench-reader", "enable.auto.commit": False}
    )
    sizes: dict[tuple[int, bytes], int] = {}
    try:
        for number in range(partitions):
            here = TopicPartition(topic, number, 0)
            _, end = consumer.get_watermark_offsets(here, timeout=10)
            consumer.assign([here])
            deadline = Deadline(_READ_SECONDS)
            position = 0
            while position < end:
                if deadline.passed:
                    raise ServerFailedError(f"{topic} could not be read in {_READ_SECONDS:g} s")
                for message in consumer.consume(1000, timeout=0.2):
                    key, value = message.key() or b"", message.value() or b""
                    sizes[number, key] = len(key) + len(value)
                    position = (message.offset() or 0) + 1
                # Compaction may have taken the last records of the log.
                position = max(position, consumer.position([here])[0].offset)
    finally:
        consumer.close()
    return sum(sizes.values())
