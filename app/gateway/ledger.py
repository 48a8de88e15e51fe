"""Looking up uploads that are older than the gateway's memory, in ClickHouse."""

import asyncio
from typing import Final
from uuid import UUID

from app.clickhouse.client import ClickHouse
from app.gateway.statuses import Outcome
from schemas.statuses import Stage

_SQL: Final = """
SELECT toString(user_id) AS user_id, toUnixTimestamp64Milli(toDateTime64(received_at, 3))
    AS received_ms, accepted, stored, duplicate, rejected, dead_lettered
FROM ledger WHERE upload_id = {id:UUID} LIMIT 1
"""


async def look_up(clickhouse: ClickHouse, upload_id: UUID) -> Outcome | None:
    """Return what ClickHouse knows of an upload, or None.

    Raises
    ------
    ClickHouseUnavailableError
        If the server is away.
    QueryError
        If the view ``ledger`` is missing or another.
    """
    rows = await asyncio.to_thread(clickhouse.rows, _SQL, {"id": str(upload_id)})
    if not rows:
        return None
    row = rows[0]
    stage: Stage = "received"
    if row["dead_lettered"]:
        stage = "failed"
    elif row["stored"] + row["duplicate"] >= row["accepted"]:
        stage = "stored"
    return Outcome(
        user_id=row["user_id"],
        stage=stage,
        at_ms=row["received_ms"],
        reason="in the dead-letter topic" if stage == "failed" else "",
        received_ms=row["received_ms"],
        accepted=row["accepted"],
        rejected=row["rejected"],
        repeated=0,
        duplicate=row["duplicate"],
    )
