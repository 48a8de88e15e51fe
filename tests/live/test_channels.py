"""What channels carry, and that nothing is missed or doubled on the way."""

import asyncio
import base64
import os
import socket as sockets
from typing import Any

import pytest

from app.live import REGISTRY
from app.live.protocol import SUBPROTOCOL
from app.settings import Settings
from tests.live.support import (
    MINUTE,
    Broker,
    alert,
    connected,
    now_ms,
    person,
    samples_in,
    serving,
    token,
)

pytestmark = pytest.mark.servers


def beats(start: int, count: int) -> list[tuple[int, float]]:
    return [(start + 1000 * n, 60.0 + n) for n in range(count)]


async def test_a_snapshot_and_then_what_is_new(server: Settings, broker: Broker) -> None:
    user, now = person(), now_ms()
    early = beats(now - 60_000, 5)
    broker.samples(user, {"heart_rate": early})
    broker.windows(user, "heart_rate", [(now // MINUTE * MINUTE, 62.0)], band=(50.0, 80.0))
    broker.flush()
    async with connected(server) as client:
        await client.subscribe("p", f"person:{user}")
        found = await client.values("heart_rate", lambda f: len(f) >= 5, {})
        later = beats(now, 40)
        for n in range(0, 40, 4):
            broker.samples(user, {"heart_rate": later[n : n + 4], "spo2": [(now + n, 97.0)]})
        broker.samples(person(), {"heart_rate": [(now, 1.0)]})
        broker.flush()
        found = await client.values("heart_rate", lambda f: len(f) >= 45, found)
    assert found == dict(early + later)


async def test_windows_come_as_columns(server: Settings, broker: Broker) -> None:
    user, start = person(), now_ms() // MINUTE * MINUTE
    async with connected(server) as client:
        await client.subscribe("p", f"person:{user}")
        await client.next("snap")
        broker.windows(user, "spo2", [(start, 97.0)], spread=1.0, band=(95.0, 99.0))
        broker.flush()
        rows = (await client.next("data"))["rows"]
    (columns,) = rows["windows"]
    assert columns["metric"] == "spo2"
    assert columns["size"] == "1m"
    assert columns["start"] == [start]
    assert columns["end"] == [start + MINUTE]
    assert (columns["mean"], columns["min"], columns["max"]) == ([97.0], [96.0], [98.0])
    assert (columns["low"], columns["high"]) == ([95.0], [99.0])


async def test_an_unknown_band_is_null(server: Settings, broker: Broker) -> None:
    user = person()
    async with connected(server) as client:
        await client.subscribe("p", f"person:{user}")
        await client.next("snap")
        broker.windows(user, "spo2", [(0, 97.0)])
        broker.flush()
        (columns,) = (await client.next("data"))["rows"]["windows"]
    assert columns["low"] == columns["high"] == [None]


async def test_uploads_that_were_set_aside_are_not_shown(server: Settings, broker: Broker) -> None:
    user = person()
    async with connected(server) as client:
        await client.subscribe("p", f"person:{user}")
        await client.next("snap")
        broker.samples(user, {"heart_rate": [(1000, 1.0)]}, set_aside=True)
        broker.samples(user, {"heart_rate": [(2000, 2.0)]})
        broker.flush()
        assert await client.values("heart_rate", bool, {}) == {2000: 2.0}


async def test_a_reconnected_client_gets_exactly_what_it_missed(
    server: Settings, broker: Broker
) -> None:
    user, now = person(), now_ms()
    async with connected(server) as client:
        await client.subscribe("p", f"person:{user}")
        await client.next("snap")
        broker.samples(user, {"heart_rate": [(now, 1.0)]})
        broker.flush()
        await client.values("heart_rate", bool, {})
        epoch, position = client.epochs["p"], client.positions["p"]
    missed = {now + n: float(n) for n in range(1, 6)}
    for time, value in missed.items():
        broker.samples(user, {"heart_rate": [(time, value)]})
    broker.alert(alert(user, alert_id="11111111-1111-5111-8111-111111111111"))
    broker.flush()
    async with connected(server) as client:
        await client.subscribe("p", f"person:{user}", epoch=epoch, pos=position)
        subbed = await client.next("subbed", "snap")
        assert subbed["t"] == "subbed"
        assert subbed["recovered"] is True
        found: dict[int, float] = {}
        alarms: list[dict[str, Any]] = []
        while len(found) < len(missed) or not alarms:  # they come in either order
            message = await client.next("data", "alarm")
            if message["t"] == "alarm":
                alarms.append(message["alarm"])
            else:
                found |= samples_in(message["rows"], "heart_rate")
        assert found == missed
        assert [alarm["user_id"] for alarm in alarms] == [user]


async def test_a_position_holds_at_a_server_that_has_just_started(
    settings: Settings, broker: Broker
) -> None:
    user, now = person(), now_ms()
    async with serving(settings), connected(settings) as client:
        await client.subscribe("p", f"person:{user}")
        await client.next("snap")
        broker.samples(user, {"heart_rate": [(now, 1.0)]})
        broker.flush()
        await client.values("heart_rate", bool, {})
        epoch, position = client.epochs["p"], client.positions["p"]
    broker.samples(user, {"heart_rate": [(now + 1, 2.0)]})
    broker.flush()
    async with serving(settings), connected(settings) as client:
        await client.subscribe("p", f"person:{user}", epoch=epoch, pos=position)
        assert (await client.next("subbed", "snap"))["t"] == "subbed"
        assert await client.values("heart_rate", bool, {}) == {now + 1: 2.0}


@pytest.mark.parametrize(
    ("epoch", "position"), [("other", "0.0.0"), ("", "0.0.0"), ("same", "0.0"), ("same", "x")]
)
async def test_a_foreign_position_gets_a_snapshot(
    server: Settings, epoch: str, position: str
) -> None:
    async with connected(server) as client:
        await client.subscribe("q", f"person:{person()}")
        await client.next("snap")
        if epoch == "same":
            epoch = client.epochs["q"]
        await client.subscribe("p", f"person:{person()}", epoch=epoch, pos=position)
        assert (await client.next("subbed", "snap"))["t"] == "snap"


async def test_beyond_the_rings_a_snapshot_is_sent(settings: Settings, broker: Broker) -> None:
    small = settings.model_copy(update={"live_ring_records": 3})
    user, now = person(), now_ms()
    async with serving(small), connected(small) as client:
        await client.subscribe("p", f"person:{user}")
        await client.next("snap")
        broker.samples(user, {"heart_rate": [(now, 1.0)]})
        broker.flush()
        await client.values("heart_rate", bool, {})
        epoch, position = client.epochs["p"], client.positions["p"]
        await client.send("unsub", id="p")
        await client.subscribe("watch", f"person:{user}")
        await client.next("snap")
        found: dict[int, float] = {}
        for n in range(1, 7):  # over more than a second: rings are trimmed once a second
            broker.samples(user, {"heart_rate": [(now + n, float(n))]})
            broker.flush()
            await asyncio.sleep(0.25)
            await client.values("heart_rate", lambda f, n=n: now + n in f, found)  # type: ignore[misc]
        await client.subscribe("late", f"person:{user}", epoch=epoch, pos=position)
        answer = await client.next("snap", "subbed")
    assert answer["t"] == "snap"
    assert len(samples_in(answer["state"], "heart_rate")) < 6


async def test_one_message_is_bounded_and_says_what_it_left_out(
    settings: Settings, broker: Broker
) -> None:
    small = settings.model_copy(update={"live_points_max": 100})
    user, now = person(), now_ms()
    series = beats(now - 1_000_000, 250)
    async with serving(small), connected(small) as client:
        await client.subscribe("p", f"person:{user}")
        await client.next("snap")
        broker.samples(user, {"heart_rate": series})
        broker.flush()
        rows = (await client.next("data"))["rows"]
    assert rows["cut"] is True
    assert samples_in(rows, "heart_rate") == dict(series[-100:])


async def test_without_clickhouse_the_snapshot_says_so(server: Settings) -> None:
    async with connected(server) as client:
        await client.subscribe("p", f"person:{person()}")
        state = (await client.next("snap"))["state"]
    assert any("history" in notice for notice in state["notices"])


async def test_the_overview_coalesces_and_carries_the_newest(
    server: Settings, broker: Broker
) -> None:
    user, now = person(), now_ms()
    async with connected(server) as client:
        await client.subscribe("o", "overview:all")
        await client.next("snap")
        for n in range(200):
            broker.samples(user, {"heart_rate": [(now + n, float(n))]})
        broker.flush()
        messages, newest = 0, 0
        while newest < now + 199:
            rows = (await client.next("data"))["rows"]["people"]
            messages += 1
            for row in rows:
                if row["user"] == user:
                    newest = row["metrics"]["heart_rate"]["t"]
    assert messages < 20


async def test_alarms_are_all_delivered_each_with_its_revision(
    server: Settings, broker: Broker
) -> None:
    users = [person() for _ in range(6)]
    async with connected(server) as client:
        await client.subscribe("a", "alerts")
        await client.next("snap")
        sent = set()
        for n in range(300):
            record = alert(users[n % 6], revision=1 + n % 3)
            sent.add((record["alert_id"], record["revision"]))
            broker.alert(record)
        broker.flush()
        got: set[tuple[str, int]] = set()
        while len(got) < len(sent):
            alarm = await client.next("alarm")
            got.add((alarm["alarm"]["alert_id"], alarm["rev"]))
    assert got == sent


async def test_the_overview_knows_who_has_open_alerts(server: Settings, broker: Broker) -> None:
    user = person()
    opened = alert(user)
    resolved = opened | {"status": "resolved", "revision": 2, "resolved_ms": now_ms()}
    async with connected(server) as client:
        await client.subscribe("o", "overview:all")
        await client.next("snap")

        async def state() -> list[str]:
            while True:
                for row in (await client.next("data"))["rows"]["people"]:
                    if row["user"] == user and "alerts" in row:
                        return [a["alert_id"] for a in row["alerts"]]

        broker.alert(opened)
        broker.flush()
        assert await state() == [opened["alert_id"]]
        broker.alert(resolved)
        broker.flush()
        assert await state() == []


async def test_a_client_that_takes_nothing_is_cut_off(settings: Settings, broker: Broker) -> None:
    strict = settings.model_copy(update={"live_slow_seconds": 0.3})
    user, now = person(), now_ms()
    async with serving(strict) as app:
        loop = asyncio.get_running_loop()
        stuck = sockets.socket()
        stuck.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        stuck.setblocking(False)
        await loop.sock_connect(stuck, ("127.0.0.1", strict.port))
        await loop.sock_sendall(stuck, _handshake(strict))
        assert b"101" in await loop.sock_recv(stuck, 100)
        await loop.sock_sendall(stuck, _frame(f'{{"t":"init","token":"{token(strict)}"}}'))
        await loop.sock_sendall(stuck, _frame(f'{{"t":"sub","id":"p","ch":"person:{user}"}}'))
        async with connected(strict) as witness:
            await witness.subscribe("p", f"person:{user}")
            await witness.next("snap")
            async with asyncio.timeout(30):
                n = 0
                while app[REGISTRY].get_sample_value("vitalstream_live_connections") == 2:
                    values = [(now + n * 10_000 + i, 60.123456 + i) for i in range(10_000)]
                    broker.samples(user, {"heart_rate": values})
                    broker.flush()
                    await witness.next("data")
                    n += 1
        stuck.close()
        closed = app[REGISTRY].get_sample_value("vitalstream_live_closed_total", {"code": "1006"})
        assert closed == 1


def _handshake(settings: Settings) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1:{settings.port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    ).encode()


def _frame(text: str) -> bytes:
    """Return a text frame as a client masks it, with a mask of zeros."""
    data = text.encode()
    short = len(data) < 126
    length = bytes([0x80 | len(data)]) if short else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + length + bytes(4) + data
