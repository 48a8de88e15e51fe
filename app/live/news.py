"""What the feed tells the event loop."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.live.records import Kind, Record

Stream = tuple[Kind, int]
"""A live topic's partition."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """The feed reads from these offsets on; what was read before is continued or left.

    Attributes
    ----------
    epoch : str
        Names these very topics: the same in every gateway, another when a topic was made anew.
    offsets : dict
        The offset of each partition from which on everything is read.
    """

    epoch: str
    offsets: dict[Stream, int]


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Everything that was there when the feed was assigned has been read."""


News = Assigned | CaughtUp | Sequence[Record]
