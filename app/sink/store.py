"""Storing decoded records: insert, again and again until ClickHouse has them.

Order for a group of records: their rows; then the rows that say that they are stored, and the
request for the late windows that they ask for. Whoever acknowledges the records afterwards loses
nothing: all inserts are idempotent, so a group that was interrupted is stored again from its
beginning. Groups may be stored at the same time; the samples that a late window needs may be in an
earlier one, so its request waits for that.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

import pyarrow as pa
import structlog

from app.clickhouse.client import ClickHouse, refuses_data
from app.errors import ClickHouseUnavailableError, QueryError
from app.metrics import SinkMetrics
from app.sink.dead_letter_rows import unstorable
from app.sink.late_requests import TABLE as LATE_REQUESTS
from app.sink.late_requests import distinct, request_rows
from app.sink.records import Decoded, Rows, joined
from schemas.codec import Codec

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_THREADS: Final = 6


class Store:
    """Writes to ClickHouse for the sink's agents, in threads of its own.

    Nothing here gives up: while the server is away, or refuses for another reason than the rows
    themselves (a table that is missing, a disk that is full), the caller waits, and with it its
    partitions. Memory stays bounded because nothing more is taken meanwhile.

    Parameters
    ----------
    database : ClickHouse
        The writer.
    metrics : SinkMetrics
        Where it counts.
    codec : Codec
        To read the uploads of records that cannot be stored.
    """

    def __init__(self, database: ClickHouse, metrics: SinkMetrics, codec: Codec) -> None:
        self._database = database
        self._metrics = metrics
        self._codec = codec
        self._threads = ThreadPoolExecutor(_THREADS, "clickhouse")
        self.trouble: str | None = None
        """Why the last attempt failed; None when it did not."""

    async def store(
        self, group: Sequence[Decoded], *, earlier: "asyncio.Task[None] | None" = None
    ) -> list[Decoded]:
        """Store records; when it returns, ClickHouse has all that they ask for.

        What that does not mean: that their late windows are computed. The request for them is
        stored, and the backfill lane serves it.

        Records that ClickHouse refuses for their data end in ``dead_letters`` instead, found by
        halving; the others go in.

        Parameters
        ----------
        group : sequence of Decoded
            The records.
        earlier : asyncio.Task, optional
            Stores the records before these; late windows are asked for when it has ended.

        Returns
        -------
        list of Decoded
            Those that were refused.
        """
        refused = await self._insert_or_halve(list(group))
        apart = {id(one) for one in refused}
        accepted = [one for one in group if id(one) not in apart]
        await asyncio.gather(
            self._ask_for_late(accepted, earlier),
            self._insert_all([one.then for one in accepted]),
        )
        for one in accepted:
            self._metrics.records.labels(one.record.topic, "stored").inc()
        return refused

    async def ping(self) -> bool:
        """Whether ClickHouse answers."""
        return await self._in_thread(self._database.ping)

    def close(self) -> None:
        """Let go of threads and connections; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._database.close()

    async def _insert_or_halve(self, group: list[Decoded]) -> list[Decoded]:
        """Insert the rows of records; return the records that were refused."""
        try:
            await self._insert_all([one.rows for one in group])
        except QueryError as error:
            if len(group) == 1:
                await self._keep_apart(group[0], error)
                return group
            middle = len(group) // 2
            left = await self._insert_or_halve(group[:middle])
            return left + await self._insert_or_halve(group[middle:])
        return []

    async def _keep_apart(self, refused: Decoded, error: QueryError) -> None:
        record = refused.record
        _log.error(
            "refused by ClickHouse", topic=record.topic, partition=record.partition,
            offset=record.offset, code=error.code, name=error.name,
        )  # fmt: skip
        # The server's message may quote a value; its code and name do not.
        plain = QueryError(error.code, error.name, "refused for its data")
        await self._insert_or_halve([unstorable(record, plain, self._codec)])
        self._metrics.records.labels(record.topic, "dead").inc()

    async def _insert_all(self, wanted: Sequence[Rows]) -> None:
        for table, rows in (await self._in_thread(partial(_by_table, wanted))).items():
            await self._until_done(table, partial(self._insert, table, rows))

    async def _ask_for_late(
        self, group: Sequence[Decoded], earlier: "asyncio.Task[None] | None"
    ) -> None:
        late = [one.late for one in group if one.late is not None]
        if not late:
            return
        if earlier is not None:
            await asyncio.shield(earlier)
        now_ms = time.time_ns() // 1_000_000
        rows = await self._in_thread(lambda: request_rows(distinct(late), now_ms=now_ms))
        await self._until_done(LATE_REQUESTS, partial(self._insert, LATE_REQUESTS, rows))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _insert(self, table: str, rows: pa.Table) -> None:
        started = time.perf_counter()
        self._database.insert(table, rows)
        self._metrics.insert_seconds.labels(table).observe(time.perf_counter() - started)
        self._metrics.rows.labels(table).inc(rows.num_rows)

    async def _until_done(self, what: str, work: Callable[[], None]) -> None:
        """Do something in a thread until it succeeds, with growing pauses.

        Raises
        ------
        QueryError
            If ClickHouse refuses the rows themselves.
        """
        longest = _FIRST_PAUSE
        while True:
            try:
                await self._in_thread(work)
            except QueryError as error:
                if refuses_data(error):
                    raise
                self._note_failure(what, f"{error.name} ({error.code})", error.name)
            except ClickHouseUnavailableError as error:
                self._note_failure(what, str(error), "unavailable")
            else:
                self.trouble = None
                self._metrics.clickhouse_up.set(1)
                return
            await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - no secret
            longest = min(longest * 2, _LONGEST_PAUSE)

    def _note_failure(self, what: str, detail: str, kind: str) -> None:
        self.trouble = detail
        self._metrics.clickhouse_up.set(0)
        self._metrics.refused.labels(kind).inc()
        _log.warning("not stored yet, trying again", what=what, detail=detail)


def _by_table(wanted: Sequence[Rows]) -> dict[str, pa.Table]:
    tables: dict[str, list[pa.Table]] = {}
    for rows in wanted:
        for table, part in rows.items():
            tables.setdefault(table, []).append(part)
    found = {table: joined(parts) for table, parts in tables.items()}
    return {table: rows for table, rows in found.items() if rows.num_rows}
