"""People's settings: written to Kafka, followed by every gateway."""

import uuid

import pytest

from app.settings import Settings
from schemas.codec import Codec
from schemas.topics import USER_SETTINGS, partition_of
from tests.gateway.support import Gateway, Json, read_topic, running, until

pytestmark = pytest.mark.servers


async def put(gateway: Gateway, user: str, body: Json, **headers: str) -> tuple[int, Json]:
    async with gateway.session.put(
        f"/v1/users/{user}/settings",
        json=body,
        headers=headers or gateway.headers(user, role="user"),
    ) as response:
        return response.status, await response.json(content_type=None)


async def test_a_zone_holds_from_now_on_and_is_written_once(gateway: Gateway, user: str) -> None:
    path = f"/v1/users/{user}/settings"
    status, before = await gateway.get(path, user)
    assert (status, before["time_zone"], before["time_zones"]) == (200, "UTC", [])
    for zone in ("Europe/Berlin", "Europe/Berlin", "Asia/Tokyo"):
        status, _ = await put(gateway, user, {"time_zone": zone})
        assert status == 200
    _, after = await gateway.get(path, user)
    assert after["time_zone"] == "Asia/Tokyo"
    assert [z["time_zone"] for z in after["time_zones"]] == ["Europe/Berlin", "Asia/Tokyo"]
    codec = Codec()
    found = [
        (partition, codec.decode("user_settings", value))
        for partition, key, value in read_topic(gateway.settings, USER_SETTINGS)
        if key == user.encode()
    ]
    partition = partition_of(user, gateway.settings.partitions)
    assert [(p, len(record["zones"])) for p, record in found] == [(partition, 1), (partition, 2)]
    since = [zone["since_ms"] for zone in found[-1][1]["zones"]]
    assert since == sorted(set(since))


async def test_every_gateway_follows(settings: Settings, gateway: Gateway, user: str) -> None:
    path = f"/v1/users/{user}/settings"
    await put(gateway, user, {"time_zone": "Europe/Berlin"})
    async with running(settings) as other:
        _, body = await other.get(path, user)
        assert body["time_zone"] == "Europe/Berlin"
        await put(other, user, {"time_zone": "Asia/Tokyo"})
    await until(
        lambda: gateway.services.people.document(user)["time_zone"] == "Asia/Tokyo",
        "the first gateway has heard of it",
    )


@pytest.mark.parametrize(
    "body",
    [{"time_zone": "Mars/Olympus"}, {"time_zone": "../etc/passwd"}, {"time_zone": 1}, [], {},
     {"time_zone": "UTC", "more": 1}],
)  # fmt: skip
async def test_what_is_no_zone_is_422(gateway: Gateway, user: str, body: Json) -> None:
    status, problem = await put(gateway, user, body)
    assert status == 422
    assert problem["errors"]


async def test_only_the_person_and_admins_may(gateway: Gateway, user: str) -> None:
    path, zone = f"/v1/users/{user}/settings", {"time_zone": "UTC"}
    assert (await put(gateway, user, zone, **gateway.headers(user, role="device")))[0] == 403
    anothers = gateway.headers(str(uuid.uuid4()), role="user")
    assert (await put(gateway, user, zone, **anothers))[0] == 403
    assert (await gateway.get(path, user, role="device"))[0] == 403
    assert (await gateway.get(path))[0] == 401
    assert (await put(gateway, user, zone, **gateway.headers(role="admin")))[0] == 200
    assert (await gateway.get("/v1/users/me/settings", user))[0] == 404
