"""Live pages' server side: the feed from Kafka, the ``/v1/live`` WebSocket, and its JSON."""

from app.live.application import REGISTRY, setup

__all__ = ["REGISTRY", "setup"]
