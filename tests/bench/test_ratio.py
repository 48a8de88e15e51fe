"""Regression: the worker's cost an upload against that of decoding alone, in one short run.

By ratio, so that a slow machine does not matter; with a generous bound, so that noise does not.
"""

import time
from pathlib import Path

import pytest

from app.bench.bench import Bench
from app.bench.drain import Committed
from app.bench.workers import Deployment
from benchmarks.loader import Loader
from benchmarks.workload import Workload
from schemas.codec import Codec
from schemas.uploads import decode
from tests.bench.topics import read
from tests.servers import KafkaServer, wait_until

PEOPLE, UPLOADS, PARTITIONS, PER_RECORD = 1_000, 40_000, 2, 200
SLOWEST = 25.0
"""Worker's CPU time an upload over decoding's, at most; about 7 where nothing is wrong."""


def decoding_seconds(values: list[bytes]) -> float:
    codec, started = Codec(), time.thread_time()
    for value in values:
        decode(value, codec)
    return time.thread_time() - started


@pytest.mark.servers
def test_the_worker_keeps_its_ratio_to_the_decode_ceiling(
    kafka: KafkaServer, tmp_path: Path
) -> None:
    bench = Bench(tmp_path, tmp_path, 1, print)
    loader, workload = Loader(kafka.bootstrap), Workload(PEOPLE, PARTITIONS)
    deployment = Deployment(bench, kafka.bootstrap, "ratio-", PARTITIONS)
    worker = deployment.worker(0)
    committed = Committed(kafka.bootstrap, deployment.group, deployment.uploads, PARTITIONS)
    try:
        worker.wait_ready()
        warm = loader.batches(workload, PEOPLE, deployment.uploads, per_record=PER_RECORD)
        records = sum(len(before) - 1 for before in warm.uploads_before)
        wait_until(lambda: sum(committed.offsets()) == records, "the first uploads are done", 60)
        before = worker.process.cpu_seconds()
        more = loader.batches(workload, UPLOADS, deployment.uploads, per_record=PER_RECORD)
        records += sum(len(before) - 1 for before in more.uploads_before)
        wait_until(lambda: sum(committed.offsets()) == records, "all uploads are done", 90)
        spent = worker.process.cpu_seconds() - before
    finally:
        committed.close()
        worker.process.stop()
    values = [v for part in read(kafka.bootstrap, deployment.uploads, PARTITIONS) for v in part]
    ceiling = decoding_seconds(values) / (UPLOADS + PEOPLE)
    loader.delete("ratio-")
    assert spent / UPLOADS < SLOWEST * ceiling, (spent / UPLOADS, ceiling)
