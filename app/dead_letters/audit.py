"""What was done with dead letters: who, when, what and why; and the state that follows."""

import os
import platform
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal
from uuid import UUID, uuid4

import pyarrow as pa

from app.clickhouse.client import ClickHouse
from app.dead_letters.letters import Place
from app.security import verify_token
from app.settings import Settings

Action = Literal["replayed", "discarded"]
_TABLE: Final = "dead_letter_actions_data"
_STATES: Final = """
SELECT partition, offset, argMax(action, at) AS state FROM dead_letter_actions
WHERE topic = {topic:String} AND offset BETWEEN {first:Int64} AND {last:Int64}
    AND partition IN {partitions:Array(Int32)}
GROUP BY partition, offset
"""
_TRAIL: Final = """
SELECT topic, partition, offset, at, action, run_id, actor, reason FROM dead_letter_actions
WHERE {whole:Bool} OR (topic = {topic:String} AND partition = {partition:Int32}
    AND offset = {offset:Int64})
ORDER BY at DESC, topic, partition, offset
LIMIT {limit:UInt32}
"""


class State(StrEnum):
    """What was done with a dead letter last."""

    open = "open"
    replayed = "replayed"
    discarded = "discarded"


def operator(settings: Settings, token: str | None) -> str:
    """Return who gives a command: the subject of a token, or the account that runs it.

    Raises
    ------
    AuthenticationError
        If the token does not hold.
    PermissionDeniedError
        If it is not an administrator's.
    """
    if token is None:
        return f"os:{_account()}@{platform.node()}"
    claims = verify_token(settings, token)
    claims.require_role("admin")
    return f"token:{claims.subject}"


def _account() -> str:
    # Asked of the system and not of LOGNAME or USER, which anybody may set.
    try:
        import pwd  # noqa: PLC0415  (not everywhere)

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        return str(os.getuid()) if hasattr(os, "getuid") else os.getlogin()


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Audit:
    """Writes down what one command does.

    Attributes
    ----------
    database : ClickHouse
        The writer.
    actor : str
        Who gives the command.
    reason : str
        Why.
    run_id : UUID
        Names the command.
    now : callable
        The time, aware.
    """

    database: ClickHouse
    actor: str
    reason: str
    run_id: UUID = field(default_factory=uuid4)
    now: Callable[[], datetime] = _now

    def note(self, action: Action, places: Sequence[Place]) -> None:
        """Write down an action; when it returns, ClickHouse has it.

        Raises
        ------
        ClickHouseUnavailableError, QueryError
            If it could not be written.
        """
        n = len(places)
        columns: dict[str, pa.Array] = {
            "topic": pa.array([place.topic for place in places], pa.string()),
            "partition": pa.array([place.partition for place in places], pa.int32()),
            "offset": pa.array([place.offset for place in places], pa.int64()),
            "at": pa.array([self.now()] * n, pa.timestamp("ms", "UTC")),
            "action": pa.array([action] * n, pa.string()),
            "run_id": pa.array([self.run_id.bytes] * n, pa.binary(16)),
            "actor": pa.array([self.actor] * n, pa.string()),
            "reason": pa.array([self.reason] * n, pa.string()),
        }
        self.database.insert(_TABLE, pa.table(columns))


def states(database: ClickHouse, places: Collection[Place]) -> dict[Place, State]:
    """Return the states of dead letters; those to which nothing was done are open.

    Raises
    ------
    ClickHouseUnavailableError, QueryError
        If ClickHouse does not answer.
    """
    found = dict.fromkeys(places, State.open)
    by_topic: dict[str, list[Place]] = {}
    for place in places:
        by_topic.setdefault(place.topic, []).append(place)
    for topic, asked in by_topic.items():
        offsets = [place.offset for place in asked]
        rows = database.rows(
            _STATES,
            {
                "topic": topic, "first": min(offsets), "last": max(offsets),
                "partitions": sorted({place.partition for place in asked}),
            },
        )  # fmt: skip
        for row in rows:
            place = Place(topic, row["partition"], row["offset"])
            if place in found:
                found[place] = State(row["state"])
    return found


def trail(
    database: ClickHouse, *, place: Place | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Return what was done, the latest first: columns of view ``dead_letter_actions``.

    Raises
    ------
    ClickHouseUnavailableError, QueryError
        If ClickHouse does not answer.
    """
    asked = (place or Place("", 0, 0))._asdict() | {"whole": place is None, "limit": limit}
    return database.rows(_TRAIL, asked)
