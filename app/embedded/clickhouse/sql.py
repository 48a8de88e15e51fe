"""A small lexer for ClickHouse's SQL: where an INSERT's data begin, which format a query asks for.

Nothing here decides what a reader may run; that is the engine's own parser (:mod:`.gate`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# What is never closed reaches to the end: every byte is looked at once, whatever the text.
_TOKEN = re.compile(
    rb"""
    (?P<space>   \s+ | --[^\n]* | \#[!\ ][^\n]* | /\*.*?(?:\*/|\Z) )
  | (?P<quoted>  '(?:[^'\\]|\\.|'')*(?:'|\Z) | "(?:[^"\\]|\\.|"")*(?:"|\Z)
               | `(?:[^`\\]|\\.|``)*(?:`|\Z) | \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z) )
  | (?P<word>    [A-Za-z_]\w* )
  | (?P<open>    [(\[{] )
  | (?P<close>   [)\]}] )
  | (?P<other>   . )
    """,
    re.DOTALL | re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A token outside of all brackets."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def keyword(self) -> str:
        """The token in capitals when it is a bare word, else nothing."""
        return self.text.upper() if self.kind == "word" else ""


@dataclass(frozen=True, slots=True)
class InsertHead:
    """An INSERT with data, in parts: up to its columns, its SETTINGS, its format, its data."""

    statement: str
    settings: str
    input_format: str
    data_start: int


def words(text: str) -> frozenset[str]:
    """Return the set of a text's words."""
    return frozenset(text.split())


def _tokens(sql: bytes) -> Iterator[Token]:
    """Yield the tokens outside of brackets; a bracket with its content is one ``group``."""
    depth = opened = 0
    for match in _TOKEN.finditer(sql):
        kind = str(match.lastgroup)
        if kind == "open":
            if depth == 0:
                opened = match.start()
            depth += 1
        elif kind == "close":
            depth = max(0, depth - 1)
            if depth == 0:
                yield Token("group", "", opened, match.end())
        elif depth == 0 and kind != "space":
            text = match.group().decode(errors="replace")
            yield Token(kind, text, match.start(), match.end())


def first_keyword(sql: bytes) -> str:
    """Return the first word in capitals; ``(`` when the statement begins with a bracket."""
    token = next(_tokens(sql), None)
    if token is None:
        return ""
    return "(" if token.kind == "group" else token.keyword


def output_format(sql: bytes) -> str | None:
    """Return the format that the query's own FORMAT clause names, or None."""
    if b"FORMAT" not in sql.upper():
        return None
    tokens = list(_tokens(sql))
    for i in range(len(tokens) - 2, -1, -1):
        if tokens[i].keyword == "FORMAT" and tokens[i + 1].kind == "word":
            after = tokens[i + 2 : i + 3]
            if not after or after[0].text == ";" or after[0].keyword == "SETTINGS":
                return tokens[i + 1].text
    return None


def inserts_into_function(sql: bytes) -> bool:
    """Whether the statement is ``INSERT INTO FUNCTION name(…)``: a file, another server."""
    tokens = _tokens(sql)
    if next((t.keyword for t in tokens), "") != "INSERT":
        return False
    target = next((t for t in tokens if t.keyword not in {"INTO", "TABLE"}), None)
    following = next(tokens, None)
    return (
        target is not None
        and target.keyword == "FUNCTION"
        and following is not None
        and following.kind in {"word", "quoted"}
    )


def split_insert(sql: bytes) -> InsertHead | None:
    """Cut an INSERT before its data.

    Returns
    -------
    InsertHead or None
        None when there is nothing to cut: another statement, or INSERT … SELECT.
    """
    tokens = _tokens(sql)
    if next((t.keyword for t in tokens), "") != "INSERT":
        return None
    previous = Token("other", "", 0, 0)
    named = False
    settings_at: int | None = None
    for token in tokens:
        word = token.keyword
        if not named:  # up to the end of the table's name, where FORMAT or VALUES are mere names
            named = previous.keyword in {"INTO", "TABLE"} and word != "TABLE"
        elif previous.text == ".":
            pass
        elif word in {"SELECT", "WITH", "WATCH", "INFILE"}:
            return None
        elif word == "VALUES":
            return _head(sql, settings_at, token.start, "Values", token.end)
        elif word == "FORMAT":
            name = next(tokens, None)
            if name is None or name.kind != "word":
                return None
            return _head(sql, settings_at, token.start, name.text, _data_start(sql, name.end))
        elif word == "SETTINGS" and settings_at is None:
            settings_at = token.start
        previous = token
    return None


def _head(sql: bytes, settings_at: int | None, end: int, name: str, data_start: int) -> InsertHead:
    cut = end if settings_at is None else settings_at
    return InsertHead(sql[:cut].decode(), sql[cut:end].decode(), name, data_start)


def _data_start(sql: bytes, position: int) -> int:
    """Skip blanks and one line end after the format's name."""
    match = re.compile(rb"[ \t\f\v]*;?[ \t\f\v]*\r?\n?").match(sql, position)
    return match.end() if match else position
