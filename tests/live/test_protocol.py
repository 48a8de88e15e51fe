"""The conversation: introduction, who may see what, refusals, limits."""

import asyncio

import aiohttp
import pytest

from app.live import protocol
from app.live.access import COOKIE
from app.live.protocol import SUBPROTOCOL, MessageError, Subscribe
from app.live.throttle import Throttle
from app.security import mint_token
from app.settings import Settings
from tests.live.support import (
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


def url(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.port}/v1/live"


async def close_code_after(settings: Settings, *messages: str) -> int | None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url(settings), protocols=(SUBPROTOCOL,)) as socket,
    ):
        for message in messages:
            await socket.send_str(message)
        async with asyncio.timeout(15):
            async for _ in socket:
                pass
        return socket.close_code


async def test_an_introduction_is_acknowledged(server: Settings) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url(server), protocols=(SUBPROTOCOL,)) as socket,
    ):
        assert socket.protocol == SUBPROTOCOL
        await socket.send_json({"t": "init", "token": token(server)})
        ack = await socket.receive_json(timeout=10)
        assert ack["t"] == "ack"
        assert ack["ping_s"] == server.live_ping_seconds
        assert abs(ack["server_ts"] - now_ms()) < 10_000


@pytest.mark.parametrize(
    "message",
    ['{"t": "init"}', '{"t": "init", "token": "x.y.z"}', '{"t": "ping"}', "nonsense"],
)
async def test_without_a_token_that_holds_the_door_is_closed(
    server: Settings, message: str
) -> None:
    assert await close_code_after(server, message) == 4401


async def test_devices_write_and_do_not_read(server: Settings) -> None:
    message = f'{{"t": "init", "token": "{token(server, "device", ["someone"])}"}}'
    assert await close_code_after(server, message) == 4403


async def test_silence_is_not_waited_for(server: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "INIT_SECONDS", 0.1)
    assert await close_code_after(server) == 4408


async def test_the_session_cookie_speaks_for_a_page(server: Settings) -> None:
    async with (
        aiohttp.ClientSession(cookies={COOKIE: token(server)}) as session,
        session.ws_connect(
            url(server), protocols=(SUBPROTOCOL,), origin=f"http://127.0.0.1:{server.port}"
        ) as socket,
    ):
        await socket.send_json({"t": "init"})
        assert (await socket.receive_json(timeout=10))["t"] == "ack"


async def test_pages_of_other_origins_are_refused(server: Settings) -> None:
    async with aiohttp.ClientSession(cookies={COOKIE: token(server)}) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(url(server), origin="http://elsewhere.example")
        assert refused.value.status == 403


async def test_a_person_sees_only_their_own_data(server: Settings, broker: Broker) -> None:
    mine, other = person(), person()
    async with connected(server, token(server, "user", [mine])) as client:
        await client.subscribe("o", f"person:{other}")
        refused = await client.next("error")
        assert (refused["id"], refused["code"]) == ("o", "forbidden")

        await client.subscribe("everyone", "overview:all")
        await client.next("snap")
        await client.subscribe("a", "alerts")
        await client.next("snap")
        now = now_ms()
        broker.samples(other, {"heart_rate": [(now, 99.0)]})
        broker.alert(alert(other))
        broker.flush()
        broker.samples(mine, {"heart_rate": [(now, 61.0)]})
        broker.alert(alert(mine))
        broker.flush()
        seen: list[str] = []
        about: list[str] = []
        while mine not in seen or not about:
            message = await client.next("data", "alarm")
            if message["t"] == "alarm":
                about.append(message["alarm"]["user_id"])
            else:
                seen += [row["user"] for row in message["rows"].get("people", [])]
        assert other not in seen
        assert about == [mine]


async def test_a_subscription_id_is_used_once(server: Settings) -> None:
    async with connected(server) as client:
        await client.subscribe("a", "alerts")
        await client.subscribe("a", "pipeline")
        assert await client.closed() == 4409


async def test_subscriptions_are_limited(server: Settings) -> None:
    async with connected(server) as client:
        for n in range(server.live_subscriptions_max + 1):
            await client.subscribe(str(n), f"person:{n}")
        assert await client.closed() == 4429


async def test_commands_are_limited(server: Settings) -> None:
    async with connected(server) as client:
        for _ in range(protocol.COMMANDS_BURST + 40):
            await client.send("ping")
        assert await client.closed() == 4429


async def test_long_messages_are_refused(server: Settings) -> None:
    async with connected(server) as client:
        await client.send("ping", filler="x" * protocol.MESSAGE_MAX_BYTES)
        assert await client.closed() == 1009


async def test_what_is_not_understood_is_said_and_survived(server: Settings) -> None:
    async with connected(server) as client:
        await client.send("sub", id="a", ch="kitchen")
        error = await client.next("error")
        assert (error["id"], error["code"]) == ("a", "bad_message")
        await client.socket.send_str("[1, 2")
        assert (await client.next("error"))["msg"] == "not JSON"
        await client.send("ping")
        await client.next("pong")


async def test_an_expired_token_ends_the_conversation(settings: Settings) -> None:
    impatient = settings.model_copy(update={"live_ping_seconds": 0.2})
    # The verifier grants thirty seconds for clocks that differ.
    short = mint_token(settings, "tester", "admin", ttl_seconds=-29)
    async with serving(impatient), connected(impatient, short) as client:
        assert await client.closed() == 4401


async def test_after_unsubscribing_nothing_comes(server: Settings, broker: Broker) -> None:
    one, two = person(), person()
    async with connected(server) as client:
        await client.subscribe("one", f"person:{one}")
        await client.next("snap")
        await client.send("unsub", id="one")
        await client.subscribe("two", f"person:{two}")
        await client.next("snap")
        broker.samples(one, {"heart_rate": [(now_ms(), 1.0)]})
        broker.flush()
        broker.samples(two, {"heart_rate": [(now_ms(), 2.0)]})
        broker.flush()
        message = await client.next("data")
        while not samples_in(message["rows"], "heart_rate"):
            message = await client.next("data")
        assert message["id"] == "two"


async def test_the_pipeline_tells_its_figures(server: Settings, broker: Broker) -> None:
    async with connected(server) as client:
        await client.subscribe("p", "pipeline")
        state = (await client.next("snap"))["state"]
        broker.samples(person(), {"heart_rate": [(now_ms(), 61.0)]})
        broker.flush()
        while not (state["samples_per_s"] and state["lag_records"] and state["delay_ms_p50"]):
            state = (await client.next("data"))["rows"]
        assert 0 <= state["delay_ms_p50"] <= state["delay_ms_p99"]
        assert state["dead_letters"] == 0


class TestParsing:
    def test_a_subscription_names_its_person(self) -> None:
        command = protocol.parse('{"t": "sub", "id": "1", "ch": "person:a:b", "pos": "3.4.5"}')
        assert command == Subscribe("1", "person:a:b", None, "3.4.5")
        assert isinstance(command, Subscribe)
        assert command.person == "a:b"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "null",
            '{"t": "dance"}',
            '{"t": "sub", "id": 1, "ch": "alerts"}',
            '{"t": "sub", "id": "", "ch": "alerts"}',
            '{"t": "sub", "id": "1", "ch": "person:"}',
            '{"t": "sub", "id": "1", "ch": "alerts", "pos": 5}',
            '{"t": "unsub"}',
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(MessageError):
            protocol.parse(text)


def test_a_throttle_allows_a_burst_and_then_a_rate() -> None:
    throttle = Throttle(rate=2, burst=3)
    assert [throttle.allows(10.0) for _ in range(4)] == [True, True, True, False]
    assert throttle.allows(10.5)
    assert not throttle.allows(10.5)
