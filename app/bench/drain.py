"""How fast a consumer group drains a topic, seen from outside: by its committed offsets.

A consumer of any kind commits an offset when it has done with the records before it, so the
committed offsets say how far it is, in the same way for every subject. What is measured begins
with the first commit behind the warm-up (start, imports and, on the JVM, the just-in-time
compiler's work are over; for who commits too rarely, the last one within it) and ends when
everything is committed. The last commit may wait for its
interval: that counts against the subject, the more the faster it is.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from numpy.typing import NDArray

from app.bench.processes import MeasuredProcess, Together
from app.embedded.process import Deadline
from app.errors import ServerFailedError

_POLL_SECONDS = 0.02
_ELECTING = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError._TIMED_OUT,  # noqa: SLF001  (the name of librdkafka's own code)
)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in a topic.

    Attributes
    ----------
    topic : str
        Its full name.
    uploads_before : tuple of (records + 1,) int64
        Of each partition, how many uploads the records before each offset hold.
    """

    topic: str
    uploads_before: tuple[NDArray[np.int64], ...]

    @property
    def uploads(self) -> int:
        """Uploads in all."""
        return sum(int(before[-1]) for before in self.uploads_before)

    def done(self, offsets: Sequence[int]) -> int:
        """Return how many uploads lie below committed offsets, one a partition."""
        pairs = zip(self.uploads_before, offsets, strict=True)
        return sum(int(before[min(max(offset, 0), len(before) - 1)]) for before, offset in pairs)


@dataclass(frozen=True, slots=True)
class Drained:
    """What was seen while a backlog was drained.

    Attributes
    ----------
    uploads : int
        Uploads between the first commit behind the warm-up and the last.
    seconds, cpu_seconds : float
        Time by the clock, and CPU time of the process, between the two.
    """

    uploads: int
    seconds: float
    cpu_seconds: float


class Committed:
    """Asks how far a group is, without joining it.

    Parameters
    ----------
    bootstrap : str
        The broker.
    group : str
        The group's full name.
    topic : str
        The topic's full name.
    partitions : int
        Its partitions.
    """

    def __init__(self, bootstrap: str, group: str, topic: str, partitions: int) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": group, "log_level": 2}
        )
        self._asked = [TopicPartition(topic, number) for number in range(partitions)]

    def offsets(self) -> list[int]:
        """Return the committed offset of each partition; 0 where there is none."""
        try:
            answers = self._consumer.committed(self._asked, timeout=10)
        except KafkaException as error:
            if error.args[0].code() in _ELECTING:
                return [0] * len(self._asked)
            raise
        return [max(answer.offset, 0) for answer in answers]

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()


def follow(
    bootstrap: str,
    group: str,
    backlog: Backlog,
    process: MeasuredProcess | Together,
    *,
    warm_up: float | None = 0.0,
    timeout: float = 300.0,
) -> Drained:
    """Watch a process until its group has committed a whole backlog.

    Parameters
    ----------
    bootstrap, group : str
        The broker, and the group's full name.
    backlog : Backlog
        What it drains.
    process : MeasuredProcess or Together
        What drains it, running; it still runs afterwards.
    warm_up : float or None, optional
        Share of the backlog that is not measured. None for a process whose commits lag behind its
        work: everything from now on is measured, its start too.
    timeout : float, optional
        Longest wait, in seconds.

    Raises
    ------
    ServerFailedError
        If the process ends, or is not done in time, or commits everything at once, so that there is
        nothing to measure between: the backlog is too small.
    """
    unmeasured = (warm_up or 0.0) * backlog.uploads
    begin, seen = None, 0
    for now in watch(bootstrap, group, backlog, process, timeout=timeout):
        done = now[0]
        if warm_up is None:
            begin = begin or now
        elif seen < done < backlog.uploads and (begin is None or begin[0] <= unmeasured):
            begin = now
        seen = done
    if begin is None:
        raise ServerFailedError(f"{group} committed too rarely to be measured: use more uploads")
    uploads, seconds, cpu = (after - before for before, after in zip(begin, now, strict=True))
    return Drained(int(uploads), seconds, cpu)


def watch(
    bootstrap: str,
    group: str,
    backlog: Backlog,
    process: MeasuredProcess | Together,
    *,
    timeout: float = 300.0,
) -> Iterator[tuple[int, float, float]]:
    """Yield uploads done, time and the process's CPU seconds, until everything is committed.

    Parameters are those of :func:`follow`.

    Raises
    ------
    ServerFailedError
        If the process ends, or is not done in time.
    """
    deadline = Deadline(timeout)
    committed = Committed(bootstrap, group, backlog.topic, len(backlog.uploads_before))
    try:
        while True:
            done = backlog.done(committed.offsets())
            yield done, time.perf_counter(), process.cpu_seconds()
            if done == backlog.uploads:
                return
            if deadline.passed:
                raise process.failure(
                    f"had done {done} of {backlog.uploads} uploads after {timeout:g} s"
                )
            time.sleep(_POLL_SECONDS)
    finally:
        committed.close()
