"""What a request asks for: parameters, statement, and the data of an INSERT still to be read."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import BodyPartReader, web

from app.embedded.clickhouse.encodings import Decoder, decoder
from app.embedded.clickhouse.sql import InsertHead, first_keyword, output_format, split_insert
from app.errors import QueryError

_STALL_SECONDS = 60  # a client that sends nothing for so long is given up
_PIECE_BYTES = 1 << 20
_NOT_QUERY_ID = re.compile(r"[^\w.:-]", re.ASCII)
_SELECTS = frozenset({"SELECT", "WITH", "FROM", "("})


class Body:
    """A request's body, decompressed piece by piece."""

    def __init__(self, request: web.Request, decoding: Decoder) -> None:
        self._content = request.content
        self._decoding = decoding

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes; nothing is held but one piece.

        Raises
        ------
        QueryError
            When the client stalls or the body cannot be decompressed.
        """
        while data := await self._read():
            for piece in self._decoding.decode(data):
                if piece:
                    yield piece
        self._decoding.finish()

    async def _read(self) -> bytes:
        """Read about a mebibyte, so that the engine is not called for every packet."""
        parts, size = [], 0
        try:
            async with asyncio.timeout(_STALL_SECONDS):
                while size < _PIECE_BYTES and (part := await self._content.readany()):
                    parts.append(part)
                    size += len(part)
        except TimeoutError:
            message = f"The client sent nothing for {_STALL_SECONDS} seconds"
            raise QueryError(209, "SOCKET_TIMEOUT", message) from None
        return b"".join(parts)


@dataclass(slots=True)
class Call:
    """A request, understood.

    Attributes
    ----------
    sql
        The statement; of an INSERT with data, all of it before the data.
    insert
        Cut before its data when it is an INSERT with data.
    data
        The data of that INSERT.
    options
        URL (and form) parameters: settings and switches of the interface.
    parameters
        Values of ``{name:Type}`` placeholders, by name.
    database
        The current database asked for; may be empty.
    output_format
        Of the result, as the statement or the request names it.
    is_select
        Whether the engine can run the statement block by block.
    accept_encoding
        The compressions that the client takes; empty when it wants none.
    may_change
        Whether the HTTP method lets a statement change anything.
    """

    sql: str
    insert: InsertHead | None
    data: AsyncIterator[bytes]
    options: dict[str, str]
    parameters: dict[str, str]
    database: str
    output_format: str
    is_select: bool
    accept_encoding: str
    may_change: bool

    def switch(self, name: str) -> bool:
        """Whether a switch of the interface is on."""
        return self.options.get(name, "0").lower() in {"1", "true"}


def query_id(request: web.Request) -> str:
    """Return the client's id of the query, or a new one."""
    given = request.query.get("query_id", "")
    return _NOT_QUERY_ID.sub("", given)[:128] or str(uuid.uuid4())


async def understand(request: web.Request, max_bytes: int) -> Call:
    """Read parameters and statement; the data of an INSERT stay unread.

    Parameters
    ----------
    request
        Not yet read.
    max_bytes
        Size of the longest statement.

    Raises
    ------
    QueryError
        When the body is malformed, or the statement too long.
    """
    options: dict[str, str] = dict(request.query)
    decoding = decoder(
        request.headers.get("Content-Encoding", ""), framed=options.get("decompress") == "1"
    )
    if request.content_type == "multipart/form-data":
        options |= await _form(request, max_bytes)
        pieces = _nothing()
    else:
        pieces = Body(request, decoding).pieces()
    text = options.pop("query", "").encode()
    insert = split_insert(text)
    if insert is None:
        # The statement is in the body, or goes on there; an INSERT's data may follow it.
        head = await _take(pieces, max_bytes - len(text))
        text = b"\n".join(part for part in (text, head) if part)
        insert = split_insert(text)
    if insert is None:
        await _require_end(text, pieces, max_bytes)
    data = _chain(text[insert.data_start :], pieces) if insert else pieces
    statement = text[: insert.data_start] if insert else text
    headers = request.headers
    wants = options.get("enable_http_compression", "1") != "0"
    return Call(
        sql=_decode(statement).strip().rstrip(";").strip(),
        insert=insert,
        data=data,
        options=options,
        parameters={k[6:]: v for k, v in options.items() if k.startswith("param_")},
        database=options.get("database") or headers.get("X-ClickHouse-Database") or "",
        output_format=output_format(statement)
        or options.get("default_format")
        or headers.get("X-ClickHouse-Format")
        or "TabSeparated",
        is_select=first_keyword(statement) in _SELECTS,
        accept_encoding=headers.get("Accept-Encoding", "") if wants else "",
        may_change=request.method == "POST",
    )


async def _form(request: web.Request, max_bytes: int) -> dict[str, str]:
    """Read a form's fields."""
    if request.headers.get("Content-Encoding"):
        raise QueryError(48, "NOT_IMPLEMENTED", "A form cannot be compressed")
    fields: dict[str, str] = {}
    left = max_bytes
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or not part.name:
                raise QueryError(36, "BAD_ARGUMENTS", "A field of the form has no name")
            if part.filename:
                raise QueryError(48, "NOT_IMPLEMENTED", "External tables are not supported")
            value = bytearray()
            while chunk := await part.read_chunk():
                value += chunk
                left -= len(chunk)
                if left < 0:
                    raise _too_large(max_bytes)
            fields[part.name] = _decode(bytes(value))
    except ValueError as error:
        raise QueryError(36, "BAD_ARGUMENTS", f"The form is malformed: {error}") from None
    return fields


async def _take(pieces: AsyncIterator[bytes], size: int) -> bytes:
    """Read pieces until ``size`` bytes are there or the body ends."""
    head = bytearray()
    async for piece in pieces:
        head += piece
        if len(head) >= size:
            break
    return bytes(head)


async def _require_end(text: bytes, pieces: AsyncIterator[bytes], max_bytes: int) -> None:
    if len(text) > max_bytes:
        raise _too_large(max_bytes)
    async for _ in pieces:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> QueryError:
    return QueryError(229, "QUERY_IS_TOO_LARGE", f"The statement is over {max_bytes} bytes")


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first:
        yield first
    async for piece in rest:
        yield piece


async def _nothing() -> AsyncIterator[bytes]:
    no_pieces: tuple[bytes, ...] = ()
    for piece in no_pieces:
        yield piece


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise QueryError(62, "SYNTAX_ERROR", "The statement is not UTF-8") from None
