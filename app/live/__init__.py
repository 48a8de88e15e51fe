"""Live pages' server side: the feed from Kafka, the ``/v1/live`` WebSocket, and its JSON."""

from app.live.application import REGISTRY, setup
from app.live.openapi import PATHS

__all__ = ["PATHS", "REGISTRY", "setup"]
