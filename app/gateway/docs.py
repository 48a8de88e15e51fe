"""``/openapi.json``, and ``/docs``: the same as a page, made here, without scripts."""

from html import escape
from pathlib import Path
from typing import Any, Final

import orjson
from aiohttp import web

from app.gateway import openapi
from app.gateway.openapi import Json

_CSS: Final = Path(__file__).with_name("docs.css")
_CACHED: Final = {"Cache-Control": "max-age=300"}


def setup(app: web.Application) -> None:
    """Add the routes; other parts add their path items to ``app[openapi.EXTRA]``."""
    extra: dict[str, Json] = {}
    app[openapi.EXTRA] = extra

    async def document(_: web.Request) -> web.Response:
        body = orjson.dumps(openapi.document(extra))
        return web.Response(body=body, content_type="application/json", headers=_CACHED)

    async def docs(_: web.Request) -> web.Response:
        text = page(openapi.document(extra))
        return web.Response(text=text, content_type="text/html", headers=_CACHED)

    async def css(_: web.Request) -> web.Response:
        return web.Response(body=_CSS.read_bytes(), content_type="text/css", headers=_CACHED)

    app.add_routes(
        [
            web.get("/openapi.json", document),
            web.get("/docs", docs),
            web.get("/docs.css", css),
        ]
    )


def page(document: Json) -> str:
    """Return an OpenAPI document as an HTML page."""
    info = document["info"]
    tags: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            tag = operation.get("tags", ["other"])[0]
            tags.setdefault(tag, []).append(_operation(path, method, operation))
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(parts)}" for tag, parts in tags.items())
    models = "".join(_model(name, m) for name, m in document["components"]["schemas"].items())
    title = f"{escape(info['title'])} {escape(info['version'])}"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{title}: interface</title><link rel="stylesheet" href="/docs.css"></head>'
        f"<body><h1>{title}</h1><p>{escape(info['description'])}</p>"
        '<p>As a file: <a href="/openapi.json">openapi.json</a></p>'
        f"<main>{sections}<h2>models</h2>{models}</main></body></html>"
    )


def _operation(path: str, method: str, operation: Json) -> str:
    parameters = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p['in'])}</td>"
        f"<td>{escape(p.get('description', ''))}</td></tr>"
        for p in operation.get("parameters", ())
    )
    taken = _contents(operation.get("requestBody", {}))
    answers = "".join(
        f"<tr><td>{status}</td><td>{_answer(found)}</td></tr>"
        for status, found in sorted(operation["responses"].items())
    )
    return (
        f'<article id="{escape(operation["operationId"])}"><h3><span class="method">{method}</span>'
        f"<code>{escape(path)}</code></h3><p><strong>{escape(operation['summary'])}.</strong> "
        f"{escape(operation.get('description', ''))}</p>"
        + (f"<table><tbody>{parameters}</tbody></table>" if parameters else "")
        + (f"<p>Takes {taken}</p>" if taken else "")
        + f"<table><thead><tr><th>Status</th><th>Answer</th></tr></thead><tbody>{answers}</tbody>"
        "</table></article>"
    )


def _answer(found: Json) -> str:
    if "$ref" in found:
        return f"{_link('Problem')}: <code>{escape(_last(found['$ref']))}</code>"
    return f"{escape(found['description'])} {_contents(found)}"


def _contents(found: Json) -> str:
    return ", ".join(
        f"<code>{escape(media)}</code> {_schema(content['schema'])}"
        for media, content in found.get("content", {}).items()
    )


def _schema(schema: Json) -> str:
    return _link(_last(schema["$ref"])) if "$ref" in schema else escape(schema.get("type", ""))


def _model(name: str, model: Json) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(key)}</code></td><td>{_type(found)}</td>"
        f"<td>{'' if key in model.get('required', ()) else 'optional. '}"
        f"{escape(found.get('description', ''))}</td></tr>"
        for key, found in model.get("properties", {}).items()
    )
    if not rows:
        return ""
    examples = "".join(
        f"<pre>{escape(orjson.dumps(e, option=orjson.OPT_INDENT_2).decode())}</pre>"
        for e in model.get("examples", ())
    )
    return (
        f'<article id="model-{escape(name)}"><h3><code>{escape(name)}</code></h3>'
        f"<p>{escape(model.get('description', ''))}</p>"
        f"<table><tbody>{rows}</tbody></table>{examples}</article>"
    )


def _type(found: Json) -> str:
    if "$ref" in found:
        return _link(_last(found["$ref"]))
    if found.get("type") == "array":
        return f"array of {_type(found['items'])}"
    for key in ("enum", "anyOf"):
        if key in found:
            return ", ".join(_option(option) for option in found[key])
    return escape(str(found.get("const", found.get("format", found.get("type", "")))))


def _option(option: Any) -> str:  # noqa: ANN401 - a value of an enum, or a schema
    return _type(option) if isinstance(option, dict) else f"<code>{escape(str(option))}</code>"


def _link(model: str) -> str:
    return f'<a href="#model-{escape(model)}">{escape(model)}</a>'


def _last(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]
