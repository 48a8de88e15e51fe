"""A real Apache Kafka broker (KRaft, one node) as a child process."""

import base64
import logging
import os
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from app.embedded.jars import ensure_jars
from app.embedded.java import find_java
from app.embedded.kafka_config import log_properties, server_properties
from app.embedded.ports import accepts, ensure_port_free, free_port
from app.embedded.process import Deadline, kill, last_lines, spawn, stop
from app.errors import ServerFailedError
from app.settings import Settings

_log = logging.getLogger(__name__)
_WILDCARDS = {"0.0.0.0", "::", ""}  # noqa: S104  (recognized, not bound)
_POLL_SECONDS = 0.05
_LINES_TOLD = 12
_FORMAT = ["kafka.tools.StorageTool", "format", "--ignore-formatted"]


class EmbeddedKafka:
    """One broker with its data in one directory.

    Its storage is formatted once; later starts, also after a ``kill -9``, find the same topics,
    records and offsets. The child cannot outlive this process (Linux).

    Parameters
    ----------
    data_dir
        Everything the broker keeps; made when missing.
    port, host
        Where clients connect.
    controller_port
        Loopback port of the KRaft controller; 0: any free one, chosen at each start.
    heap_mb
        Java heap in MiB.
    java
        The Java program; by default the pinned one (:func:`app.embedded.java.find_java`).
    log_path
        The broker's log; by default ``server.log`` in ``data_dir``. Bounded to about 20 MB.
    progress
        Called with a line of text at each step of a start that takes long.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int,
        host: str = "127.0.0.1",
        controller_port: int = 0,
        heap_mb: int = 512,
        java: Path | None = None,
        log_path: Path | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        self._directory = data_dir.absolute()
        self._host, self._port, self._controller_port = host, port, controller_port
        self._heap_mb, self._java = heap_mb, java
        self._progress = progress
        self._process: subprocess.Popen[bytes] | None = None
        self.log_path = (log_path or self._directory / "server.log").absolute()

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients."""
        return f"{self._advertised}:{self._port}"

    @property
    def pid(self) -> int:
        """Process id of the running broker.

        Raises
        ------
        ServerFailedError
            When it was not started.
        """
        if self._process is None:
            raise ServerFailedError("the Kafka broker was not started")
        return self._process.pid

    @property
    def output_path(self) -> Path:
        """What the Java process itself writes, which is little: it logs to ``log_path``."""
        return self._directory / "java.out"

    def prepare(self) -> list[str]:
        """Fetch, configure and format what is missing; return the command that runs the broker.

        Raises
        ------
        PortInUseError
            When another program listens on the port.
        ServerFailedError
            When archives cannot be fetched or the storage cannot be formatted.
        ConfigurationError
            When there is no usable Java.
        """
        ensure_port_free(
            self._host, self._port, what="The Kafka broker", setting="VITALSTREAM_KAFKA_PORT"
        )
        java = find_java(self._java)
        class_path = os.pathsep.join(map(str, ensure_jars(progress=self._progress)))
        data = self._directory / "data"
        data.mkdir(parents=True, exist_ok=True)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._server_properties.write_text(
            server_properties(
                data=data,
                host=self._host,
                port=self._port,
                controller_port=self._controller_port or free_port(),
                advertised=self._advertised,
            )
        )
        log_config = self._directory / "log4j2.properties"
        log_config.write_text(log_properties(self.log_path))
        command = [
            java,
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={log_config}",
            "-cp",
            class_path,
        ]
        if not (data / "meta.properties").exists():
            self._format(command)
        return [
            command[0],
            f"-Xmx{self._heap_mb}m",
            f"-Xms{min(self._heap_mb, 128)}m",
            *command[1:],
            "kafka.Kafka",
            str(self._server_properties),
        ]

    def start(self, timeout: float = 60) -> None:
        """Start the broker and block until it answers a client; fetching is not in ``timeout``.

        Raises
        ------
        PortInUseError
            When another program listens on the port.
        ServerFailedError
            When it ended or did not become ready; carries its own last lines.
        """
        if self._process is not None and self._process.poll() is None:
            return
        command = self.prepare()
        with self.output_path.open("wb") as output:
            self._process = spawn(command, output=output)
        try:
            self._wait_until_ready(self._process, Deadline(timeout))
        except BaseException:
            self.kill()
            raise

    def ready(self, timeout: float = 1.0) -> bool:
        """Whether the broker answers a metadata request and counts itself as alive."""
        if not accepts(self._reachable, self._port):
            return False
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}, logger=_log)
        try:
            return bool(client.list_topics(timeout=timeout).brokers)
        except KafkaException:
            return False

    def failure(self, what: str) -> ServerFailedError:
        """Return an error that explains itself with the broker's own last lines."""
        lines = last_lines(self.log_path, 300, 1 << 16) + last_lines(self.output_path)
        # What is indented is stack frames and dumps of settings; the messages say why.
        messages = [line for line in lines if not line.startswith("\t")]
        told = "\n  ".join(messages[-_LINES_TOLD:]) or "(it wrote nothing)"
        return ServerFailedError(f"{what}; its last lines:\n  {told}\nmore in {self.log_path}")

    def stop(self, timeout: float = 10) -> None:
        """Stop the broker cleanly; kill it when that takes longer than ``timeout`` seconds."""
        if self._process is not None:
            stop(self._process, Deadline(timeout))

    def kill(self) -> None:
        """End the broker with SIGKILL."""
        if self._process is not None:
            kill(self._process)

    def wait(self) -> int:
        """Block until the broker ends; return its exit code."""
        return 0 if self._process is None else self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _reachable(self) -> str:
        return "127.0.0.1" if self._host in _WILDCARDS else self._host

    @property
    def _advertised(self) -> str:
        return self._reachable

    @property
    def _server_properties(self) -> Path:
        return self._directory / "server.properties"

    def _format(self, command: list[str]) -> None:
        if self._progress is not None:
            self._progress("formatting Kafka storage")
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # A format that was interrupted left files, but not the last one: run it again over them.
        formatted = subprocess.run(
            [*command, *_FORMAT, f"--cluster-id={cluster}", "-c", str(self._server_properties)],
            capture_output=True,
            text=True,
            check=False,
        )
        if formatted.returncode != 0:
            said = (formatted.stdout + formatted.stderr).strip()
            raise ServerFailedError(f"Kafka storage could not be formatted:\n  {said}")

    def _wait_until_ready(self, process: subprocess.Popen[bytes], deadline: Deadline) -> None:
        while not self.ready(min(1.0, max(0.1, deadline.remaining))):
            if (code := process.poll()) is not None:
                raise self.failure(f"the Kafka broker ended with code {code}")
            if deadline.passed:
                raise self.failure("the Kafka broker did not become ready")
            time.sleep(_POLL_SECONDS)


def kafka_of(settings: Settings, progress: Callable[[str], None] | None = None) -> EmbeddedKafka:
    """Return the broker of an instance: data in ``DATA_DIR/kafka``, log in ``DATA_DIR/log``."""
    return EmbeddedKafka(
        settings.data_dir / "kafka",
        port=settings.kafka_port + settings.port_offset,
        host=settings.host,
        heap_mb=settings.kafka_heap_mb,
        java=settings.java,
        log_path=settings.data_dir / "log" / "kafka.log",
        progress=progress,
    )
