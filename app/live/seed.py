"""Fills the overview from what is stored, once, as soon as ClickHouse answers."""

import asyncio
import logging

from app.errors import ClickHouseUnavailableError
from app.live.hub import Hub
from app.live.overview import SPARK_MINUTES
from app.live.protocol import now_ms
from app.live.store import Store

_log = logging.getLogger(__name__)
_BACKOFF_MAX = 30.0


async def seed(hub: Hub, store: Store) -> None:
    """Bring latest values, means and open alerts of everybody into the overview.

    Older facts than the feed's change nothing, so it does not matter which comes first.
    ClickHouse being away is waited for.
    """
    backoff = 0.5
    while True:
        try:
            latest = await store.latest()
            minutes = await store.minutes(now_ms() - SPARK_MINUTES * 60_000)
            alerts = await store.open_alerts()
        except ClickHouseUnavailableError as error:
            _log.warning("people are not known yet: %s; trying again in %.1f s", error, backoff)
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _BACKOFF_MAX)
            continue
        for user, metric, time, value in latest:
            hub.overview.add_value(user, metric, time, value)
        for user, metric, time, value in minutes:
            hub.overview.add_mean(user, metric, time, value)
        for alert in alerts:
            hub.overview.add_alert(alert)
        hub.wake()
        return
