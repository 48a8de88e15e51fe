"""Sessions of the chdb engine: queries, results, streams, inserts; errors with their codes.

All calls block; the engine frees the interpreter lock while it works, so they belong in threads.
"""

import contextlib
import re
import uuid
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.embedded.clickhouse.sql import InsertHead
from app.errors import QueryError

SPOOL = Path("../tmp")
"""The scratch directory, from the working directory of the server."""
MAX_RESULT_BYTES = 128 << 20  # of a result that is made whole before it is sent

_PREFIX = re.compile(r"Code: (\d+)\. DB::Exception: ")
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]{2,})\)")
_TRAILER_CHARS = 200
_TRAILER = re.compile(r"[.\s]*(\([A-Z][A-Z0-9_]{2,}\)|\(version [^)]*\))[.\s]*$")


class _Result(Protocol):
    """The engine's result of a query or of an insert."""

    def bytes(self) -> "bytes | None": ...
    def size(self) -> int: ...
    def elapsed(self) -> float: ...
    def rows_read(self) -> int: ...
    def storage_rows_read(self) -> int: ...
    def storage_bytes_read(self) -> int: ...
    def rows_written(self) -> int: ...
    def bytes_written(self) -> int: ...


class _Connection(Protocol):
    """The engine's connection, as much of it as is used."""

    def query(
        self, sql: str, output_format: str = ..., *, params: dict[str, str] = ...
    ) -> _Result: ...
    def classify_query(self, sql: str, target_database: str) -> dict[str, object]: ...
    def send_query(self, sql: str, output_format: str, *, params: dict[str, str]) -> object: ...
    def streaming_fetch_result(self, stream: object) -> _Result: ...
    def streaming_cancel_query(self, stream: object) -> None: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class Statistics:
    """What a statement read, returned and wrote (rows and bytes) and how long it ran (seconds)."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    elapsed: float = 0.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a result: a whole document of its format, header included."""

    data: bytes
    rows: int
    read_rows: int
    read_bytes: int


def as_query_error(error: RuntimeError) -> QueryError:
    """Return the engine's exception with code, name and bare message."""
    text = str(error)
    matches = list(_PREFIX.finditer(text))
    if not matches:
        return QueryError(1002, "UNKNOWN_EXCEPTION", text or type(error).__name__)
    names = _NAME.findall(text)
    message = text[matches[0].end() :]
    while (nested := _PREFIX.match(message)) is not None:
        message = message[nested.end() :]
    while (trailer := _TRAILER.search(message, max(0, len(message) - _TRAILER_CHARS))) is not None:
        message = message[: trailer.start()]
    return QueryError(int(matches[0][1]), names[-1] if names else "UNKNOWN_EXCEPTION", message)


def too_large() -> QueryError:
    """Return the error of a result that cannot be held."""
    message = f"A result in this format, or waited for, is limited to {MAX_RESULT_BYTES} bytes"
    return QueryError(396, "TOO_MANY_ROWS_OR_BYTES", message)


@contextlib.contextmanager
def engine_errors() -> Iterator[None]:
    """Turn the engine's exceptions into :class:`QueryError`."""
    try:
        yield
    except RuntimeError as error:
        raise as_query_error(error) from None


def quote(text: str) -> str:
    """Return ``text`` as a string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


class InsertStream:
    """An INSERT that takes its data in pieces. Rows are durable once :meth:`finish` returned.

    The data are spooled to a file in the scratch directory and inserted from there as a whole. The
    engine's own way of taking an insert in pieces reports success when a constraint, the number of
    partitions or the disk has refused the rows.
    """

    def __init__(self, connection: _Connection, head: InsertHead) -> None:
        self._connection = connection
        self._head = head
        self._path = SPOOL / uuid.uuid4().hex
        self._file = self._path.open("xb")

    def append(self, data: bytes) -> None:
        """Take one piece of the data; a value may be cut in two."""
        self._file.write(data)

    def finish(self) -> Statistics:
        """Commit and say what was written, rows of materialized views included."""
        self._file.close()
        head = self._head
        try:
            with engine_errors():
                result = self._connection.query(
                    f"{head.statement} FROM INFILE {quote(str(self._path))} COMPRESSION 'none' "
                    f"{head.settings} FORMAT {head.input_format}"
                )
        finally:
            self.cancel()
        return Statistics(
            read_rows=result.rows_written(),
            read_bytes=result.bytes_written(),
            written_rows=result.rows_written(),
            written_bytes=result.bytes_written(),
            elapsed=result.elapsed(),
        )

    def cancel(self) -> None:
        """Drop what is not yet written; after :meth:`finish` it does nothing."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class Handle:
    """One session. Used by one thread at a time, not always the same one."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def set(self, settings: Mapping[str, str]) -> None:
        """Change settings of the session; names must be identifiers."""
        if settings:
            changes = ", ".join(f"{name} = {quote(value)}" for name, value in settings.items())
            with engine_errors():
                self._connection.query(f"SET {changes}")

    def use(self, database: str) -> None:
        """Make ``database`` the current one."""
        name = database.replace("\\", "\\\\").replace("`", "\\`")
        with engine_errors():
            self._connection.query(f"USE `{name}`")

    def classify(self, sql: str) -> tuple[str, int]:
        """Return the engine's class of the statement (``READ_ONLY``, …) and their number."""
        with engine_errors():
            verdict = self._connection.classify_query(sql, "")
        name = getattr(verdict["query_class"], "name", "UNKNOWN")
        return str(name), int(str(verdict["statement_count"]))

    def query(
        self, sql: str, output_format: str, parameters: Mapping[str, str]
    ) -> tuple[bytes, Statistics]:
        """Run a statement and return its whole result, in memory.

        Raises
        ------
        QueryError
            The engine's, or 396 when the result is over :data:`MAX_RESULT_BYTES`: the engine
            counts what it makes, not what the format makes of it.
        """
        with engine_errors():
            result = self._connection.query(sql, output_format, params=dict(parameters))
        if result.size() > MAX_RESULT_BYTES:
            raise too_large()
        data = result.bytes() or b""
        return data, Statistics(
            read_rows=result.storage_rows_read(),
            read_bytes=result.storage_bytes_read(),
            written_rows=result.rows_written(),
            written_bytes=result.bytes_written(),
            result_rows=result.rows_read(),
            result_bytes=len(data),
            elapsed=result.elapsed(),
        )

    def stream(
        self, sql: str, output_format: str, parameters: Mapping[str, str]
    ) -> Generator[Chunk, None, None]:
        """Run a SELECT block by block. The last chunk has no rows.

        The query ends when the generator is closed.
        """
        with engine_errors():
            stream = self._connection.send_query(sql, output_format, params=dict(parameters))
        ended = False
        try:
            while not ended:
                with engine_errors():
                    result = self._connection.streaming_fetch_result(stream)
                ended = result.rows_read() == 0
                yield Chunk(
                    result.bytes() or b"",
                    result.rows_read(),
                    result.storage_rows_read(),
                    result.storage_bytes_read(),
                )
        except QueryError:
            ended = True
            raise
        finally:
            if not ended:
                with contextlib.suppress(RuntimeError):
                    self._connection.streaming_cancel_query(stream)

    def insert(self, head: InsertHead) -> InsertStream:
        """Begin an INSERT; its data follow."""
        return InsertStream(self._connection, head)

    def close(self) -> None:
        """End the session."""
        self._connection.close()
