"""Running the body of an agent so that its end means that its effects are confirmed."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

import structlog

_log = structlog.get_logger(__name__)
EXIT_UNFINISHED = 70
"""Exit status of a process that stopped rather than acknowledge unfinished work."""


async def complete_or_exit(work: Coroutine[Any, Any, None], *, grace: float = 5.0) -> None:
    """Run ``work`` to its end, or end the process.

    Faust acknowledges an event also when its agent raises or is cancelled in the middle. So a
    failure ends the process at once, without acknowledging; a cancellation waits until the work
    is done, at most ``grace`` seconds, and is then passed on.

    Parameters
    ----------
    work : coroutine
        The effects of one step, complete and confirmed when it returns.
    grace : float
        Seconds that a cancelled step may take to end.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await asyncio.wait_for(task, grace)
        except BaseException as error:  # noqa: BLE001 - whatever it was, nothing is acknowledged
            exit_unfinished(error)
        raise
    except Exception as error:  # noqa: BLE001 - whatever it was, nothing is acknowledged
        exit_unfinished(error)


def exit_unfinished(error: BaseException) -> NoReturn:
    """Log why and end the process at once, so that nothing unfinished is acknowledged."""
    _log.critical(
        "stopping without acknowledging", error=type(error).__name__, detail=str(error),
        exc_info=error,
    )  # fmt: skip
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_UNFINISHED)
