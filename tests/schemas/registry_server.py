"""A schema registry for tests: the part of Confluent's HTTP interface that the project uses."""

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import orjson
from aiohttp import web

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
FIRST_ID = 100_001
_STOP_SECONDS = 10


@dataclass
class Registry:
    """What the registry holds, and how it is to behave.

    ``writers`` false: nobody may register or set levels. ``incompatible``: subjects for which new
    versions are refused. ``broken``: status of every answer; 0 answers with something else than
    JSON, -1 not at all.
    """

    writers: bool = True
    credentials: str | None = None
    incompatible: set[str] = field(default_factory=set)
    broken: int | None = None
    ids: dict[str, int] = field(default_factory=dict)
    subjects: dict[str, list[int]] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    types: dict[int, str] = field(default_factory=dict)

    def put(self, text: str, kind: str = "AVRO") -> int:
        """Give a schema a number; equal documents have one number, whatever their subject."""
        canonical = text if kind != "AVRO" else orjson.dumps(orjson.loads(text)).decode()
        schema_id = self.ids.setdefault(canonical, FIRST_ID + len(self.ids))
        self.types[schema_id] = kind
        return schema_id

    def application(self) -> web.Application:
        """Return the server's application."""
        app = web.Application(middlewares=[self._behave])
        app.add_routes(
            [
                web.get("/config/{subject}", self._level),
                web.put("/config/{subject}", self._set_level),
                web.post("/subjects/{subject}/versions", self._register),
                web.post("/subjects/{subject}", self._look_up),
                web.get("/schemas/ids/{id}", self._schema),
            ]
        )
        return app

    @web.middleware
    async def _behave(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        if self.broken == -1:
            await asyncio.sleep(3600)
        if self.broken == 0:
            return web.Response(text="<html>a proxy's page</html>")
        if self.broken is not None:
            return _answer({"message": "broken"}, self.broken)
        if self.credentials is not None:
            wanted = base64.b64encode(self.credentials.encode()).decode()
            if request.headers.get("Authorization") != f"Basic {wanted}":
                return _error(401, 401, "Unauthorized")
        return await handler(request)

    async def _level(self, request: web.Request) -> web.Response:
        level = self.levels.get(request.match_info["subject"])
        if level is None:
            return _error(
                404, 40408, "Subject does not have subject-level compatibility configured"
            )
        return _answer({"compatibilityLevel": level})

    async def _set_level(self, request: web.Request) -> web.Response:
        if not self.writers:
            return _error(403, 40301, "Forbidden")
        body = await request.json()
        self.levels[request.match_info["subject"]] = body["compatibility"]
        return _answer(body)

    async def _register(self, request: web.Request) -> web.Response:
        subject = request.match_info["subject"]
        if not self.writers:
            return _error(403, 40301, "Forbidden")
        if subject in self.incompatible:
            return _error(
                409, 409, "Schema being registered is incompatible with an earlier schema"
            )
        schema_id = self.put((await request.json())["schema"])
        held = self.subjects.setdefault(subject, [])
        if schema_id not in held:
            held.append(schema_id)
        return _answer({"id": schema_id})

    async def _look_up(self, request: web.Request) -> web.Response:
        subject = request.match_info["subject"]
        canonical = orjson.dumps(orjson.loads((await request.json())["schema"])).decode()
        schema_id = self.ids.get(canonical)
        held = self.subjects.get(subject, [])
        if schema_id not in held:
            return _error(404, 40403, "Schema not found")
        version = held.index(schema_id) + 1
        return _answer(
            {"subject": subject, "version": version, "id": schema_id, "schema": canonical}
        )

    async def _schema(self, request: web.Request) -> web.Response:
        wanted = int(request.match_info["id"])
        text = next((text for text, schema_id in self.ids.items() if schema_id == wanted), None)
        if text is None:
            return _error(404, 40403, "Schema not found")
        kind = self.types[wanted]
        return _answer({"schema": text} | ({} if kind == "AVRO" else {"schemaType": kind}))


def _answer(body: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type=CONTENT_TYPE)


def _error(status: int, code: int, message: str) -> web.Response:
    return _answer({"error_code": code, "message": message}, status)


@contextmanager
def serving(app: web.Application) -> Iterator[str]:
    """Serve an application from a thread of its own; its URL."""
    address: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with _site(app) as url:
            address.append(url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        assert ready.wait(_STOP_SECONDS), "the server listens"
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_STOP_SECONDS)
        assert not thread.is_alive(), "the server stopped"
        loop.close()


@asynccontextmanager
async def _site(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
