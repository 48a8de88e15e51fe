"""Topic ``windows``: changed windows go into ``windows_1m``, ``windows_1h`` and ``windows_1d``."""

from agents.store import SinkParts, StoreAgent
from app.sink.window_rows import decode_windows
from schemas.topics import WINDOWS


def declare(parts: SinkParts) -> None:
    """Add the agent to the sink."""
    StoreAgent(parts, WINDOWS, decode_windows)
