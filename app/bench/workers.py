"""Workers of the product, as processes, on a deployment of their own."""

import time
import urllib.error
import urllib.request

from app.bench.bench import Bench
from app.bench.processes import MeasuredProcess
from app.embedded.ports import free_port
from app.embedded.process import Deadline
from app.kafka.admin import create_topics
from app.settings import Settings
from schemas.topics import STATE_CHANGELOG, UPLOADS, WORKER

_POLL_SECONDS = 0.05
_PROBE_SECONDS = 2.0


class Deployment:
    """Topics under a prefix, and the workers that share them.

    Parameters
    ----------
    bench : Bench
        Surroundings.
    bootstrap : str
        The broker.
    prefix : str
        Put before every topic and group.
    partitions : int
        Partitions of every topic; the topics are created.
    """

    def __init__(self, bench: Bench, bootstrap: str, prefix: str, partitions: int) -> None:
        self._bench, self._bootstrap = bench, bootstrap
        self._prefix, self._partitions = prefix, partitions
        create_topics(
            Settings(kafka_bootstrap=bootstrap, topic_prefix=prefix, partitions=partitions)
        )
        self.group = prefix + WORKER
        self.uploads = prefix + UPLOADS
        self.changelog = prefix + STATE_CHANGELOG

    def worker(self, number: int) -> "Worker":
        """Start a worker; it does not wait until it is ready."""
        port = free_port()
        environment = self._bench.environment(
            self._bootstrap,
            topic_prefix=self._prefix,
            partitions=self._partitions,
            worker_id=number,
            metrics_port=port,
        )
        return Worker(self._bench.product("worker", environment), port)


class Worker:
    """A running worker.

    Attributes
    ----------
    process : MeasuredProcess
        It.
    """

    def __init__(self, process: MeasuredProcess, port: int) -> None:
        self.process = process
        self._url = f"http://127.0.0.1:{port}/readyz"

    def ready(self) -> bool:
        """Whether it says that it has its partitions and its state."""
        self.process.check()
        try:
            with urllib.request.urlopen(self._url, timeout=_PROBE_SECONDS) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Block until it is ready.

        Raises
        ------
        ServerFailedError
            If it ends, or is not ready in time.
        """
        deadline = Deadline(seconds)
        while not self.ready():
            if deadline.passed:
                raise self.process.failure(f"was not ready after {seconds:g} s")
            time.sleep(_POLL_SECONDS)
