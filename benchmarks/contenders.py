"""What ``vitalstream bench stream`` compares: each subject, its topics and its command."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field

from app.bench.bench import Bench
from app.bench.drain import Backlog
from app.bench.subjects import Subject
from app.kafka.admin import create_topics
from app.settings import Settings
from benchmarks.environments import quix_python, quix_version
from benchmarks.java import compiler, kafka_streams, kafka_streams_version
from benchmarks.loader import Loader
from benchmarks.workload import Workload
from schemas.topics import UPLOADS, WORKER

KAFKA_STREAMS, QUIX, FAUST = "Kafka Streams", "Quix Streams", "Faust, as its guide"
CEILING_ONE = "decode alone, 1 a record"
_SINGLES = "uploads-one-a-record"
_UPLOAD_SCHEMA = Path(__file__).parents[1] / "schemas" / "avsc" / "upload" / "v1.avsc"
_SHARES = {"worker": 4.0, KAFKA_STREAMS: 4.0, QUIX: 0.5, FAUST: 0.06, "ceiling": 2.0}
_FEWEST = {KAFKA_STREAMS: 600_000, FAUST: 24_000}
"""The JVM's compilers need as many to be done; Faust's commits lag by up to a second."""
_LARGE = {"max.message.bytes": str(8 << 20)}


class Parameters(BaseModel):
    """What can be chosen."""

    uploads: int = Field(
        200_000,
        gt=0,
        description="Size of the workload; each subject drains a share that takes it some seconds.",
    )
    users: int = Field(1_000, gt=0, description="People.")
    samples: int = Field(60, gt=0, description="Samples an upload, at 1 Hz.")
    partitions: int = Field(4, gt=0, description="Partitions of every topic.")
    per_record: int = Field(200, gt=0, description="Uploads in a record of the product.")
    more_per_record: tuple[int, ...] = Field(
        (1, 10, 50), description="Further sizes of the product's records."
    )
    warm_up: float = Field(
        0.5, ge=0, lt=1, description="First share of every backlog, which is not measured."
    )
    only: tuple[str, ...] = Field(
        (), description="Only subjects whose names contain one of these, such as worker or Quix."
    )


def worker_name(per_record: int) -> str:
    """Return the row of the worker with records of a size."""
    return f"worker, {per_record} a record"


def batch_ceiling_name(per_record: int) -> str:
    """Return the row of the decode ceiling of the product's records."""
    return f"decode alone, {per_record} a record, columnar"


def wanted(name: str, only: tuple[str, ...]) -> bool:
    """Return whether a subject was chosen."""
    return not only or any(part.lower() in name.lower() for part in only)


@dataclass(frozen=True, slots=True)
class Contender:
    """A subject to be: made anew for each repeat, so that it starts without any state.

    Attributes
    ----------
    name : str
        Row of the table.
    uploads : int
        How many it drains.
    prepare : callable
        Given a prefix of names and the number of uploads, fills what it needs and returns it.
    """

    name: str
    uploads: int
    prepare: Callable[[str, int], tuple[Subject, Backlog]]


class Contenders:
    """The subjects of a run, and the topics that they read."""

    def __init__(self, bench: Bench, bootstrap: str, parameters: Parameters) -> None:
        self._bench, self._bootstrap, self._parameters = bench, bootstrap, parameters
        self._workload = Workload(
            parameters.users, parameters.partitions, samples=parameters.samples
        )
        self._singles: dict[int, tuple[str, Backlog]] = {}
        self.loader = Loader(bootstrap)
        self.notes: tuple[str, ...] = ()

    def all(self) -> list[Contender]:
        """Return the subjects that this machine can run."""
        p = self._parameters
        sizes = (p.per_record, *p.more_per_record)
        found = [
            Contender(worker_name(size), self._share("worker", size), self._worker(size))
            for size in sizes
        ]
        if wanted(KAFKA_STREAMS, p.only):
            found += self._kafka_streams()
        if wanted(QUIX, p.only):
            python = quix_python(self._bench)
            found.append(Contender(QUIX, self._share(QUIX), self._quix(python)))
            self.notes += (f"Quix Streams {quix_version()}.",)
        found.append(Contender(FAUST, self._share(FAUST), self._faust))
        found.append(Contender(CEILING_ONE, self._share("ceiling"), self._ceiling_one))
        name = batch_ceiling_name(p.per_record)
        found.append(Contender(name, self._share("worker"), self._ceiling_batches(p.per_record)))
        return found

    def _share(self, subject: str, per_record: int = 200) -> int:
        """Return how many uploads a subject drains: a slow one fewer, so that each takes seconds.

        The product's own smaller records cost more each: a share that falls with them.
        """
        scale = min(1.0, 0.1 + per_record / 200)
        return max(
            round(self._parameters.uploads * _SHARES[subject] * scale), _FEWEST.get(subject, 20_000)
        )

    def _single(self, uploads: int) -> Backlog:
        """Return a topic of one upload a record; slow subjects get a shorter one."""
        if uploads not in self._singles:
            topic = f"{_SINGLES}-{uploads}"
            self.loader.create(topic, self._parameters.partitions)
            self._bench.say(f"filling a topic with {uploads:,} uploads, one a record")
            backlog = self.loader.singles(self._workload, uploads, topic)
            self._singles[uploads] = topic, backlog
        return self._singles[uploads][1]

    def _batches(self, prefix: str, uploads: int, per_record: int) -> Backlog:
        return self.loader.batches(self._workload, uploads, prefix + UPLOADS, per_record=per_record)

    def _worker(self, per_record: int) -> Callable[[str, int], tuple[Subject, Backlog]]:
        def prepare(prefix: str, uploads: int) -> tuple[Subject, Backlog]:
            settings = Settings(
                kafka_bootstrap=self._bootstrap,
                topic_prefix=prefix,
                partitions=self._parameters.partitions,
            )
            create_topics(settings)
            backlog = self._batches(prefix, uploads, per_record)
            environment = self._bench.environment(
                self._bootstrap, topic_prefix=prefix, partitions=self._parameters.partitions
            )
            command = [sys.executable, "-m", "app.cli", "worker"]
            name = worker_name(per_record)
            return Subject(name, prefix + WORKER, command, environment), backlog

        return prepare

    def _kafka_streams(self) -> list[Contender]:
        javac = compiler()
        if javac is None:
            self.notes += ("Kafka Streams was left out: there is no Java compiler (javac).",)
            return []
        command = kafka_streams(self._bench, javac)
        self.notes += (f"Kafka Streams {kafka_streams_version()}.",)

        def prepare(prefix: str, uploads: int) -> tuple[Subject, Backlog]:
            backlog = self._single(uploads)
            group, output = f"{prefix}streams", f"{prefix}minutes"
            self.loader.create(output, self._parameters.partitions)
            state = str(self._bench.directory / group)
            arguments = [self._bootstrap, group, backlog.topic, output, state, "memory"]
            return self._subject(KAFKA_STREAMS, group, [*command, *arguments]), backlog

        return [Contender(KAFKA_STREAMS, self._share(KAFKA_STREAMS), prepare)]

    def _quix(self, python: str) -> Callable[[str, int], tuple[Subject, Backlog]]:
        script = str(Path(__file__).parent / "quix" / "minute_windows.py")

        def prepare(prefix: str, uploads: int) -> tuple[Subject, Backlog]:
            backlog = self._single(uploads)
            group, output = f"{prefix}quix", f"{prefix}minutes"
            self.loader.create(output, self._parameters.partitions)
            state = str(self._bench.directory / group)
            arguments = [
                self._bootstrap, group, backlog.topic, output, state, str(_UPLOAD_SCHEMA),
            ]  # fmt: skip
            return self._subject(QUIX, group, [python, script, *arguments]), backlog

        return prepare

    def _faust(self, prefix: str, uploads: int) -> tuple[Subject, Backlog]:
        backlog, partitions = self._single(uploads), self._parameters.partitions
        group = f"{prefix}faust"
        changelog = {"cleanup.policy": "compact"}
        self.loader.create(f"{group}-minutes-changelog", partitions, **changelog)
        directory = str(self._bench.directory / group)
        arguments = [self._bootstrap, group, backlog.topic, str(partitions), directory]
        return self._subject(
            FAUST, group, self._module("benchmarks.faust_agent", arguments)
        ), backlog

    def _ceiling_one(self, prefix: str, uploads: int) -> tuple[Subject, Backlog]:
        backlog, group = self._single(uploads), f"{prefix}ceiling"
        arguments = [self._bootstrap, group, backlog.topic, "uploads"]
        command = self._module("benchmarks.ceiling", arguments)
        return self._subject(CEILING_ONE, group, command), backlog

    def _ceiling_batches(self, per_record: int) -> Callable[[str, int], tuple[Subject, Backlog]]:
        def prepare(prefix: str, uploads: int) -> tuple[Subject, Backlog]:
            group = f"{prefix}ceiling"
            self.loader.create(prefix + UPLOADS, self._parameters.partitions, **_LARGE)
            backlog = self._batches(prefix, uploads, per_record)
            arguments = [self._bootstrap, group, backlog.topic, "batches"]
            command = self._module("benchmarks.ceiling", arguments)
            return self._subject(batch_ceiling_name(per_record), group, command), backlog

        return prepare

    def _module(self, name: str, arguments: list[str]) -> list[str]:
        return [sys.executable, "-m", name, *arguments]

    def _subject(self, name: str, group: str, command: list[str]) -> Subject:
        return Subject(name, group, command, self._bench.environment(self._bootstrap))
