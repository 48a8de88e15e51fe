"""Puts pages, static files and sessions into the gateway's application."""

from aiohttp import web

from app.pages import session
from app.pages.assets import bokeh_assets, own_assets
from app.pages.views import Views
from app.settings import Settings


def setup(app: web.Application, settings: Settings) -> None:  # noqa: ARG001 - as every part's
    """Add ``/``, ``/people/{id}``, ``/sign-in``, ``/v1/session`` and ``/static``.

    Parameters
    ----------
    app : aiohttp.web.Application
        The gateway's, to which the live parts were added.
    settings : Settings
        The deployment; the pages read what they need from the application.
    """
    views = Views()
    app.add_routes(
        [
            web.get("/", views.overview),
            web.get("/people/{user_id}", views.person),
            web.get("/sign-in", views.sign_in),
            web.get("/v1/session", session.show, allow_head=False),
            web.post("/v1/session", session.sign_in),
            web.delete("/v1/session", session.sign_out),
            web.get("/static/bokeh/{version}/{name}", bokeh_assets().serve),
            web.get("/static/{version}/{name}", own_assets().serve),
        ]
    )
