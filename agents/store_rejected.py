"""Topic ``rejected-samples``: samples not accepted go into ``rejected_samples``."""

from agents.store import SinkParts, StoreAgent
from app.sink.rejected_rows import decode_rejected
from schemas.topics import REJECTED


def declare(parts: SinkParts) -> None:
    """Add the agent to the sink."""
    StoreAgent(parts, REJECTED, decode_rejected)
