"""The blocking halves of requests, run in the server's threads: reading and inserting."""

from collections.abc import Generator
from contextlib import closing

from app.embedded.clickhouse.auth import Role
from app.embedded.clickhouse.encodings import Encoder
from app.embedded.clickhouse.engine import SERVER_DEFAULTS, Engine
from app.embedded.clickhouse.formats import Joiner, is_streamable
from app.embedded.clickhouse.gate import Gate, is_handshake, refusal, require_one_read_only
from app.embedded.clickhouse.policy import Policy
from app.embedded.clickhouse.request import Call
from app.embedded.clickhouse.session import (
    MAX_RESULT_BYTES,
    Handle,
    InsertStream,
    Statistics,
    too_large,
)
from app.embedded.clickhouse.sql import first_keyword, inserts_into_function, words
from app.errors import QueryError

# What the writer may run although the engine calls it control: it ends with the request, or stays
# within the tables (a change with SETTINGS is called so).
_WRITER_CONTROL = words("USE SET KILL ATTACH DETACH ALTER CREATE INSERT DELETE UPDATE")


class Server:
    """The engine with its gate and its limits."""

    def __init__(self, engine: Engine, policy: Policy) -> None:
        self.engine = engine
        self.policy = policy
        self.gate = Gate(engine)

    def session(self, call: Call, role: Role, tag: str, *, streamed: bool) -> Handle:
        """Open a session for ``call``: database, settings, and for readers the gate.

        Raises
        ------
        QueryError
            When the statement, a setting or the database is not allowed or not there.
        """
        handle = self.engine.open()
        try:
            self._enter(handle, call, role, tag, streamed=streamed)
        except BaseException:
            handle.close()
            raise
        return handle

    def _enter(self, handle: Handle, call: Call, role: Role, tag: str, *, streamed: bool) -> None:
        if role is Role.READER:
            if call.insert is not None:
                raise refusal("only statements that read are allowed here")
            if call.database.lower() == "system":
                raise refusal("the database system cannot be the current one")
        if call.database:
            handle.use(call.database)
        if role is Role.WRITER:
            chosen = self.policy.writer(call.options, streamed=streamed)
            handle.set({**SERVER_DEFAULTS, **chosen, "log_comment": tag})
            self._check_writer(handle, call)
            return
        handshake = is_handshake(call.sql)
        limits = self.policy.reader(call.options, streamed=streamed, handshake=handshake)
        handle.set({**SERVER_DEFAULTS, "log_comment": tag, **limits})
        self.gate.check(handle, call.sql, call.parameters)

    def _check_writer(self, handle: Handle, call: Call) -> None:
        if not call.may_change:
            if call.insert is not None:
                raise refusal("GET only reads, use POST")
            require_one_read_only(handle, call.sql)
            return
        sql = call.sql.encode()
        outside = inserts_into_function(sql)
        if call.insert is None:
            kind, count = handle.classify(call.sql)
            if count > 1:
                raise QueryError(62, "SYNTAX_ERROR", "Multi-statements are not allowed")
            outside |= kind == "CONTROL" and first_keyword(sql) not in _WRITER_CONTROL
        if outside:
            raise refusal("statements that reach outside of the tables are not allowed")


class Reading:
    """A statement whose result is fetched in encoded pieces."""

    def __init__(self, server: Server, call: Call, role: Role, tag: str, encoder: Encoder) -> None:
        self.statistics = Statistics()
        self.format = call.output_format
        self._server, self._call, self._role, self._tag = server, call, role, tag
        self._encoder = encoder
        self._streamed = call.is_select and is_streamable(self.format) and _plain(call)
        self._handle: Handle | None = None
        self._pieces: Generator[bytes, None, None] | None = None

    def fetch(self, size: int) -> tuple[bytes, bool]:
        """Return the next encoded bytes, about ``size`` or more, and whether they are the last."""
        if self._pieces is None:
            self._handle = self._server.session(
                self._call, self._role, self._tag, streamed=self._streamed
            )
            self._pieces = (
                self._stream(self._handle) if self._streamed else self._whole(self._handle)
            )
        parts, have = [], 0
        for piece in self._pieces:
            parts.append(self._encoder.encode(piece))
            have += len(parts[-1])
            if have >= size:
                return b"".join(parts), False
        parts.append(self._encoder.finish())
        return b"".join(parts), True

    def fetch_all(self) -> bytes:
        """Return the whole encoded result; more than the limit is an error."""
        data, done = self.fetch(MAX_RESULT_BYTES)
        if not done:
            raise too_large()
        return data

    def encode_error(self, block: bytes) -> bytes:
        """Return a last piece for a result that has broken off."""
        return self._encoder.encode(block) + self._encoder.finish()

    def _stream(self, handle: Handle) -> Generator[bytes, None, None]:
        joiner, statistics = Joiner(self.format), self.statistics
        with closing(handle.stream(self._call.sql, self.format, self._call.parameters)) as chunks:
            for chunk in chunks:
                statistics.read_rows += chunk.read_rows
                statistics.read_bytes += chunk.read_bytes
                statistics.result_rows += chunk.rows
                piece = joiner.join(chunk.data, chunk.rows)
                statistics.result_bytes += len(piece)
                yield piece

    def _whole(self, handle: Handle) -> Generator[bytes, None, None]:
        data, self.statistics = handle.query(self._call.sql, self.format, self._call.parameters)
        yield data

    def close(self) -> None:
        """End the query, if it runs, and the session."""
        if self._pieces is not None:
            self._pieces.close()
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class Inserting:
    """An INSERT whose data come in pieces."""

    def __init__(self, server: Server, call: Call, role: Role, tag: str) -> None:
        self._server, self._call, self._role, self._tag = server, call, role, tag
        self._handle: Handle | None = None
        self._stream: InsertStream | None = None

    def begin(self) -> None:
        """Check the statement and open its table."""
        insert = self._call.insert
        if insert is None:
            raise TypeError("the call is not an INSERT with data")
        self._handle = self._server.session(self._call, self._role, self._tag, streamed=True)
        values = {f"param_{name}": value for name, value in self._call.parameters.items()}
        self._handle.set(values)
        self._stream = self._handle.insert(insert)

    def append(self, data: bytes) -> None:
        """Take one piece."""
        if self._stream is not None:
            self._stream.append(data)

    def finish(self) -> Statistics:
        """Commit; when this returns, the rows survive a power loss."""
        if self._stream is None:
            raise TypeError("the INSERT has not begun")
        return self._stream.finish()

    def close(self) -> None:
        """Drop what is not committed, and end the session."""
        if self._stream is not None:
            self._stream.cancel()
        if self._handle is not None:
            self._handle.close()
            self._handle = None


def _plain(call: Call) -> bool:
    """Whether the result has rows only: totals and extremes do not come with a stream."""
    return "TOTALS" not in call.sql.upper() and not call.switch("extremes")
