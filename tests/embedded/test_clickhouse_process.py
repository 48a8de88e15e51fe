"""The server as a process: its directory, its stop, its death, its second wall."""

import signal
import socket
import time
from pathlib import Path

import pytest

from app.embedded.process import Deadline, last_lines, stop
from tests.embedded.clickhouse_process import Server, serving, start
from tests.servers import wait_until


def _last_words(server: Server) -> str:
    server.process.wait(20)
    return "\n".join(last_lines(server.log))


def test_a_second_process_is_told_who_holds_the_directory(server: Server) -> None:
    second = start(server.directory)
    words = _last_words(second)
    assert second.process.returncode != 0
    assert f"process (id {server.process.pid})" in words
    assert "Traceback" not in words


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = _last_words(start(tmp_path, clickhouse_port=port))
    assert f"cannot listen on 127.0.0.1:{port}" in words
    assert "VITALSTREAM_CLICKHOUSE_PORT" in words


def test_inserts_that_returned_survive_a_kill(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.write("CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a")
        for number in range(5):
            sql = "INSERT INTO kept SELECT {n:UInt64} * 1000 + number FROM numbers(1000)"
            server.write(sql, param_n=number)
        spool = tmp_path / "clickhouse" / "tmp" / "spool.native"
        spool.write_text("plain data")
        server.kill()
    with serving(tmp_path) as server:
        assert server.scalar("SELECT uniqExact(a), count() FROM kept") == "5000\t5000"
        assert not spool.exists()
        server.write("INSERT INTO kept VALUES (5000)")
        began = time.monotonic()
        assert stop(server.process, Deadline(10)) == 0
        assert time.monotonic() - began < 5
    with serving(tmp_path) as server:
        assert server.scalar("SELECT count() FROM kept") == "5001"


def test_stops_in_time_while_queries_run(tmp_path: Path) -> None:
    sql = b"SELECT sum(sipHash64(number)) FROM numbers(190000000)"
    running = "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sum(sip%'"
    with (
        serving(tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.port)) as client,
    ):
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(sql)}\r\n\r\n"
        client.sendall(head.encode() + sql)
        wait_until(lambda: server.write(running).text == "1\n", "the query runs")
        began = time.monotonic()
        assert stop(server.process, Deadline(10)) == 0
        assert time.monotonic() - began < 5


def test_a_crash_ends_the_process(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.process.send_signal(signal.SIGSEGV)
        assert server.process.wait(10) == -signal.SIGSEGV


@pytest.mark.skipif(not hasattr(signal, "pidfd_send_signal"), reason="Landlock is Linux's")
def test_the_kernel_keeps_the_engine_in(server: Server, tmp_path: Path) -> None:
    """The writer passes no gate; what stops it is the second wall."""
    if "second wall" in server.log.read_text():
        pytest.skip("this kernel has no Landlock")
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    for path in (secret, server.directory / "secrets", "/proc/self/environ", "/etc/hostname"):
        reply = server.ask(
            "SELECT * FROM file({path:String}, LineAsString)", writer=True, param_path=str(path)
        )
        assert reply.status != 200
        assert "SECRET" not in reply.text
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        reply = server.ask(
            "SELECT * FROM url({url:String}, LineAsString)",
            writer=True,
            http_max_tries=1,
            param_url=url,
        )
        assert reply.status != 200
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_what_the_server_writes_is_private(server: Server) -> None:
    root = server.directory / "clickhouse"
    assert root.stat().st_mode & 0o077 == 0
    assert server.scalar("SELECT value FROM system.settings WHERE name = 'async_insert'") == "0"
    assert server.scalar("SELECT timezone()") == "UTC"
    limits = (
        "SELECT value FROM system.server_settings WHERE name IN "
        "('max_server_memory_usage', 'mark_cache_size') ORDER BY name"
    )
    assert server.scalar(limits) == f"{256 << 20}\n{2048 << 20}"
    assert server.scalar("SELECT count() FROM system.databases WHERE engine = 'Overlay'") == "0"
    synced = (
        "SELECT countIf(value = '1') FROM system.merge_tree_settings "
        "WHERE name IN ('fsync_after_insert', 'fsync_part_directory')"
    )
    assert server.scalar(synced) == "2"
