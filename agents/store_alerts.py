"""Topic ``alerts``: revisions of alerts go into ``alerts``."""

from agents.store import SinkParts, StoreAgent
from app.sink.alert_rows import decode_alert
from schemas.topics import ALERTS


def declare(parts: SinkParts) -> None:
    """Add the agent to the sink."""
    StoreAgent(parts, ALERTS, decode_alert)
