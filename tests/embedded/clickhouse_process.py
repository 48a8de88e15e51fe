"""An embedded ClickHouse in a process of its own, and a plain HTTP client for it."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from app.embedded.ports import free_port
from app.embedded.process import Deadline, last_lines, spawn, stop
from tests.servers import answers, wait_until

WRITER = ("writer", "the writer's password")


@dataclass(slots=True)
class Reply:
    """A response, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def code(self) -> int:
        """ClickHouse's error code; 0: none."""
        return int(self.headers.get("X-ClickHouse-Exception-Code", "0"))


@dataclass(slots=True)
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    directory: Path
    log: Path
    clients: list[Client] = field(default_factory=list)

    def client(self, *, writer: bool = False, **options: str | float) -> Client:
        """Return clickhouse-connect's own client."""
        arguments: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, **options}
        if writer:
            arguments |= {"username": WRITER[0], "password": WRITER[1]}
        client = clickhouse_connect.get_client(**arguments)
        self.clients.append(client)
        return client

    def ask(
        self,
        sql: str | bytes,
        *,
        writer: bool = False,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        **options: str | float,
    ) -> Reply:
        """Send a statement as the body (or in the URL, with GET); ``options`` go into the URL."""
        account = {"X-ClickHouse-User": WRITER[0], "X-ClickHouse-Key": WRITER[1]} if writer else {}
        url: dict[str, Any] = {"query": sql, **options} if method == "GET" else options
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                method,
                f"/?{urlencode(url)}",
                body=None if method == "GET" else sql,
                headers={**account, **(headers or {})},
            )
            response = connection.getresponse()
            return Reply(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def write(self, sql: str | bytes, **options: str | float) -> Reply:
        """Run a writer's statement that must succeed."""
        url: dict[str, Any] = {**options}
        reply = self.ask(sql, writer=True, **url)
        assert reply.status == 200, reply.body
        return reply

    def scalar(self, sql: str) -> str:
        """Return a reader's one value that must be there."""
        reply = self.ask(sql)
        assert reply.status == 200, reply.body
        return reply.text.rstrip("\n")

    def kill(self) -> None:
        """End the process as a power loss would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def start(directory: Path, **settings: str | float) -> Server:
    """Start a server on a free port; it may still be opening its directory."""
    port = int(str(settings.pop("clickhouse_port", 0))) or free_port()
    env = os.environ | {
        "VITALSTREAM_DATA_DIR": str(directory),
        "VITALSTREAM_CLICKHOUSE_PORT": str(port),
        "VITALSTREAM_CLICKHOUSE_PASSWORD": WRITER[1],
        "VITALSTREAM_PORT_OFFSET": "0",
        **{f"VITALSTREAM_{key.upper()}": str(value) for key, value in settings.items()},
    }
    log = directory / f"clickhouse-{port}.log"
    with log.open("ab") as output:
        process = spawn([sys.executable, "-m", "app.cli", "clickhouse"], output=output, env=env)
    return Server(process, port, directory, log)


@contextmanager
def serving(directory: Path, **settings: str | float) -> Iterator[Server]:
    """Run a server until the block ends."""
    server = start(directory, **settings)
    try:
        wait_until(
            lambda: (
                server.process.poll() is not None or answers(f"http://127.0.0.1:{server.port}/ping")
            ),
            "the embedded ClickHouse answers",
        )
        assert server.process.poll() is None, "\n".join(last_lines(server.log))
        yield server
    finally:
        for client in server.clients:
            client.close()
        stop(server.process, Deadline(10))
