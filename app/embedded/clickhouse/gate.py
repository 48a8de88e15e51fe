"""What a reader may run: one statement, read-only, that touches tables and nothing else.

The engine's ``readonly`` setting is no sandbox: with it statements may still read files, open
network connections and write files. So the engine's own parser is asked first, twice: what class
the statement has, and what its syntax tree is (``EXPLAIN AST``: parsed, parameters put in, names
unescaped, nothing run). The tree may hold only node types whose content it prints whole, table
functions that compute, functions that touch nothing outside, and names of real tables.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.embedded.clickhouse.engine import Engine
from app.embedded.clickhouse.session import Handle
from app.embedded.clickhouse.sql import words
from app.errors import QueryError

_TABLE_FUNCTIONS = frozenset(
    {"numbers", "numbers_mt", "zeros", "zeros_mt", "generateseries", "generate_series"}
    | {"sqlstandardvalues"}
)
# Functions that reach out of the query: files, network, sleep, other people's requests, the
# process's own memory; and the parser's internals.
_FUNCTIONS = re.compile(
    r"file|sleep(eachrow)?|addressto\w+|demangle|logtrace|tid|aggthrow|flamegraph|trap"
    r"|catboostevaluate|showcertificate|getclienthttpheader|generateserialid|hascolumnintable"
    r"|zookeeper\w*|executable|__\w+"
    r"|ai(classify|embed|extract|filter|generate|redact|similarity|translate)\w*"
)
_HARMLESS = frozenset(
    {"format"}
)  # as a table function it runs expressions, as a function it formats

# Tables of the system database that say nothing of other people's queries or of the machine.
_SYSTEM_TABLES = words(
    "aggregate_function_combinators asynchronous_metrics build_options codecs collations columns "
    "constraints contributors data_skipping_index_types data_skipping_indices data_type_families "
    "database_engines databases detached_parts dictionaries disk_types documentation events "
    "formats functions keywords licenses merge_tree_settings merges metrics numbers numbers_mt one "
    "parts parts_columns primes projection_parts projection_parts_columns projections "
    "server_settings settings statements table_engines table_functions tables time_zones "
    "tokenizers unicode zeros zeros_mt"
)
_SYSTEM_DATABASES = frozenset({"system"})

# Node types whose every child is printed. Not among them: `APPLY(function)`, which is printed
# without its function, and `SETTINGS`, which in a subquery overrides even what is read-only.
_NODES = words(
    "SelectWithUnionQuery SelectQuery SelectIntersectExceptQuery ExpressionList Function "
    "Identifier TableIdentifier Literal Asterisk QualifiedAsterisk ColumnsTransformerList "
    "ColumnsExceptTransformer ColumnsReplaceTransformer ColumnsReplaceTransformer::Replacement "
    "ColumnsRegexpMatcher ColumnsListMatcher QualifiedColumnsRegexpMatcher "
    "QualifiedColumnsListMatcher TablesInSelectQuery TablesInSelectQueryElement TableExpression "
    "TableJoin ArrayJoin Subquery OrderByElement InterpolateElement WindowDefinition "
    "WindowListElement WithElement SampleRatio DataType NameTypePair"
)
_ROOTS = _NODES | {"Explain", "DescribeQuery", "ExistsTableQuery", "ExistsViewQuery"}
# Statements whose conditions the tree hides: allowed in their plain form.
_SHOW = frozenset({"ShowTables", "ShowColumns", "ShowIndexes", "ShowFunctions", "ShowEngines"})
_SHOW_CREATE = frozenset({"ShowCreateTableQuery", "ShowCreateViewQuery", "ShowCreateDatabaseQuery"})
_PLAIN_SHOW = re.compile(r"(?!.*\bWHERE\b)[^(]*?(\bLIMIT\s+\d+\s*)?", re.IGNORECASE | re.DOTALL)
_LIMIT = re.compile(r"\bLIMIT\b", re.IGNORECASE)

_LINE = re.compile(r"( *)([A-Za-z:]+)(?: .*)?", re.DOTALL)
_CHILDREN = re.compile(r" \(children (\d+)\)\Z")
_CHILDREN_CHARS = 40
_EXPLAIN = "EXPLAIN AST "
_POSITION = re.compile(r"(failed at position |\(line 1, col )(\d+)")
_TABLE_NAME = re.compile(r"\w+(\.\w+)?")
_IN = re.compile(r"(global)?(not)?(null)?in(ignoreset)?")
_HANDSHAKE = re.compile(
    r"SELECT name, value, readonly FROM system\.settings( LIMIT \d+)?\s+FORMAT \w+"
)


@dataclass(frozen=True, slots=True)
class _Node:
    """A line of the tree: what it is, its name, and the nodes above it (nearest last)."""

    kind: str
    name: str
    above: tuple["_Node", ...]


class Gate:
    """Decides on readers' statements.

    Parameters
    ----------
    engine
        Asked once for the names of its table functions.
    """

    def __init__(self, engine: Engine) -> None:
        names = engine.ask("SELECT DISTINCT lower(name) FROM system.table_functions").split()
        self._refused = frozenset(names) - _TABLE_FUNCTIONS - _HARMLESS

    def check(self, handle: Handle, sql: str, parameters: Mapping[str, str]) -> None:
        """Return when a reader may run the statement.

        Parameters
        ----------
        handle
            A session that is already read-only, in the reader's database.
        sql
            The statement as it will be run.
        parameters
            Values of its ``{name:Type}`` placeholders.

        Raises
        ------
        QueryError
            164 (READONLY) when the statement is not allowed, else the parser's own error.
        """
        require_one_read_only(handle, sql)
        try:
            tree, _ = handle.query(f"{_EXPLAIN}{sql}", "TabSeparatedRaw", parameters)
        except QueryError as error:
            raise _relocated(error) from None
        for node in _nodes(tree.decode(errors="replace")):
            self._check_node(node, sql)

    def _check_node(self, node: _Node, sql: str) -> None:
        if not node.above and node.kind in _SHOW | _SHOW_CREATE:
            _check_show(sql)
        elif node.kind == "Set" and len(node.above) == 1 and node.above[0].kind == "Explain":
            pass  # EXPLAIN's own: indexes = 1
        elif node.kind not in (_NODES if node.above else _ROOTS):
            raise refusal(f"{node.kind} is not allowed")
        if node.kind == "Function":
            self._check_function(node)
        elif node.kind == "TableIdentifier" or (
            node.kind == "Identifier" and _names_a_table(node.above)
        ):
            _check_table(node.name)
        elif node.kind == "Identifier":
            if _FUNCTIONS.fullmatch(node.name.lower()):  # functions are values: arrayMap(file, …)
                raise refusal(f"{node.name} is not allowed")
            _check_system(node.name)

    def _check_function(self, node: _Node) -> None:
        name = node.name.lower()
        is_table = bool(node.above) and node.above[-1].kind == "TableExpression"
        if is_table:
            allowed = name in _TABLE_FUNCTIONS
        else:
            allowed = name in _HARMLESS or not (name in self._refused or _FUNCTIONS.fullmatch(name))
        if not allowed:
            raise refusal(f"the function {node.name} is not allowed")


def require_one_read_only(handle: Handle, sql: str) -> None:
    """Raise unless the engine takes ``sql`` for one statement that changes nothing."""
    kind, count = handle.classify(sql)
    if count > 1:
        raise QueryError(62, "SYNTAX_ERROR", "Multi-statements are not allowed")
    if count == 1 and kind != "READ_ONLY":
        raise refusal("only statements that read are allowed here")


def is_handshake(sql: str) -> bool:
    """Whether this is clickhouse-connect's question which settings a client may change.

    It must be answered by a session that may change settings, or the client believes that it
    may send none.
    """
    return _HANDSHAKE.fullmatch(sql) is not None


def refusal(why: str) -> QueryError:
    """Return ClickHouse's error for a statement beyond the caller's rights."""
    return QueryError(164, "READONLY", f"Cannot execute query in readonly mode: {why}")


def _relocated(error: QueryError) -> QueryError:
    """Return the parser's error with positions in the statement itself."""
    message = _POSITION.sub(lambda m: f"{m[1]}{max(1, int(m[2]) - len(_EXPLAIN))}", error.message)
    return QueryError(error.code, error.name, message)


def _nodes(tree: str) -> list[_Node]:
    """Return the nodes of a printed tree.

    A name with line breaks prints lines of its own choice. Such lines cannot be told from others,
    but they cannot come between a node and its ancestors either: then an ancestor would have more
    children than it says, or the tree a second root.
    """
    nodes: list[_Node] = []
    missing: list[int] = []  # children still to come, for each node on the way down
    above: tuple[_Node, ...] = ()
    for line in tree.rstrip("\n").split("\n"):
        match = _LINE.fullmatch(line)
        depth = len(match[1]) if match else 0
        if match is None or depth > len(above) or (nodes and depth == 0) or any(missing[depth:]):
            raise refusal("a name in it is not allowed")
        above, missing = above[:depth], missing[:depth]
        if missing:
            missing[-1] -= 1
        children = _CHILDREN.search(line, max(0, len(line) - _CHILDREN_CHARS))
        text = line[match.end(2) : children.start() if children else None]
        node = _Node(match[2], text.partition(" (alias ")[0].strip(), above)
        nodes.append(node)
        above, missing = (*above, node), [*missing, int(children[1]) if children else 0]
    if any(missing):
        raise refusal("a name in it is not allowed")
    return nodes


def _names_a_table(above: tuple[_Node, ...]) -> bool:
    """Whether an identifier stands where a table may: after IN, or in SHOW and EXISTS."""
    if not above:
        return False
    if above[0].kind in _SHOW | _SHOW_CREATE or above[0].kind.startswith("Exists"):
        return True
    return (
        len(above) > 1
        and above[-2].kind == "Function"
        and bool(_IN.fullmatch(above[-2].name.lower()))
    )


def _check_table(name: str) -> None:
    """Refuse names that could be files, and tables of the system that are not for readers."""
    if not _TABLE_NAME.fullmatch(name):
        raise refusal("a table's name may only have letters, digits and underscores")
    _check_system(name)


def _check_system(name: str) -> None:
    database, _, rest = name.partition(".")
    table = rest.partition(".")[0]
    if table and database.lower() in _SYSTEM_DATABASES and table.lower() not in _SYSTEM_TABLES:
        raise refusal(f"the table {database}.{table} is not for readers")


def _check_show(sql: str) -> None:
    if not _PLAIN_SHOW.fullmatch(sql.rstrip("; \t\r\n")) or len(_LIMIT.findall(sql)) > 1:
        raise refusal("SHOW takes LIKE and a plain LIMIT, no conditions")
