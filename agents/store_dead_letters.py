"""Topic ``uploads-dlq``: what could not be processed goes into ``dead_letters``."""

from agents.store import SinkParts, StoreAgent
from app.sink.dead_letter_rows import decode_dead_letter
from schemas.topics import DEAD_LETTERS


def declare(parts: SinkParts) -> None:
    """Add the agent to the sink."""
    StoreAgent(parts, DEAD_LETTERS, decode_dead_letter)
