"""Topic ``upload-status``: what gateways declare goes into ``uploads``."""

from agents.store import SinkParts, StoreAgent
from app.sink.status_rows import decode_status
from schemas.topics import UPLOAD_STATUS


def declare(parts: SinkParts) -> None:
    """Add the agent to the sink."""
    StoreAgent(parts, UPLOAD_STATUS, decode_status)
