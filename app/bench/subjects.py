"""Subjects: consumer groups that drain a backlog, each measured in the same way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from app.bench.bench import Bench
from app.bench.drain import Backlog, follow
from app.bench.result import Table

CLOCK: Final = "uploads/s"
CPU: Final = "uploads/CPU-s"
MEMORY: Final = "peak MB"


@dataclass(frozen=True, slots=True)
class Subject:
    """A process that drains a backlog as one consumer group.

    Attributes
    ----------
    name : str
        Row of the table.
    group : str
        Its consumer group, full name.
    command : sequence of str
        What runs it.
    environment : mapping of str to str
        Its whole environment.
    """

    name: str
    group: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)


def run_subject(
    bench: Bench,
    bootstrap: str,
    subject: Subject,
    backlog: Backlog,
    *,
    warm_up: float | None,
    table: Table,
) -> None:
    """Start a subject, watch it drain its backlog, stop it; add its figures to the table.

    Raises
    ------
    ServerFailedError
        As :func:`app.bench.drain.follow` does.
    """
    process = bench.start(subject.name, subject.command, subject.environment)
    try:
        seen = follow(bootstrap, subject.group, backlog, process, warm_up=warm_up)
        memory = process.peak_rss_bytes()
    finally:
        process.stop()
    table.add(subject.name, CLOCK, seen.uploads / seen.seconds)
    table.add(subject.name, CPU, seen.uploads / max(seen.cpu_seconds, 0.01))
    table.add(subject.name, MEMORY, memory / 1e6)
    bench.say(
        f"{subject.name}: {seen.uploads / seen.seconds:,.0f} uploads/s, "
        f"{seen.uploads / max(seen.cpu_seconds, 0.01):,.0f} a CPU-second"
    )
