"""The sink's peer: a loop that inserts rows which are already made."""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from app.clickhouse.client import ClickHouse
from app.sink.records import joined
from app.sink.sample_rows import sample_rows, stored_rows
from schemas.uploads import UploadBatch


@dataclass(frozen=True, slots=True)
class Bare:
    """What a bare loop of inserts reached: samples a second, and CPU time of the client."""

    rows_per_second: float
    cpu_seconds_a_row: float


def bare_inserts(
    database: ClickHouse,
    batches: Sequence[Sequence[UploadBatch]],
    rows_an_insert: int,
    cores: Iterable[int],
) -> Bare:
    """Insert the samples and uploads of batches, in inserts like the sink's, as fast as it goes.

    The first insert is not counted: it opens the connection.

    Parameters
    ----------
    database : ClickHouse
        A migrated database.
    batches : sequence of sequence of UploadBatch
        What is inserted, by partition.
    rows_an_insert : int
        Samples and uploads of a group, at least.
    cores : iterable of int
        Where the loop runs.
    """
    groups = list(_groups(batches, rows_an_insert))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(cores))
    try:
        _insert(database, groups[0])
        began, cpu = time.perf_counter(), time.thread_time()
        for group in groups[1:]:
            _insert(database, group)
        took, cpu = time.perf_counter() - began, time.thread_time() - cpu
    finally:
        os.sched_setaffinity(0, before)
    rows = sum(group[0].num_rows for group in groups[1:])
    return Bare(rows / took, cpu / rows)


def _insert(database: ClickHouse, group: tuple[pa.Table, pa.Table]) -> None:
    for table, rows in zip(("samples_data", "uploads_data"), group, strict=True):
        database.insert(table, rows)


def _groups(
    batches: Sequence[Sequence[UploadBatch]], rows_an_insert: int
) -> Iterable[tuple[pa.Table, pa.Table]]:
    samples: list[pa.Table] = []
    uploads: list[pa.Table] = []
    rows = 0
    now_ms = time.time_ns() // 1_000_000
    for batch in (batch for ours in batches for batch in ours):
        samples.append(sample_rows(batch))
        uploads.append(stored_rows(batch, now_ms))
        rows += samples[-1].num_rows + uploads[-1].num_rows
        if rows >= rows_an_insert:
            yield joined(samples), joined(uploads)
            samples, uploads, rows = [], [], 0
    if samples:
        yield joined(samples), joined(uploads)
