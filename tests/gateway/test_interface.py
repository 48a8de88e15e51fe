"""What the gateway says of itself: schemas, health, metrics, its own interface."""

import asyncio
import re

import jsonschema
import orjson
import pytest
from aiohttp import web

from app.gateway.documents import upload_of_json
from app.gateway.openapi import EXTRA, document
from app.gateway.openapi_models import MODELS
from app.gateway.problems import TITLES
from app.settings import Settings
from schemas import registry
from tests.gateway.support import Gateway, Json, an_upload, running

pytestmark = pytest.mark.servers


@pytest.mark.filterwarnings("ignore:The httpx module is deprecated")
async def test_the_ecosystems_registry_client_reads_the_schemas(gateway: Gateway) -> None:
    from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415
    from confluent_kafka.schema_registry.error import SchemaRegistryError  # noqa: PLC0415

    host, port = gateway.runner.addresses[0]

    def read(client: SchemaRegistryClient) -> None:
        assert client.get_subjects() == registry.subjects()
        for subject in registry.subjects():
            ours = registry.latest(subject)
            latest = client.get_latest_version(subject)
            assert (latest.schema_id, latest.version) == (ours.schema_id, ours.version)
            assert orjson.loads(latest.schema.schema_str or "") == orjson.loads(ours.text)
            assert (
                client.get_version(subject, 1).schema_id == registry.versions(subject)[0].schema_id
            )
            assert client.get_versions(subject) == [s.version for s in registry.versions(subject)]
            by_id = client.get_schema(ours.schema_id)
            assert orjson.loads(by_id.schema_str or "") == orjson.loads(ours.text)
        for call, code in (
            (lambda: client.get_schema(999), 40403),
            (lambda: client.get_latest_version("nothing"), 40401),
            (lambda: client.get_version("upload", 99), 40402),
        ):
            with pytest.raises(SchemaRegistryError) as error:
                call()
            assert error.value.error_code == code

    with SchemaRegistryClient({"url": f"http://{host}:{port}"}) as client:
        await asyncio.to_thread(read, client)


async def test_metrics_tell_of_uploads_and_hold_no_person(settings: Settings, user: str) -> None:
    async with running(settings) as gateway:
        await gateway.post(an_upload(user, values=[60.0, 999.0]))
        await gateway.post(an_upload(user), Authorization="Bearer x")
        async with gateway.session.get("/metrics") as response:
            assert response.content_type == "text/plain"
            text = await response.text()
    for line in (
        'vitalstream_uploads_total{outcome="accepted",transport="http"} 1.0',
        'vitalstream_uploads_total{outcome="unauthenticated",transport="http"} 1.0',
        'vitalstream_samples_total{outcome="accepted"} 1.0',
        'vitalstream_rejected_samples_total{reason="out_of_range"} 1.0',
        "vitalstream_kafka_up 1.0",
        "vitalstream_in_flight_uploads 0.0",
    ):
        assert line in text.splitlines()
    assert "vitalstream_live_connections" in text
    assert "process_resident_memory_bytes" in text
    assert user not in text


async def test_the_interface_is_described_whole(gateway: Gateway) -> None:
    status, body = await gateway.get("/openapi.json")
    assert (status, body["openapi"]) == (200, "3.1.0")
    described = {
        (method.upper(), re.sub(r":[^}]+}", "}", path))
        for path, item in body["paths"].items()
        for method in item
    }
    app: web.Application = gateway.runner.app
    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    own = {r for r in routes if not r[1].startswith(("/static", "/v1/live", "/v1/system"))}
    ours = {r for r in own if r[1] in document({})["paths"]}
    assert described >= ours
    assert described - routes == set()
    extra = app[EXTRA]
    assert set(extra) <= {path for _, path in routes}
    operations = [o for item in body["paths"].values() for o in item.values()]
    assert len({o["operationId"] for o in operations}) == len(operations)
    for reference in references(body):
        found = body
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    assert set(body["components"]["responses"]) == set(TITLES)


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [r for child in node.values() for r in references(child)]
    if isinstance(node, list):
        return [r for child in node for r in references(child)]
    return []


@pytest.mark.parametrize("name", sorted(MODELS))
def test_models_are_json_schemas_and_their_examples_hold(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(MODELS[name])
    for example in MODELS[name].get("examples", ()):
        validate(example, name)


def validate(value: object, model: str) -> None:
    schema = {"$ref": f"#/components/schemas/{model}", "components": {"schemas": MODELS}}
    jsonschema.Draft202012Validator(schema).validate(value)


async def test_answers_are_what_the_models_say(gateway: Gateway, user: str) -> None:
    upload = an_upload(user, values=[60.0, 999.0])
    validate(upload, "Upload")
    for _ in range(2):
        validate((await gateway.post(upload))[1], "Accepted")
    validate((await gateway.status(upload))[1], "Status")
    validate((await gateway.post({}, **gateway.headers(user)))[1], "Problem")
    validate((await gateway.get(f"/v1/users/{user}/settings", user))[1], "Settings")
    validate((await gateway.get("/readyz"))[1], "Ready")
    validate((await gateway.get("/healthz"))[1], "Alive")
    validate((await gateway.get("/subjects/upload/versions/latest"))[1], "SchemaVersion")


async def test_the_example_upload_is_a_valid_one(gateway: Gateway) -> None:
    example: Json = MODELS["Upload"]["examples"][0]
    assert upload_of_json(example, gateway.settings).samples == 2


async def test_the_docs_page_shows_every_operation_without_scripts(gateway: Gateway) -> None:
    async with gateway.session.get("/docs") as response:
        assert (response.status, response.content_type) == (200, "text/html")
        page = await response.text()
    for path in document({})["paths"]:
        assert f"<code>{path}</code>" in page
    for forbidden in ("<script", "<style", "http://", "https://"):
        assert forbidden not in page
    async with gateway.session.get("/docs.css") as response:
        assert (response.status, response.content_type) == (200, "text/css")
