"""A dead letter: where it stands, its original bytes, and what happened to it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from agents.failures import ERROR, ERROR_CHAIN, kind_of
from app.errors import DeadLetterError
from app.sink.dead_letter_rows import uploads_in
from schemas.codec import Codec
from schemas.topics import DEAD_LETTERS
from schemas.uploads import UploadBatch

_PLACE: Final = re.compile(r"(?:([a-z0-9-]+)/)?(\d{1,9}):(\d{1,18})")
MOST_AT_ONCE: Final = 100
"""Dead letters that are held in memory together, at most."""
_MOST_BYTES: Final = 32 << 20


class Place(NamedTuple):
    """Where a dead letter stands: topic (without the deployment's prefix), partition, offset."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """Return ``PARTITION:OFFSET``, with ``TOPIC/`` before it for another than uploads-dlq."""
        place = f"{self.partition}:{self.offset}"
        return place if self.topic == DEAD_LETTERS else f"{self.topic}/{place}"


def parse_place(text: str) -> Place:
    """Return the place that a text names.

    Raises
    ------
    DeadLetterError
        If it names none.
    """
    match = _PLACE.fullmatch(text)
    if match is None:
        raise DeadLetterError(f"{text!r} is not [TOPIC/]PARTITION:OFFSET, such as 0:17")
    return Place(match[1] or DEAD_LETTERS, int(match[2]), int(match[3]))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter.

    Attributes
    ----------
    place : Place
        Where it stands.
    written_ms : int
        When it was written there, epoch milliseconds.
    value : bytes
        The original bytes.
    headers : mapping of str to bytes
        What happened to it; see :mod:`agents.failures`.
    """

    place: Place
    written_ms: int
    value: bytes
    headers: Mapping[str, bytes]

    def text(self, header: str) -> str:
        """Return a header as text; empty when it is missing."""
        return self.headers.get(header, b"").decode(errors="replace")

    @property
    def kind(self) -> str:
        """Class of its last error."""
        return kind_of(self.text(ERROR))

    def says(self, error: str) -> bool:
        """Whether a text is in its error or in the errors before, whatever the case."""
        said = f"{self.text(ERROR)} {self.text(ERROR_CHAIN)}"
        return error.casefold() in said.casefold()

    def uploads(self, codec: Codec) -> UploadBatch | None:
        """Return the uploads in it, or None as far as it does not decode.

        Raises
        ------
        RegistryUnavailableError
            If a schema registry is in use and does not answer.
        """
        return uploads_in(self.place.topic, self.value, codec)

    def concerns(self, user_id: str, codec: Codec) -> bool:
        """Whether it holds an upload of a person, as far as it decodes."""
        batch = self.uploads(codec)
        if batch is None:
            return False
        people = {batch.users[code].casefold() for code in set(batch.upload_user.tolist())}
        return user_id.casefold() in people


def groups(letters: Iterable[DeadLetter], most: int = MOST_AT_ONCE) -> Iterator[list[DeadLetter]]:
    """Yield letters in groups of bounded number and size."""
    group: list[DeadLetter] = []
    size = 0
    for letter in letters:
        group.append(letter)
        size += len(letter.value)
        if len(group) >= most or size >= _MOST_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
