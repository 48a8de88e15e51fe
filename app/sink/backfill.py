"""The backfill lane: late windows are computed beside the live inserts, not between them.

One sink of a deployment runs it: the one that holds partition 0 of topic ``samples``. While two do,
at a rebalance, both compute the same rows.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from app.clickhouse.client import ClickHouse
from app.errors import ClickHouseUnavailableError, QueryError
from app.metrics import SinkMetrics
from app.settings import Settings
from app.sink.late import WINDOWS_A_QUERY, Window, recompute
from app.sink.late_requests import Pending, done, pending, windows_of

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)
_IDLE_SECONDS: Final = 1.0
_QUERY_SECONDS: Final = 0.5
"""What a query should take: short ones delay an insert that comes meanwhile by little."""
_LEAST_A_QUERY: Final = {size: most // 10 for size, most in WINDOWS_A_QUERY.items()}
"""A slow server is not to be asked more and more often for less and less."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


class Backfill:
    """Computes the late windows that were asked for, in batches, for a part of the time.

    A batch takes requests of at most ``backfill_windows`` windows, computes each distinct window
    once, and says that these requests are done. What dies in the middle is computed again.

    Parameters
    ----------
    database : ClickHouse
        The writer.
    settings : Settings
        ``backfill_share`` and ``backfill_windows``.
    metrics : SinkMetrics
        Where it counts.
    mine : callable
        Whether this process is the one that runs the lane now.
    """

    def __init__(
        self,
        database: ClickHouse,
        settings: Settings,
        metrics: SinkMetrics,
        mine: Callable[[], bool],
    ) -> None:
        self._database = database
        self._share = settings.backfill_share
        self._most = settings.backfill_windows
        self._metrics = metrics
        self._mine = mine
        self._at_once = dict(_LEAST_A_QUERY)
        self._thread = ThreadPoolExecutor(1, "backfill")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="backfill")

    async def stop(self) -> None:
        """End; a query that runs is not waited for. Its requests will be served again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def batch(self) -> bool:
        """Serve the next requests; return whether there were any.

        Raises
        ------
        ClickHouseUnavailableError, QueryError
            See :class:`~app.clickhouse.client.ClickHouse`. The requests are served again then.
        """
        found = await self._in_thread(partial(pending, self._database, most=self._most))
        self._show(found)
        if not found.taken:
            return False
        windows = await self._in_thread(partial(windows_of, self._database, found.taken))
        for size in WINDOWS_A_QUERY:
            await self._compute(size, windows.filter(pc.equal(windows["size"], size)))
        await self._in_thread(partial(done, self._database, found.taken))
        return True

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                busy = self._mine() and await self.batch()
            except (ClickHouseUnavailableError, QueryError) as error:
                # A query's message may quote values; its name does not.
                kind = error.name if isinstance(error, QueryError) else "unavailable"
                self._metrics.refused.labels(kind).inc()
                _log.warning("late windows not computed yet, trying again", error=kind)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            if not busy:
                if not self._mine():
                    self._show(Pending(0, None, []))
                await asyncio.sleep(_IDLE_SECONDS)

    async def _compute(self, size: int, windows: pa.Table) -> None:
        """Compute windows of one size, in queries that take about ``_QUERY_SECONDS`` each."""
        first = 0
        while first < windows.num_rows:
            part = windows.slice(first, self._at_once[size])
            started = time.perf_counter()
            try:
                await self._in_thread(partial(recompute, self._database, size, _tuples(part)))
            except QueryError:
                if part.num_rows == 1:
                    raise
                # Too much for one query, for instance for its memory.
                self._at_once[size] = max(1, part.num_rows // 2)
                continue
            took = time.perf_counter() - started
            first += part.num_rows
            self._metrics.late_windows.inc(part.num_rows)
            self._metrics.backfill_seconds.inc(took)
            if part.num_rows == self._at_once[size]:
                fitting = int(part.num_rows * min(2.0, max(0.5, _QUERY_SECONDS / took)))
                least = min(_LEAST_A_QUERY[size], 2 * part.num_rows)
                self._at_once[size] = min(max(fitting, least), WINDOWS_A_QUERY[size])
            await asyncio.sleep(took * (1 / self._share - 1))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _show(self, found: Pending) -> None:
        self._metrics.backfill_pending.set(found.windows)
        age = (datetime.now(UTC) - found.oldest).total_seconds() if found.oldest else 0.0
        self._metrics.backfill_age_seconds.set(age)


def _tuples(windows: pa.Table) -> list[Window]:
    names = ("user_id", "metric", "window_start", "window_end")
    return list(zip(*(windows[name].to_pylist() for name in names), strict=True))
