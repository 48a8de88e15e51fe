"""Which settings a client may send with a request, and the limits of readers."""

import re
from collections.abc import Mapping

from app.embedded.clickhouse.auth import Role
from app.embedded.clickhouse.gate import refusal
from app.embedded.clickhouse.session import MAX_RESULT_BYTES
from app.embedded.clickhouse.sql import words
from app.errors import QueryError
from app.settings import Settings

# Of the HTTP interface itself, or without meaning here; taken and not passed on.
_TRANSPORT = words(
    "query database default_format user password query_id session_id session_timeout "
    "session_check close_session quota_key role compress decompress wait_end_of_query buffer_size "
    "client_protocol_version enable_http_compression add_http_cors_header "
    "cancel_http_readonly_queries_on_client_close send_progress_in_http_headers log_comment "
    "log_queries stacktrace http_headers_progress_interval_ms http_zlib_compression_level "
    "http_native_compression_disable_checksumming_on_decompress "
    "http_write_exception_in_output_format http_response_buffer_size"
)
_PARAMETER = "param_"

# How results look and how joins, FINAL and dates behave. Not among them: anything that names a
# file or a schema, raises a limit, or holds an expression that would be run.
_READER = re.compile(
    r"output_format_(json|csv|tsv|arrow|parquet|orc|avro|pretty|native|decimal|binary|values|xml"
    r"|bson|msgpack|markdown|write_statistics|enable_streaming|float)\w*"
    r"|format_(csv|tsv|custom)_\w+"
    r"|(date_time_(in|out)put_format|session_timezone|use_client_time_zone|join_use_nulls|final"
    r"|do_not_merge_across_partitions_select_final|extremes|limit|offset|max_block_size"
    r"|cast_string_to_dynamic_use_inference|union_default_mode|group_by_use_nulls|transform_null_in"
    r"|prefer_column_name_to_alias|low_cardinality_allow_in_native_format|totals_mode"
    r"|result_overflow_mode|aggregate_functions_null_for_empty|count_distinct_implementation"
    r"|empty_result_for_aggregation_by_empty_set|date_time_overflow_behavior)"
)
_NAME = re.compile(r"\w+")
_EXTERNAL = re.compile(r"\w+_(format|types|structure)")

# A block is in memory a few times over on its way out; the engine's own size is four times larger.
_STREAMED = {"max_block_size": "16384"}

_MIB = 1 << 20
_QUERY_BYTES = {Role.READER: 256 * 1024, Role.WRITER: _MIB}


def max_query_bytes(role: Role) -> int:
    """Return the size of the longest statement; an INSERT's data do not count."""
    return _QUERY_BYTES[role]


class Policy:
    """The settings of a request's session.

    Parameters
    ----------
    settings
        ``clickhouse_memory_mb`` and ``clickhouse_query_seconds`` set the readers' limits.
    """

    def __init__(self, settings: Settings) -> None:
        memory = settings.clickhouse_memory_mb * _MIB
        self._limits = {
            "max_execution_time": max(1, round(settings.clickhouse_query_seconds)),
            "max_memory_usage": max(memory // 2, min(memory, 64 * _MIB)),
            "max_rows_to_read": 200_000_000,
            "max_result_bytes": MAX_RESULT_BYTES,
            "max_result_rows": 5_000_000,
            "max_threads": 1,
            "max_ast_elements": 20_000,
            "max_query_size": _QUERY_BYTES[Role.READER],
        }

    def reader(
        self, asked: Mapping[str, str], *, streamed: bool, handshake: bool
    ) -> dict[str, str]:
        """Return the settings of a reader's session; the last one forbids further changes.

        A limit may be lowered, never raised. A streamed result has no limit of size: it is never
        in memory whole.

        Raises
        ------
        QueryError
            164 (READONLY) when a setting is not open to readers.
        """
        limits = dict(self._limits)
        chosen = {"result_overflow_mode": "throw"}
        if streamed:
            del limits["max_result_bytes"], limits["max_result_rows"]
            chosen |= _STREAMED
        for name, value in _settings(asked).items():
            if name in limits:
                limits[name] = _lower(name, value, limits[name])
            elif _READER.fullmatch(name):
                chosen[name] = value
            elif name not in self._limits and name != "readonly":
                raise refusal(f"the setting {name} is not open to readers")
        fixed = {name: str(value) for name, value in limits.items()}
        return {**chosen, **fixed, "readonly": "2" if handshake else "1"}

    def writer(self, asked: Mapping[str, str], *, streamed: bool) -> dict[str, str]:
        """Return the settings of a writer's session: all that were sent."""
        own = _STREAMED if streamed else {"max_result_bytes": str(MAX_RESULT_BYTES)}
        return {**own, **_settings(asked)}


def _settings(asked: Mapping[str, str]) -> dict[str, str]:
    """Drop what belongs to the HTTP interface."""
    chosen = {}
    for name, value in asked.items():
        if name in _TRANSPORT or name.startswith(_PARAMETER):
            continue
        if not _NAME.fullmatch(name):
            raise QueryError(115, "UNKNOWN_SETTING", "Unknown setting")
        if _EXTERNAL.fullmatch(name) and not _is_setting(name):
            raise QueryError(48, "NOT_IMPLEMENTED", "External tables are not supported")
        chosen[name] = value
    return chosen


def _is_setting(name: str) -> bool:
    """Whether a name that ends like an external table's is one of a setting."""
    return name.startswith(("date_time_", "output_", "input_", "format_", "allow_", "enable_"))


def _lower(name: str, value: str, limit: int) -> int:
    try:
        asked = int(float(value))
    except ValueError:
        message = f"{name} must be a number"
        raise QueryError(72, "CANNOT_PARSE_NUMBER", message) from None
    return min(asked, limit) if asked > 0 else limit
