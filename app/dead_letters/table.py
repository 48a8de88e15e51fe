"""Reading dead letters from ClickHouse: those of the sink stand nowhere else."""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any, Final

from agents.failures import ATTEMPT, ERROR, ERROR_CHAIN, FIRST_FAILED, ORIGIN
from app.clickhouse.client import ClickHouse
from app.dead_letters.letters import DeadLetter, Place
from schemas.topics import DEAD_LETTERS

_PAGE: Final = 20
"""Letters a query: a record may have some megabytes."""
_COLUMNS: Final = """
    topic, partition, offset, toUnixTimestamp64Milli(failed_at) AS written_ms,
    ifNull(toUnixTimestamp64Milli(first_failed_at), 0) AS first_failed_ms, attempts, error, detail,
    origin_topic, origin_partition, origin_offset, base64Encode(payload) AS payload
FROM dead_letters_data FINAL
"""
_NEXT: Final = f"""
SELECT {_COLUMNS}
WHERE topic != {{own:String}} AND failed_at >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC')
    AND (topic, partition, offset) > ({{topic:String}}, {{partition:Int32}}, {{offset:Int64}})
ORDER BY topic, partition, offset
LIMIT {_PAGE}
"""
_AT: Final = f"""
SELECT {_COLUMNS}
WHERE topic = {{topic:String}} AND partition = {{partition:Int32}} AND offset = {{offset:Int64}}
"""


def read_table(database: ClickHouse, *, since_ms: int = 0) -> Iterator[DeadLetter]:
    """Yield the records that the sink could not store, in the order of their places.

    Parameters
    ----------
    database : ClickHouse
        The reader.
    since_ms : int
        Oldest time of writing, epoch milliseconds.

    Raises
    ------
    ClickHouseUnavailableError, QueryError
        If ClickHouse does not answer.
    """
    place = Place("", -1, -1)
    while True:
        asked = place._asdict() | {"own": DEAD_LETTERS, "since": since_ms}
        rows = database.rows(_NEXT, asked)
        for row in rows:
            letter = _letter(row)
            place = letter.place
            yield letter
        if len(rows) < _PAGE:
            return


def read_row(database: ClickHouse, place: Place) -> DeadLetter | None:
    """Return the dead letter at a place, also one that has left the topic; None for none.

    Raises
    ------
    ClickHouseUnavailableError, QueryError
        If ClickHouse does not answer.
    """
    rows = database.rows(_AT, place._asdict())
    return _letter(rows[0]) if rows else None


def _letter(row: Mapping[str, Any]) -> DeadLetter:
    error, detail = str(row["error"]), str(row["detail"])
    last = detail.rpartition(" | ")[2]
    headers = {
        ERROR: last if last.startswith(error) else error,
        ERROR_CHAIN: detail,
        ATTEMPT: str(row["attempts"]),
        ORIGIN: f"{row['origin_topic']}/{row['origin_partition']}/{row['origin_offset']}",
        FIRST_FAILED: str(row["first_failed_ms"]),
    }
    return DeadLetter(
        Place(str(row["topic"]), int(row["partition"]), int(row["offset"])),
        int(row["written_ms"]),
        b64decode(row["payload"]),
        {name: text.encode() for name, text in headers.items()},
    )
