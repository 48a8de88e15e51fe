"""The ``vitalstream`` command line. Each command lives in a module of its own."""

from app.cli.main import main

__all__ = ["main"]
