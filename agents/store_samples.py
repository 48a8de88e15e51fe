"""Topic ``samples``: applied uploads go into ``samples``; late windows are computed again."""

from agents.store import SinkParts, StoreAgent
from app.sink.sample_rows import decode_samples
from schemas.topics import SAMPLES


def declare(parts: SinkParts) -> None:
    """Add the agent to the sink."""
    StoreAgent(parts, SAMPLES, decode_samples)
