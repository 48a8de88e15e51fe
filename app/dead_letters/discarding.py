"""Giving dead letters up."""

from collections.abc import Iterable, Iterator

from app.dead_letters.audit import Audit
from app.dead_letters.letters import DeadLetter, Place, groups


def discard(letters: Iterable[DeadLetter], audit: Audit) -> Iterator[Place]:
    """Mark dead letters as discarded, and yield the place of each that is marked.

    Nothing is deleted: each can still be shown and replayed.

    Parameters
    ----------
    letters : iterable of DeadLetter
        Which; taken as they are needed.
    audit : Audit
        Where it is written down, with the reason.

    Raises
    ------
    ClickHouseUnavailableError, QueryError
        If the mark cannot be written. What was yielded before is done.
    """
    for group in groups(letters):
        places = [letter.place for letter in group]
        audit.note("discarded", places)
        yield from places
