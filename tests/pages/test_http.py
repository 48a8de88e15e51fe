"""Sessions, who may read, static files and headers, without a browser."""

import gzip
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest

from app.live.access import COOKIE
from app.pages.names import label_of, metrics_for_pages
from app.settings import Settings
from tests.live.support import Broker, alert, now_ms, person, serving, token

pytestmark = pytest.mark.servers


@pytest.fixture
async def strict(settings: Settings) -> AsyncIterator[Settings]:
    """Run a server that signs nobody in by itself; yield its settings."""
    found = settings.model_copy(update={"auth_demo_sign_in": False})
    async with serving(found):
        yield found


@pytest.fixture
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a client that keeps cookies, also those of addresses."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, auto_decompress=False) as session:
        yield session


def base(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.port}"


async def test_a_stranger_is_sent_to_sign_in(
    strict: Settings, visitor: aiohttp.ClientSession
) -> None:
    async with visitor.get(f"{base(strict)}/people/abc", allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == "/sign-in?next=/people/abc"
    for path in ("/v1/people", "/v1/system", "/v1/people/abc/series", "/v1/session"):
        async with visitor.get(base(strict) + path) as answer:
            assert answer.status == 401
            assert answer.content_type == "application/problem+json"


async def test_a_token_becomes_a_session_that_scripts_cannot_read(
    strict: Settings, visitor: aiohttp.ClientSession
) -> None:
    content = {"token": token(strict)}
    async with visitor.post(f"{base(strict)}/v1/session", json=content) as answer:
        assert answer.status == 200
        assert (await answer.json())["role"] == "admin"
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
    async with visitor.get(f"{base(strict)}/") as answer:
        assert answer.status == 200
        assert "no-store" in answer.headers["Cache-Control"]
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert content["token"].encode() not in await answer.read()
    async with visitor.delete(f"{base(strict)}/v1/session") as answer:
        assert answer.status == 204
    async with visitor.get(f"{base(strict)}/", allow_redirects=False) as answer:
        assert answer.status == 303


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 400), (b"{}", 400), (b'{"token": 1}', 400), (b'{"token": "a.b.c"}', 401)],
)
async def test_what_is_no_token_is_no_session(
    strict: Settings, visitor: aiohttp.ClientSession, content: bytes, status: int
) -> None:
    async with visitor.post(f"{base(strict)}/v1/session", data=content) as answer:
        assert answer.status == status


async def test_a_device_cannot_sign_in(strict: Settings, visitor: aiohttp.ClientSession) -> None:
    content = {"token": token(strict, "device", ["someone"])}
    async with visitor.post(f"{base(strict)}/v1/session", json=content) as answer:
        assert answer.status == 403


async def test_other_origins_cannot_sign_anybody_in_or_out(
    strict: Settings, visitor: aiohttp.ClientSession
) -> None:
    foreign = {"Origin": "http://elsewhere.example"}
    content = {"token": token(strict)}
    url = f"{base(strict)}/v1/session"
    async with visitor.post(url, json=content, headers=foreign) as answer:
        assert answer.status == 403
    async with visitor.delete(url, headers=foreign) as answer:
        assert answer.status == 403


async def test_a_person_reads_only_their_own(
    strict: Settings, broker: Broker, visitor: aiohttp.ClientSession
) -> None:
    mine, other = person(), person()
    cookies = {COOKIE: token(strict, "user", [mine])}
    visitor.cookie_jar.update_cookies(cookies)
    async with visitor.get(f"{base(strict)}/people/{other}") as answer:
        assert answer.status == 403
    async with visitor.get(f"{base(strict)}/people/{mine}") as answer:
        assert answer.status == 200
    async with visitor.get(f"{base(strict)}/v1/people/{other}/series") as answer:
        assert answer.status == 403
    for user in (other, mine):
        broker.samples(user, {"heart_rate": [(now_ms(), 61.0)]})
        broker.alert(alert(user))
        broker.flush()
    people: list[dict[str, object]] = []
    while not people:
        async with visitor.get(f"{base(strict)}/v1/people") as answer:
            people = (await answer.json())["people"]
    assert [found["user"] for found in people] == [mine]
    async with visitor.get(f"{base(strict)}/v1/people?search={other}") as answer:
        assert (await answer.json())["people"] == []


async def test_a_local_visitor_is_signed_in_by_the_demo(
    server: Settings, visitor: aiohttp.ClientSession
) -> None:
    async with visitor.get(f"{base(server)}/") as answer:
        assert answer.status == 200
        assert COOKIE in answer.cookies
    async with visitor.get(f"{base(server)}/v1/system") as answer:
        assert answer.status == 200
        assert (await answer.json())["feed_connected"] is True


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
    ],
)
async def test_the_demo_signs_in_no_visitor_from_elsewhere(
    server: Settings, visitor: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    async with visitor.get(f"{base(server)}/", headers=headers, allow_redirects=False) as answer:
        assert answer.status == 303
        assert COOKIE not in answer.cookies


async def test_static_files_are_cached_for_ever_under_their_version(
    server: Settings, visitor: aiohttp.ClientSession
) -> None:
    async with visitor.get(f"{base(server)}/sign-in") as answer:
        text = (await answer.read()).decode()
    found = re.search(r'src="(/static/[0-9a-f]+/sign_in\.js)"', text)
    assert found is not None
    url = base(server) + found[1]
    async with visitor.get(url, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.content_type == "text/javascript"
        assert b"import" in gzip.decompress(await answer.read())
        etag = answer.headers["ETag"]
    async with visitor.get(url, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
    old = f"{base(server)}/static/000000000000/sign_in.js"
    async with visitor.get(old, headers={"Accept-Encoding": "identity"}) as answer:
        assert answer.headers["Cache-Control"] == "no-cache"
    for path in ("/static/0/nothing.js", "/static/0/..%2f__init__.py", "/static/bokeh/0/x.js"):
        async with visitor.get(base(server) + path) as answer:
            assert answer.status == 404


@pytest.mark.parametrize(
    "query", ["size=2m", "from=x", "from=5&to=4", "size=1m&from=0", "samples=1&from=1&to=86400001"]
)
async def test_a_history_that_cannot_be_given_is_refused(
    server: Settings, visitor: aiohttp.ClientSession, query: str
) -> None:
    visitor.cookie_jar.update_cookies({COOKIE: token(server)})
    async with visitor.get(f"{base(server)}/v1/people/{person()}/series?{query}") as answer:
        assert answer.status == 400


async def test_history_without_clickhouse_is_unavailable_not_empty(
    server: Settings, visitor: aiohttp.ClientSession
) -> None:
    visitor.cookie_jar.update_cookies({COOKIE: token(server)})
    async with visitor.get(f"{base(server)}/v1/people/{person()}/series") as answer:
        assert answer.status == 503
        assert "Retry-After" in answer.headers


async def test_a_sign_in_leads_only_to_our_own_pages(
    strict: Settings, visitor: aiohttp.ClientSession
) -> None:
    for target in ("//elsewhere.example", "https://elsewhere.example", "/people/\\evil"):
        async with visitor.get(f"{base(strict)}/sign-in", params={"next": target}) as answer:
            assert b'data-next="/"' in await answer.read()


def test_metrics_have_names_and_units_for_people() -> None:
    metrics = metrics_for_pages()
    assert metrics["heart_rate"]["label"] == "Heart rate"
    assert metrics["heart_rate"]["unit"] == "bpm"
    assert metrics["body_temperature"]["unit"] == "°C"
    assert metrics["steps"]["unit"] == "steps"
    assert metrics["heart_rate"]["order"] == 0
    assert label_of("something_new") == "Something new"
