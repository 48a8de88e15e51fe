"""The web pages: server-rendered HTML, small JavaScript modules, sessions."""

from app.pages.application import setup

__all__ = ["setup"]
