"""The pages themselves."""

import asyncio
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import orjson
from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.pages.assets import bokeh_assets, own_assets
from app.pages.names import metrics_for_pages
from app.pages.session import keep, visitor

TEMPLATES: Final = Path(__file__).parent / "templates"
SECURITY: Final = {
    # BokehJS puts style elements into its plots' shadow roots; scripts come from here alone.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_USER_MAX: Final = 200


def _data(content: object) -> Markup:
    """Return JSON for a data block: it must not end the script element that holds it."""
    text = orjson.dumps(content).decode()
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))  # noqa: S704


class Views:
    """Renders the pages; who is not signed in is sent to do so."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["data"] = _data
        self._static = f"/static/{own_assets().version}"

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """``GET /``: everybody."""
        return self._page(request, "overview.html", title="People")

    async def person(self, request: web.Request) -> web.StreamResponse:
        """``GET /people/{user_id}``: one person."""
        user = request.match_info["user_id"]
        if len(user) > _USER_MAX:
            raise web.HTTPNotFound
        bokeh = f"/static/bokeh/{await asyncio.to_thread(_bokeh_version)}"
        return self._page(request, "person.html", title=user[:8], user=user, bokeh=bokeh)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """``GET /sign-in``: a field for a token."""
        return self._render("sign_in.html", title="Sign in", next=_target(request))

    def _page(self, request: web.Request, template: str, **context: object) -> web.StreamResponse:
        claims, token = visitor(request)
        if claims is None:
            query = urlencode({"next": request.path})
            raise web.HTTPSeeOther(f"/sign-in?{query}", headers={"Cache-Control": "no-store"})
        if "user" in context:
            claims.require_user(str(context["user"]))
        response = self._render(
            template,
            metrics=metrics_for_pages(),
            subject=claims.subject,
            role=claims.role,
            **context,
        )
        if token is not None:
            keep(request, response, token)
        return response

    def _render(self, template: str, **context: object) -> web.Response:
        text = self._templates.get_template(template).render(static=self._static, **context)
        return web.Response(text=text, content_type="text/html", headers=SECURITY)


def _bokeh_version() -> str:
    return bokeh_assets().version  # reads 1.4 MB the first time


def _target(request: web.Request) -> str:
    """Return the page to go to after signing in: one of ours, whatever the query says."""
    target = request.query.get("next", "/")
    return target if target.startswith("/people/") and "\\" not in target else "/"
