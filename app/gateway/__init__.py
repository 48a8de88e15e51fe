"""The gateway: uploads in, statuses and live views out."""

from app.gateway.server import make_app, make_runner, serve

__all__ = ["make_app", "make_runner", "serve"]
