"""Running the parts of a replay side by side, and stopping them."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

GRACE_SECONDS = 1.5
"""How long requests under way are waited for when a replay is stopped."""


async def run_all(work: Iterable[Coroutine[None, None, None]], stopping: asyncio.Event) -> None:
    """Run all side by side to their end, or to the first error, which is raised.

    Once ``stopping`` is set they have :data:`GRACE_SECONDS` to end; then they are cancelled.
    """
    tasks = {asyncio.create_task(coroutine) for coroutine in work}
    stop = asyncio.create_task(stopping.wait())
    running = tasks
    try:
        while running and not stop.done():
            await asyncio.wait({*running, stop}, return_when=asyncio.FIRST_COMPLETED)
            running = _unfinished(running)
        if running:
            await asyncio.wait(running, timeout=GRACE_SECONDS)
            _unfinished(running)
    finally:
        for task in (*tasks, stop):
            task.cancel()
        await asyncio.gather(*tasks, stop, return_exceptions=True)


def _unfinished(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Return those that still run; raises the error of one that failed."""
    finished = {task for task in tasks if task.done()}
    for task in finished:
        task.result()
    return tasks - finished


async def in_daemon_thread(function: Callable[[], T]) -> T:
    """Run ``function`` in a thread that, unlike an executor's, never delays the program's end."""
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result.set_result(function())
        except BaseException as error:  # noqa: BLE001  (raised where it is awaited)
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(result)
