"""Connections to ClickHouse over HTTP, and what their failures mean.

The embedded server and a real one are addressed alike. The writer is used by the sink, by
migrations and by the replay of dead letters; everything else reads as the reader.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from app.errors import ClickHouseUnavailableError, QueryError
from app.secret_files import CLICKHOUSE_WRITER_PASSWORD, ensure_secret
from app.settings import Settings

Parameters = Mapping[str, Any]

# Failures reach the caller; the driver's own lines repeat them with addresses and tracebacks.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)

_CONNECT_SECONDS = 5
_INSERT_SECONDS = 60
_REFUSED_FOR_DATA: Final = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        26,  # CANNOT_PARSE_QUOTED_STRING
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        33,  # CANNOT_READ_ALL_DATA
        38,  # CANNOT_PARSE_DATE
        41,  # CANNOT_PARSE_DATETIME
        53,  # TYPE_MISMATCH
        69,  # ARGUMENT_OUT_OF_BOUND
        70,  # CANNOT_CONVERT_TYPE
        72,  # CANNOT_PARSE_NUMBER
        117,  # INCORRECT_DATA
        128,  # TOO_LARGE_ARRAY_SIZE
        131,  # TOO_LARGE_STRING_SIZE
        321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        376,  # CANNOT_PARSE_UUID
        407,  # DECIMAL_OVERFLOW
        469,  # VIOLATED_CONSTRAINT
        691,  # UNKNOWN_ELEMENT_OF_ENUM
    }
)
_PASSING: Final = frozenset(
    {
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        319,  # UNKNOWN_STATUS_OF_INSERT
        745,  # SERVER_OVERLOADED
        999,  # KEEPER_EXCEPTION
    }
)


def refuses_data(error: QueryError) -> bool:
    """Whether ClickHouse refused an insert for its rows: the same rows will be refused again."""
    return error.code in _REFUSED_FOR_DATA


class ClickHouse:
    """One user's connections to the deployment's database; opened when first used.

    May be used by several threads at once: each statement is independent, there is no session.
    Every method raises :class:`~app.errors.ClickHouseUnavailableError` when the server is away or
    cannot now, and :class:`~app.errors.QueryError` when it says that the statement or its data
    is wrong.

    Parameters
    ----------
    settings : Settings
        The deployment.
    user, password : str
        Credentials.
    seconds : float
        Longest wait for an answer.
    database : str, optional
        ``settings.clickhouse_database`` by default.
    """

    def __init__(
        self,
        settings: Settings,
        user: str,
        password: str,
        *,
        seconds: float,
        database: str | None = None,
    ) -> None:
        self._url = settings.clickhouse
        self._user, self._password = user, password
        self._database = database or settings.clickhouse_database
        self._seconds = seconds
        self._lock = threading.Lock()
        self._client: Client | None = None

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return self._url

    def insert(self, table: str, rows: pa.Table) -> None:
        """Insert rows; when it returns, the server has them.

        What a success does not mean: that the rows were new. Tables keep one of equal key.

        Parameters
        ----------
        table : str
            Table of the database.
        rows : pyarrow.Table
            Columns named as those of the table; columns left out take their defaults.
        """
        settings = {
            "async_insert": 0,
            # An upload may hold decades; a partition is a year.
            "max_partitions_per_insert_block": 0,
        }
        with _translated(self._url):
            self._connected().insert_arrow(table, rows, settings=settings)

    def command(self, sql: str, parameters: Parameters | None = None) -> None:
        """Run a statement that returns nothing."""
        with _translated(self._url):
            self._connected().command(sql, parameters=dict(parameters or {}))

    def columns(
        self, sql: str, parameters: Parameters | None = None, settings: Parameters | None = None
    ) -> dict[str, list[Any]]:
        """Run a query and return its columns as lists of Python values, by name."""
        asked = dict(parameters or {}), dict(settings or {})
        with _translated(self._url):
            result = self._connected().query(sql, *asked, column_oriented=True)
            columns = [list(values) for values in result.result_columns]
            if columns:
                return dict(zip(result.column_names, columns, strict=True))
            # A result without rows comes without its header in ClickHouse's Native format.
            named = self._connected().raw_query(sql, *asked, fmt="TabSeparatedWithNames")
        header = named.decode().partition("\n")[0]
        return {name: [] for name in header.split("\t")}

    def rows(
        self, sql: str, parameters: Parameters | None = None, settings: Parameters | None = None
    ) -> list[dict[str, Any]]:
        """Run a query and return its rows as dictionaries."""
        columns = self.columns(sql, parameters, settings)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def table(self, sql: str, parameters: Parameters | None = None) -> pa.Table:
        """Run a query and return its rows as an Arrow table."""
        with _translated(self._url):
            return self._connected().query_arrow(
                sql, parameters=dict(parameters or {}), use_strings=True
            )

    @contextmanager
    def stream(self, sql: str, fmt: str) -> Iterator[Iterator[bytes]]:
        """Run a query and yield the bytes of its result as they arrive, in a format."""
        with (
            _translated(self._url),
            self._connected().raw_stream(sql, fmt=fmt) as source,
        ):
            yield iter(lambda: source.read(1 << 16), b"")

    def ping(self) -> bool:
        """Whether the server answers a query with these credentials."""
        try:
            self.command("SELECT 1")
        except (ClickHouseUnavailableError, QueryError):
            return False
        return True

    def close(self) -> None:
        """Close the connections; they open again when used."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                address = urlsplit(self._url)
                self._client = clickhouse_connect.get_client(
                    interface=address.scheme,
                    host=address.hostname,
                    port=address.port or (8443 if address.scheme == "https" else 8123),
                    username=self._user,
                    password=self._password,
                    database=self._database,
                    connect_timeout=_CONNECT_SECONDS,
                    send_receive_timeout=int(self._seconds),
                    query_retries=0,
                    query_limit=0,
                    autogenerate_session_id=False,
                    show_clickhouse_errors="scrub",
                    tz_mode="aware",
                    dedicated_pool=True,
                )
            return self._client


def writer(settings: Settings, *, database: str | None = None) -> ClickHouse:
    """Return the connections of the user who may write.

    Raises
    ------
    ConfigurationError
        If its password is not set and cannot be read from the data directory.
    """
    password = (
        settings.clickhouse_password.get_secret_value()
        if settings.clickhouse_password is not None
        else ensure_secret(settings.data_dir, CLICKHOUSE_WRITER_PASSWORD)
    )
    return ClickHouse(
        settings, settings.clickhouse_user, password, seconds=_INSERT_SECONDS, database=database
    )


def reader(settings: Settings) -> ClickHouse:
    """Return the connections of the user who may only read."""
    return ClickHouse(
        settings,
        settings.clickhouse_reader,
        settings.clickhouse_reader_password.get_secret_value(),
        seconds=settings.clickhouse_query_seconds + _CONNECT_SECONDS,
    )


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except Error as error:
        if error.code is None:
            raise ClickHouseUnavailableError(f"no answer from ClickHouse at {url}") from error
        if error.code in _PASSING:
            raise ClickHouseUnavailableError(
                f"ClickHouse at {url} cannot now: {error.name} ({error.code})"
            ) from error
        raise QueryError(error.code, error.name or "UNKNOWN", _message(error)) from error
    except (ClickHouseError, OSError) as error:
        raise ClickHouseUnavailableError(f"no answer from ClickHouse at {url}") from error


def _message(error: Error) -> str:
    # The driver's words, then "DB::Exception: MESSAGE. (NAME)"; the middle is what people need.
    text = str(error)
    text = text.partition("DB::Exception: ")[2] or text
    return text.removesuffix(f"({error.name})").strip()
