"""The sink against a bare loop of inserts, and live data while an import is stored.

Throughput: records of topic ``samples`` wait in Kafka; the sink drains them. The bare loop inserts
the same rows, already made, into the same server: what no sink of one connection can beat.

Delay: live uploads come ten times a second; from their receipt until the broker has the status that
says that they are stored. Once alone, once while old samples are imported for which every window
has to be computed from storage.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Producer
from pydantic import BaseModel, Field, SecretStr

from app.bench.bench import Bench
from app.bench.processes import MeasuredProcess
from app.bench.result import Ratio, Result, Table, ratio
from app.clickhouse.client import ClickHouse, writer
from app.clickhouse.migrate import migrate
from app.embedded.process import Deadline
from app.kafka.admin import create_topics
from app.kafka.clients import producer_config
from app.settings import Settings
from benchmarks.clickhouse_server import clickhouse_server
from benchmarks.sink_bare import bare_inserts
from benchmarks.sink_live import Live
from benchmarks.sink_workload import Shape, Workload
from schemas.topics import SAMPLES

_PARTITIONS = 6
_START_SECONDS = 120.0
_DRAIN_SECONDS = 1800.0
_DAY_MS = 86_400_000
_STORED = (
    "SELECT sum(rows) AS n FROM system.parts"
    " WHERE active AND database = currentDatabase() AND table = 'samples_data'"
)
_WINDOWS = "SELECT count() AS windows, sum(count) AS samples FROM windows_1m"


class Parameters(BaseModel):
    """What is stored."""

    uploads: int = Field(50_000, gt=0, description="Uploads that are drained for throughput.")
    users: int = Field(1_000, gt=0, description="Whose they are.")
    samples: int = Field(60, gt=0, description="Samples of an upload.")
    record: int = Field(100, gt=0, description="Uploads that share a record.")
    live_seconds: float = Field(20, gt=0, description="How long live delays are measured.")
    import_samples: int = Field(
        2_000_000, gt=0, description="Old samples that are imported meanwhile."
    )
    import_users: int = Field(20, gt=0, description="Whose they are.")


QUICK: dict[str, float] = {"uploads": 10_000, "live_seconds": 4, "import_samples": 120_000}


def measure(bench: Bench, parameters: Parameters) -> Result:
    """Measure throughput and live delay of one sink."""
    table = Table()
    (bench.directory / "data").mkdir()
    with bench.kafka() as bootstrap, clickhouse_server(bench) as (url, password):
        for number in range(bench.repeats):
            place = _Place(bench, bootstrap, url, password, number)
            _throughput(place, parameters, table)
            _delay(place, parameters, table)
    figures = table.figures()
    return Result(
        title="Sink: rows a second of one process, and live delay beside an import",
        figures=figures,
        ratios=(
            ratio(figures, "rows/s", "sink", "bare inserts", at_least=0.8),
            ratio(figures, "live delay p99, s", "live, with an import", "live alone"),
            *(
                Ratio(f"{one.subject}: {one.quantity}", one.values, at_most=4.0)
                for one in figures
                if one.quantity == "bytes a sample"
            ),
        ),
        notes=(
            f"{parameters.samples} samples an upload, {parameters.record} uploads a record",
            "bare inserts: one connection, the sink's own batches, already made",
            f"import: {parameters.import_samples:,} late samples in {parameters.live_seconds:g} s",
        ),
        charted="rows/s",
    )


@dataclass(frozen=True)
class _Place:
    """A deployment of its own for each repeat."""

    bench: Bench
    bootstrap: str
    url: str
    password: str
    number: int

    def settings(self, subject: str) -> Settings:
        name = f"bench_{subject}_{self.number}"
        made = Settings(
            _env_file=None,
            data_dir=self.bench.directory / "data",
            kafka_bootstrap=self.bootstrap,
            clickhouse_url=self.url,
            clickhouse_password=SecretStr(self.password),
            clickhouse_database=name,
            topic_prefix=f"{name}-",
            partitions=_PARTITIONS,
            metrics_port=0,
        )
        migrate(made)
        create_topics(made)
        return made

    @contextmanager
    def sink(self, settings: Settings) -> Iterator[MeasuredProcess]:
        environment = self.bench.environment(
            self.bootstrap,
            clickhouse_url=self.url,
            clickhouse_password=self.password,
            clickhouse_database=settings.clickhouse_database,
            topic_prefix=settings.topic_prefix,
            partitions=_PARTITIONS,
        )
        process = self.bench.product("sink", environment)
        try:
            yield process
        finally:
            process.stop()


def _throughput(place: _Place, parameters: Parameters, table: Table) -> None:
    shape = Shape(
        parameters.uploads, parameters.users, parameters.samples, parameters.record,
        start_ms=_today_ms(),
    )  # fmt: skip
    workload = Workload(shape, _PARTITIONS)
    batches = workload.everything()
    settings = place.settings("sink")
    database = writer(settings)
    place.bench.say(f"repeat {place.number + 1}: {parameters.uploads:,} uploads wait for the sink")
    producer = Producer(producer_config(settings, delivery_seconds=60))
    for partition, ours in enumerate(batches):
        for batch in ours:
            producer.produce(settings.topic(SAMPLES), workload.record(batch), partition=partition)
            producer.poll(0)
    producer.flush()
    total = sum(len(batch.times) for ours in batches for batch in ours)
    with place.sink(settings) as sink:
        first, began, cpu = _until(database, sink, 1, _START_SECONDS)
        last, ended, cpu_ended = _until(database, sink, total, _DRAIN_SECONDS)
    table.add("sink", "rows/s", (last - first) / (ended - began))
    table.add("sink", "CPU µs/row", (cpu_ended - cpu) / (last - first) * 1e6)
    database.close()
    database = writer(place.settings("bare"))
    place.bench.say(f"repeat {place.number + 1}: the same rows in a bare loop")
    bare = bare_inserts(database, batches, settings.sink_max_rows, place.bench.cores.measured)
    table.add("bare inserts", "rows/s", bare.rows_per_second)
    table.add("bare inserts", "CPU µs/row", bare.cpu_seconds_a_row * 1e6)
    database.command("OPTIMIZE TABLE samples_data FINAL")
    table.add("samples_data", "bytes a sample", _bytes_a_sample(database))
    database.close()


def _delay(place: _Place, parameters: Parameters, table: Table) -> None:
    settings = place.settings("delay")
    database = writer(settings)
    with place.sink(settings) as sink, Live(settings, _PARTITIONS) as live:
        live.warm_up(sink.check)
        place.bench.say(f"repeat {place.number + 1}: live uploads alone")
        _add_delays(table, "live alone", live.run(parameters.live_seconds))
        place.bench.say(f"repeat {place.number + 1}: live uploads beside an import")
        uploads = parameters.import_samples // parameters.samples
        days = -(-uploads * parameters.samples // parameters.import_users // 86_400)
        shape = Shape(
            uploads, parameters.import_users, parameters.samples, parameters.record,
            start_ms=_today_ms() - (10 + days) * _DAY_MS, late=True, seed=2,
        )  # fmt: skip
        workload = Workload(shape, _PARTITIONS)
        old = [
            (partition, workload.record(batch))
            for partition, ours in enumerate(workload.everything())
            for batch in ours
        ]
        order = np.random.default_rng(3).permutation(len(old))
        delays = live.run(parameters.live_seconds, beside=[old[k] for k in order])
        _add_delays(table, "live, with an import", delays)
        began = time.perf_counter()
        _until_caught_up(database, sink)
        table.add("live, with an import", "windows done after, s", time.perf_counter() - began)
        imported = uploads * parameters.samples
        [found] = database.rows(
            f"{_WINDOWS} WHERE window_start < fromUnixTimestamp64Milli({{until:Int64}})",
            {"until": _today_ms() - 5 * _DAY_MS},
        )
        table.add("import", "samples missing in windows", float(imported - found["samples"]))
    database.close()


def _add_delays(table: Table, subject: str, seconds: list[float]) -> None:
    table.add(subject, "live delay p50, s", float(np.percentile(seconds, 50)))
    table.add(subject, "live delay p99, s", float(np.percentile(seconds, 99)))


def _until(
    database: ClickHouse, sink: MeasuredProcess, rows: int, seconds: float
) -> tuple[int, float, float]:
    """Wait until so many samples are stored; return their number, the time and the CPU time."""
    deadline = Deadline(seconds)
    while not deadline.passed:
        [found] = database.rows(_STORED)
        now, cpu = time.perf_counter(), sink.cpu_seconds()
        if found["n"] >= rows:
            return int(found["n"]), now, cpu
        time.sleep(0.02)
    raise sink.failure(f"did not store {rows:,} samples within {seconds:g} s")


def _until_caught_up(database: ClickHouse, sink: MeasuredProcess) -> None:
    deadline = Deadline(_DRAIN_SECONDS)
    while not deadline.passed:
        [found] = database.rows("SELECT requests FROM backfill")
        if found["requests"] == 0:
            return
        sink.check()
        time.sleep(0.1)
    raise sink.failure(f"did not compute the late windows within {_DRAIN_SECONDS:g} s")


def _bytes_a_sample(database: ClickHouse) -> float:
    [found] = database.rows(
        "SELECT sum(bytes_on_disk) / sum(rows) AS bytes FROM system.parts"
        " WHERE active AND database = currentDatabase() AND table = 'samples_data'"
    )
    return float(found["bytes"])


def _today_ms() -> int:
    return int(time.time()) * 1000 // _DAY_MS * _DAY_MS
