"""The workload is the same however it is packed, and its backlogs count uploads by offset."""

from collections import Counter
from io import BytesIO

import fastavro
import numpy as np

from app.bench.drain import Backlog
from benchmarks.loader import Loader
from benchmarks.workload import LEVELS, Workload
from schemas import registry
from schemas.codec import Codec
from schemas.topics import partition_of
from schemas.uploads import decode
from tests.bench.topics import read
from tests.servers import KafkaServer

WORKLOAD = Workload(users=30, partitions=2, samples=5, metrics=("heart_rate", "spo2"))
UPLOADS = 100


def test_singles_and_batches_hold_the_same_uploads(kafka: KafkaServer) -> None:
    loader, codec = Loader(kafka.bootstrap), Codec()
    loader.create("bench-singles", 2)
    loader.create("bench-batches", 2)
    ones = loader.singles(WORKLOAD, UPLOADS, "bench-singles")
    many = loader.batches(WORKLOAD, UPLOADS, "bench-batches", per_record=7)
    assert ones.uploads == many.uploads == UPLOADS

    schema = registry.latest("upload").parsed
    singles: Counter[tuple[str, str, bytes, bytes]] = Counter()
    for number, values in enumerate(read(kafka.bootstrap, "bench-singles", 2)):
        for value in values:
            upload = fastavro.schemaless_reader(BytesIO(value[5:]), schema, None)
            assert isinstance(upload, dict)
            assert partition_of(upload["user_id"], 2) == number
            for series in upload["series"]:
                key = upload["user_id"], series["metric"], series["times"], series["values"]
                singles[key] += 1
    batches: Counter[tuple[str, str, bytes, bytes]] = Counter()
    for number, values in enumerate(read(kafka.bootstrap, "bench-batches", 2)):
        sizes = [len(decode(value, codec)) for value in values]
        assert np.array_equal(np.cumsum([0, *sizes]), many.uploads_before[number])
        for value in values:
            batch = decode(value, codec)
            edges = batch.series_start
            for row, upload in enumerate(batch.series_upload.tolist()):
                inside = slice(edges[row], edges[row + 1])
                user = batch.users[batch.upload_user[upload]]
                metric = batch.metrics[batch.series_metric[row]]
                times, values_ = batch.times[inside], batch.values[inside]
                batches[user, metric, times.tobytes(), values_.tobytes()] += 1
    assert singles == batches
    loader.delete("bench-")


def test_the_same_seed_gives_the_same_uploads() -> None:
    one, two = (list(WORKLOAD.turns(UPLOADS)) for _ in range(2))
    assert sum(len(turn.people) for turn in one) == UPLOADS
    for left, right in zip(one, two, strict=True):
        assert np.array_equal(left.ids, right.ids)
        assert np.array_equal(left.values, right.values)


def test_a_person_s_uploads_follow_one_another() -> None:
    turns = list(WORKLOAD.turns(UPLOADS))
    step = WORKLOAD.samples * WORKLOAD.interval_ms
    assert np.array_equal(turns[1].times[:, 0] - turns[0].times[:, 0], np.full(30, step))
    assert set(WORKLOAD.metrics) <= set(LEVELS)


def test_committed_offsets_say_how_many_uploads_are_done() -> None:
    backlog = Backlog("t", (np.array([0, 5, 12]), np.array([0, 3])))
    assert backlog.uploads == 15
    assert backlog.done([0, 0]) == 0
    assert backlog.done([1, 1]) == 8
    assert backlog.done([2, 9]) == 15
