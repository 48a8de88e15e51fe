"""Uploads over a WebSocket: acknowledgements, errors, flow control, reconnects."""

import asyncio
import uuid

import aiohttp
import orjson
import pytest

from app.gateway import stream
from app.gateway.documents import UploadDocument
from app.security import Claims, mint_token
from app.settings import Settings
from schemas.codec import Codec
from schemas.columns import F64, I64, pack
from tests.gateway.support import Gateway, Json, an_upload, deployed, read_uploads, running, until
from tests.servers import KafkaServer

pytestmark = pytest.mark.servers
WINDOW = 4


@pytest.fixture(scope="module")
def settings(kafka: KafkaServer) -> Settings:
    return deployed(kafka.bootstrap, stream_window=WINDOW, max_body_bytes=1 << 16)


async def receive(socket: aiohttp.ClientWebSocketResponse) -> Json:
    message: Json = orjson.loads(await socket.receive_str(timeout=10))
    return message


def written(settings: Settings) -> list[str]:
    return [
        str(uuid.UUID(bytes=upload_id.tobytes()))
        for _, batch in read_uploads(settings)
        for upload_id in batch.upload_ids
    ]


def hold(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, list[str]]:
    """Let uploads wait for an event before they are taken in; return it and those that wait."""
    gate, taken, take = asyncio.Event(), list[str](), gateway.services.intake.take

    async def held(document: UploadDocument, claims: Claims) -> Json:
        taken.append(str(document.upload_id))
        await gate.wait()
        return await take(document, claims)

    monkeypatch.setattr(gateway.services.intake, "take", held)
    return gate, taken


async def test_uploads_are_acknowledged_by_id_in_both_formats(gateway: Gateway, user: str) -> None:
    text, binary = an_upload(user), an_upload(user, values=[60.0, 999.0])
    (series,) = binary["series"]
    packed = {"times": pack(series["times"], I64), "values": pack(series["values"], F64)}
    record = Codec().encode("upload", binary | {"series": [series | packed]})
    async with gateway.session.ws_connect("/v1/stream", headers=gateway.headers(user)) as socket:
        assert await receive(socket) == {"type": "hello", "max_in_flight": WINDOW}
        await socket.send_json(text)
        await socket.send_bytes(record)
        answers = {m["upload_id"]: m for m in [await receive(socket), await receive(socket)]}
    assert {m["type"] for m in answers.values()} == {"ack"}
    assert answers[text["upload_id"]]["accepted"] == 2
    assert [r["reason"] for r in answers[binary["upload_id"]]["rejected"]] == ["out_of_range"]
    assert {text["upload_id"], binary["upload_id"]} <= set(written(gateway.settings))


async def test_errors_name_the_upload_and_leave_the_connection(gateway: Gateway, user: str) -> None:
    anothers = an_upload(str(uuid.uuid4()))
    wrong = an_upload(user, device_id="")
    async with gateway.session.ws_connect("/v1/stream", headers=gateway.headers(user)) as socket:
        await receive(socket)
        for sent, upload_id, status in (
            ("{", None, 400),
            (orjson.dumps(anothers).decode(), anothers["upload_id"], 403),
            (orjson.dumps(wrong).decode(), wrong["upload_id"], 422),
        ):
            await socket.send_str(sent)
            answer = await receive(socket)
            assert (answer["type"], answer["upload_id"]) == ("error", upload_id)
            assert answer["status"] == answer["problem"]["status"] == status
        upload = an_upload(user)
        await socket.send_json(upload)
        assert (await receive(socket))["type"] == "ack"


async def test_the_token_may_come_first(gateway: Gateway, user: str) -> None:
    async with gateway.session.ws_connect("/v1/stream") as socket:
        await socket.send_json({"type": "auth", "token": gateway.token(user)})
        assert (await receive(socket))["type"] == "hello"
        await socket.send_json(an_upload(user))
        assert (await receive(socket))["type"] == "ack"


@pytest.mark.parametrize("first", ["{", '{"type": "auth", "token": "a.b.c"}', '{"type": "auth"}'])
async def test_without_a_valid_token_it_closes(gateway: Gateway, first: str) -> None:
    async with gateway.session.ws_connect("/v1/stream") as socket:
        await socket.send_str(first)
        message = await socket.receive(timeout=10)
        if message.type is aiohttp.WSMsgType.TEXT:
            assert orjson.loads(message.data)["status"] == 401
            message = await socket.receive(timeout=10)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == stream.CLOSE_UNAUTHENTICATED


async def test_a_client_that_says_nothing_is_closed(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "AUTH_SECONDS", 0.05)
    async with gateway.session.ws_connect("/v1/stream") as socket:
        assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == stream.CLOSE_AUTH_TIMEOUT


async def test_a_bad_header_refuses_the_handshake(gateway: Gateway) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await gateway.session.ws_connect("/v1/stream", headers={"Authorization": "Bearer x"})
    assert refused.value.status == 401


async def test_an_expired_token_must_be_renewed(gateway: Gateway, user: str) -> None:
    expired = mint_token(gateway.settings, "tester", "device", [user], ttl_seconds=-29)
    async with gateway.session.ws_connect("/v1/stream") as socket:
        await socket.send_json({"type": "auth", "token": expired})  # within the leeway still
        await receive(socket)
        await socket.send_json({"type": "auth", "token": gateway.token(user)})
        await socket.send_json(an_upload(user))
        assert (await receive(socket))["type"] == "ack"


async def test_no_more_is_read_than_the_window(
    gateway: Gateway, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, taken = hold(gateway, monkeypatch)
    uploads = [an_upload(user) for _ in range(3 * WINDOW)]
    async with gateway.session.ws_connect("/v1/stream", headers=gateway.headers(user)) as socket:
        await receive(socket)
        for upload in uploads:
            await socket.send_json(upload)
        await until(lambda: len(taken) == WINDOW, "the window is full")
        # the gateway answers others meanwhile, and has read no further
        assert (await gateway.get("/healthz"))[0] == 200
        assert len(taken) == WINDOW
        gate.set()
        acknowledged = [(await receive(socket))["upload_id"] for _ in uploads]
    assert sorted(acknowledged) == sorted(upload["upload_id"] for upload in uploads)
    assert taken == [upload["upload_id"] for upload in uploads]


async def test_uploads_sent_again_after_a_reconnect_are_written_once(
    gateway: Gateway, user: str
) -> None:
    unacknowledged = {u["upload_id"]: u for u in (an_upload(user) for _ in range(WINDOW))}
    async with gateway.session.ws_connect("/v1/stream", headers=gateway.headers(user)) as socket:
        await receive(socket)
        for upload in unacknowledged.values():
            await socket.send_json(upload)
        first = await receive(socket)
        del unacknowledged[first["upload_id"]]
        # the connection breaks here: what became of the others the client cannot know
    sent = list(unacknowledged)
    async with gateway.session.ws_connect("/v1/stream", headers=gateway.headers(user)) as socket:
        await receive(socket)
        for upload in unacknowledged.values():
            await socket.send_json(upload)
        for _ in sent:
            answer = await receive(socket)
            assert answer["type"] == "ack"
            del unacknowledged[answer["upload_id"]]
    ids = written(gateway.settings)
    assert [ids.count(upload_id) for upload_id in sent] == [1] * len(sent)


async def test_too_large_a_message_closes_with_1009(gateway: Gateway, user: str) -> None:
    async with gateway.session.ws_connect("/v1/stream", headers=gateway.headers(user)) as socket:
        await receive(socket)
        await socket.send_bytes(b" " * (1 << 17))
        assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_a_gateway_that_stops_acknowledges_what_it_took(
    settings: Settings, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = an_upload(user)
    async with running(settings) as gateway:
        gate, taken = hold(gateway, monkeypatch)
        headers = gateway.headers(user)
        async with gateway.session.ws_connect("/v1/stream", headers=headers) as socket:
            await receive(socket)
            await socket.send_json(upload)
            await until(lambda: taken == [upload["upload_id"]], "the upload was read")
            stopping = asyncio.create_task(gateway.runner.cleanup())
            await until(lambda: gateway.services.stopping, "the gateway is stopping")
            gate.set()
            answer = await receive(socket)
            assert (answer["type"], answer["upload_id"]) == ("ack", upload["upload_id"])
            assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
            await stopping
    assert upload["upload_id"] in written(settings)


async def test_a_request_that_is_no_websocket_is_400(gateway: Gateway, user: str) -> None:
    assert (await gateway.get("/v1/stream", user))[0] == 400
