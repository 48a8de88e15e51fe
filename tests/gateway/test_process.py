"""The gateway as a process: it starts, logs, and stops in good order."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import orjson
import pytest

from app.embedded.ports import free_port
from app.embedded.process import Deadline, spawn, stop
from tests.gateway.support import SECRET, an_upload, deployed, read_uploads
from tests.servers import KafkaServer, answers, wait_until

from app.security import mint_token  # isort: skip

pytestmark = pytest.mark.servers
CODE = "from app.gateway import serve; from app.settings import Settings; serve(Settings())"


def start(bootstrap: str, prefix: str, port: int, log: Path) -> subprocess.Popen[bytes]:
    env = os.environ | {
        "VITALSTREAM_KAFKA_BOOTSTRAP": bootstrap,
        "VITALSTREAM_TOPIC_PREFIX": prefix,
        "VITALSTREAM_PARTITIONS": "3",
        "VITALSTREAM_PORT": str(port),
        "VITALSTREAM_PORT_OFFSET": "0",
        "VITALSTREAM_AUTH_SECRET": SECRET,
        "VITALSTREAM_CLICKHOUSE_URL": f"http://127.0.0.1:{free_port()}",
        "VITALSTREAM_LOG_LEVEL": "DEBUG",
    }
    with log.open("wb") as output:
        return spawn([sys.executable, "-c", CODE], output=output, env=env)


def test_sigterm_ends_it_in_order_and_the_log_holds_no_secret(
    kafka: KafkaServer, tmp_path: Path, user: str
) -> None:
    settings, port = deployed(kafka.bootstrap), free_port()
    log = tmp_path / "gateway.log"
    process = start(kafka.bootstrap, settings.topic_prefix, port, log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/readyz"), "the gateway is ready", 60)
        token = mint_token(settings, "tester", "device", [user])
        upload = an_upload(user, values=[77.125])
        request = urllib.request.Request(  # noqa: S310 - http, our own
            f"{url}/v1/uploads?secret=query",
            data=orjson.dumps(upload),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            assert response.status == 202
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        stop(process, Deadline(5))
    assert sum(len(batch) for _, batch in read_uploads(settings)) == 1
    lines = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    assert {line["process"] for line in lines} == {"gateway"}
    assert "the gateway has stopped" in [line["event"] for line in lines]
    text = log.read_text()
    for secret in (token, "77.125", "secret=query", SECRET):
        assert secret not in text


def test_a_port_in_use_is_said_plainly(kafka: KafkaServer, tmp_path: Path) -> None:
    log, port = tmp_path / "gateway.log", int(kafka.bootstrap.rpartition(":")[2])
    process = start(kafka.bootstrap, "", port, log)
    try:
        assert process.wait(60) == 1
    finally:
        stop(process, Deadline(5))
    assert f"PortInUseError: port {port}" in log.read_text()
