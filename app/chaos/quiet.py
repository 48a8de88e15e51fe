"""Waiting until nothing is under way any more."""

import time
from typing import Final

from app.chaos.journal import Journal
from app.chaos.stored import Stored
from app.errors import ClickHouseUnavailableError, KafkaUnavailableError, QueryError
from app.kafka.lag import lags
from app.settings import Settings

_POLL_SECONDS: Final = 0.5
_STILL_SECONDS: Final = 4.0  # a sink that has committed may still be telling statuses


def wait_until_quiet(
    stored: Stored, journal: Journal, seconds: float, settings: Settings | None
) -> str | None:
    """Block until every upload is in a balanced ledger and no consumer lags.

    Parameters
    ----------
    stored : Stored
        What ClickHouse holds.
    journal : Journal
        What it has to hold at least.
    seconds : float
        Longest wait.
    settings : Settings, optional
        Whose consumer groups are asked; None where the broker cannot be reached.

    Returns
    -------
    str or None
        What was still under way when time was up; None when it is quiet.
    """
    until = time.monotonic() + seconds
    users = sorted({upload.user_id for upload in journal.uploads.values()})
    quiet_since: float | None = None
    while True:
        trouble = _under_way(stored, users, len(journal.promised), settings)
        now = time.monotonic()
        quiet_since = None if trouble else quiet_since or now
        if quiet_since is not None and now - quiet_since >= _STILL_SECONDS:
            return None
        if now >= until:
            return trouble
        time.sleep(_POLL_SECONDS)


def _under_way(
    stored: Stored, users: list[str], uploads: int, settings: Settings | None
) -> str | None:
    try:
        if settings is not None:
            behind = [one for one in lags(settings) if one.lag]
            if behind:
                places = [f"{one.group} {one.topic}-{one.partition}: {one.lag}" for one in behind]
                return "lag: " + ", ".join(places)
        known, open_ = stored.open_uploads(users)
    except (KafkaUnavailableError, ClickHouseUnavailableError, QueryError) as error:
        return str(error)
    if known < uploads:
        return f"{known} of {uploads} uploads are in the ledger"
    return f"{open_} uploads do not balance" if open_ else None
