"""What is refused as a whole, and how: problem documents (RFC 9457)."""

import gzip
import uuid
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from typing import Any

import orjson
import pytest
from backports import zstd

from app.security import mint_token
from app.settings import Settings
from schemas.codec import Codec
from tests.gateway.support import Gateway, Json, an_upload, deployed, read_uploads, running
from tests.servers import KafkaServer

pytestmark = pytest.mark.servers
MIB = 1 << 20


@pytest.fixture(scope="module")
def settings(kafka: KafkaServer) -> Settings:
    return deployed(
        kafka.bootstrap,
        max_body_bytes=MIB,
        max_samples_per_upload=50,
        max_series_per_upload=3,
    )


async def send(gateway: Gateway, body: bytes, **headers: str) -> tuple[int, Json, Any]:
    data = BytesIO(body)
    async with gateway.session.post("/v1/uploads", data=data, headers=headers) as response:
        document = await response.json(content_type=None)
        if response.status >= 400:
            assert response.content_type == "application/problem+json"
            assert document["status"] == response.status
            assert document["type"].startswith("urn:vitalstream:problem:")
            assert document["title"]
            assert document["detail"]
        return response.status, document, response.headers


async def refused(gateway: Gateway, upload: object, user: str) -> Json:
    headers = gateway.headers(user) | {"Content-Type": "application/json"}
    status, body, _ = await send(gateway, orjson.dumps(upload), **headers)
    assert status == 422
    return body


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": NaN}', b'{"values": [1e999]}'])
async def test_what_is_no_json_is_400(gateway: Gateway, user: str, body: bytes) -> None:
    headers = gateway.headers(user) | {"Content-Type": "application/json"}
    status, problem, _ = await send(gateway, body, **headers)
    assert status == 400
    assert "line 1" in problem["detail"]


@pytest.mark.parametrize("damage", [b"", b"\0\0\0\0\1", b"\1\0\0\0\1abc", b"\0\0\0\x03\xe7abc"])
async def test_what_is_no_avro_upload_is_400(gateway: Gateway, user: str, damage: bytes) -> None:
    headers = gateway.headers(user) | {"Content-Type": "application/avro"}
    status, _, _ = await send(gateway, damage, **headers)
    assert status == 400


async def test_an_avro_record_of_another_schema_is_400(gateway: Gateway, user: str) -> None:
    record = {"user_id": user, "zones": [], "updated_ms": 0}
    headers = gateway.headers(user) | {"Content-Type": "application/avro"}
    status, _, _ = await send(gateway, Codec().encode("user_settings", record), **headers)
    assert status == 400


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic abc", "Bearer a.b.c"])
async def test_no_valid_token_is_401(
    gateway: Gateway, user: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    status, _, answered = await send(gateway, orjson.dumps(an_upload(user)), **headers)
    assert status == 401
    assert answered["WWW-Authenticate"].startswith('Bearer realm="vitalstream"')
    assert ("invalid_token" in answered["WWW-Authenticate"]) == (authorization == "Bearer a.b.c")


async def test_an_expired_token_is_401(gateway: Gateway, user: str) -> None:
    token = mint_token(gateway.settings, "tester", "device", [user], ttl_seconds=-60)
    status, problem, _ = await send(gateway, b"", Authorization=f"Bearer {token}")
    assert (status, problem["detail"]) == (401, "the token has expired.")


async def test_anothers_data_is_403(gateway: Gateway, user: str) -> None:
    status, _ = await gateway.post(an_upload(user), **gateway.headers(str(uuid.uuid4())))
    assert status == 403
    status, _ = await gateway.post(an_upload(user), **gateway.headers(role="admin"))
    assert status == 202


async def test_another_media_type_or_encoding_is_415(gateway: Gateway, user: str) -> None:
    body = orjson.dumps(an_upload(user))
    own = gateway.headers(user)
    status, _, headers = await send(gateway, body, **own, **{"Content-Type": "text/csv"})
    assert (status, headers["Accept-Post"]) == (415, "application/json, application/avro")
    json = {"Content-Type": "application/json"}
    status, _, headers = await send(gateway, body, **own, **json, **{"Content-Encoding": "br"})
    assert (status, headers["Accept-Encoding"]) == (415, "identity, gzip, zstd")


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress)]
)
async def test_what_inflates_too_far_is_413(
    gateway: Gateway, user: str, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    bomb = compress(b" " * (200 * MIB))
    assert len(bomb) < MIB
    headers = gateway.headers(user) | {
        "Content-Type": "application/json",
        "Content-Encoding": encoding,
    }
    status, _, _ = await send(gateway, bomb, **headers)
    assert status == 413


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_damaged_compression_is_400(gateway: Gateway, user: str, encoding: str) -> None:
    compress: Any = {"gzip": gzip.compress, "zstd": zstd.compress}[encoding]
    whole = compress(orjson.dumps(an_upload(user)))
    headers = gateway.headers(user) | {
        "Content-Type": "application/json",
        "Content-Encoding": encoding,
    }
    for body in (whole[:-3], whole + b"more", b"x" + whole):
        status, _, _ = await send(gateway, body, **headers)
        assert status == 400


async def test_too_large_a_body_is_413_announced_or_not(gateway: Gateway, user: str) -> None:
    headers = gateway.headers(user) | {"Content-Type": "application/json"}
    status, _, _ = await send(gateway, b" " * (MIB + 1), **headers)
    assert status == 413

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * (MIB // 10)

    async with gateway.session.post("/v1/uploads", data=chunks(), headers=headers) as response:
        assert response.status == 413


async def test_too_many_samples_or_series_are_413(gateway: Gateway, user: str) -> None:
    status, _ = await gateway.post(an_upload(user, values=[60.0] * 51))
    assert status == 413
    upload = an_upload(user)
    status, _ = await gateway.post(upload | {"series": upload["series"] * 4})
    assert status == 413


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"upload_id": "no"}, "/upload_id"),
        ({"upload_id": "{01913e5c-7c1b-7cc3-8f6a-3f1b8a2c4d5e}"}, "/upload_id"),
        ({"user_id": 5}, "/user_id"),
        ({"device_id": ""}, "/device_id"),
        ({"device_id": "x" * 65}, "/device_id"),
        ({"source": "a\nb"}, "/source"),
        ({"series": []}, "/series"),
        ({"series": {}}, "/series"),
        ({"series": [7]}, "/series/0"),
        (
            {"series": [{"metric": 1, "unit": "", "times": [], "values": []}]},
            "/series/0/metric",
        ),
        (
            {"series": [{"metric": "", "unit": None, "times": [], "values": []}]},
            "/series/0/unit",
        ),
        (
            {"series": [{"metric": "", "unit": "", "times": "now", "values": []}]},
            "/series/0/times",
        ),
        ({"series": [{"metric": "", "unit": "", "times": []}]}, "/series/0/values"),
        ({"a/b": 1}, "/a~1b"),
    ],
)
async def test_a_wrong_structure_is_422_and_says_where(
    gateway: Gateway, user: str, changes: Json, pointer: str
) -> None:
    problem = await refused(gateway, an_upload(user) | changes, user)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_many_errors_are_told_within_bounds(gateway: Gateway, user: str) -> None:
    problem = await refused(gateway, [], user)
    assert len(problem["errors"]) == 1
    problem = await refused(gateway, {f"k{n}": n for n in range(100)}, user)
    assert len(problem["errors"]) == 20


async def test_too_many_requests_of_a_subject_are_429(kafka: KafkaServer, user: str) -> None:
    limited = deployed(kafka.bootstrap, rate_limit_per_second=0.2)
    async with running(limited) as gateway:
        statuses = [(await gateway.post(an_upload(user)))[0] for _ in range(2)]
        status, problem, headers = await send(gateway, b"", **gateway.headers(user))
        assert statuses == [202, 202]
        assert (status, problem["type"]) == (429, "urn:vitalstream:problem:too-many-requests")
        assert 1 <= int(headers["Retry-After"]) <= 5
    assert sum(len(batch) for _, batch in read_uploads(limited)) == 2


async def test_too_many_uploads_in_flight_are_503(kafka: KafkaServer, user: str) -> None:
    tight = deployed(kafka.bootstrap, max_in_flight_samples=1)
    async with running(tight) as gateway:
        headers = gateway.headers(user) | {"Content-Type": "application/json"}
        status, _, answered = await send(gateway, orjson.dumps(an_upload(user)), **headers)
        assert status == 503
        assert int(answered["Retry-After"]) > 0
        assert gateway.services.coalescer.samples == 0
    assert read_uploads(tight) == []


async def test_too_many_bytes_in_flight_are_503(kafka: KafkaServer, user: str) -> None:
    async with running(deployed(kafka.bootstrap, max_bodies_bytes=100)) as gateway:
        status, _ = await gateway.post(an_upload(user))
        assert status == 503
        assert gateway.services.bodies.held == 0


async def test_unknown_addresses_and_methods_are_problems(gateway: Gateway) -> None:
    for method, path, expected in (("GET", "/nowhere", 404), ("DELETE", "/v1/uploads", 405)):
        async with gateway.session.request(method, path) as response:
            assert response.status == expected
            assert response.content_type == "application/problem+json"
            assert response.headers.get("Allow", "POST") == "POST"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]


async def test_an_unexpected_failure_is_500_and_tells_nothing(
    gateway: Gateway, user: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("61.0 is the heart rate")

    monkeypatch.setattr("app.gateway.intake.check", fail)
    headers = gateway.headers(user) | {"Content-Type": "application/json"}
    status, problem, _ = await send(gateway, orjson.dumps(an_upload(user)), **headers)
    assert status == 500
    assert "heart" not in str(problem)
    assert "heart" not in capsys.readouterr().out
