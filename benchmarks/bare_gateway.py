"""The gateway's ceiling: a bare aiohttp handler that reads and parses an upload and answers.

No tokens, no checks, no limits, no metrics. With ``--produce`` it also writes the body to Kafka,
one record an upload, and waits for the acknowledgement of all replicas.
"""

import argparse
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any, Final

import fastavro
import orjson
from aiohttp import web

from app.kafka.clients import ConfirmedProducer
from app.settings import Settings
from schemas import registry

_PRODUCER: Final = web.AppKey("producer", ConfirmedProducer)
_HEADER_BYTES: Final = 5
_SCHEMA: Final = registry.latest("upload").parsed


def _parsed(content_type: str, body: bytes) -> dict[str, Any]:
    if content_type == "application/avro":
        stream = BytesIO(body)
        stream.seek(_HEADER_BYTES)
        record: Any = fastavro.schemaless_reader(stream, _SCHEMA, None)
    else:
        record = orjson.loads(body)
    found: dict[str, Any] = record
    return found


async def post_upload(request: web.Request) -> web.Response:
    """Read, parse, answer."""
    body = await request.read()
    upload = _parsed(request.content_type, body)
    if _PRODUCER in request.app:
        await request.app[_PRODUCER].send("uploads", body, key=upload["user_id"])
    answer = {"upload_id": upload["upload_id"], "status": "accepted"}
    return web.Response(status=202, body=orjson.dumps(answer), content_type="application/json")


async def _producer(app: web.Application) -> AsyncIterator[None]:
    app[_PRODUCER] = producer = ConfirmedProducer(Settings())
    yield
    await producer.close()


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--produce", action="store_true")
    asked = parser.parse_args()
    app = web.Application()
    app.router.add_post("/v1/uploads", post_upload)
    if asked.produce:
        app.cleanup_ctx.append(_producer)
    web.run_app(app, host="127.0.0.1", port=asked.port, access_log=None, print=None)


if __name__ == "__main__":
    main()
