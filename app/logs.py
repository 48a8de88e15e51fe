"""Logs: one JSON object a line on standard output.

What never goes into a log: bodies, query strings, headers, tokens, health values. Exceptions are
logged by type and place; their messages are not, where they could carry input.
"""

import logging
import sys
import traceback
from typing import Any

import structlog
from structlog.typing import EventDict

from app.settings import Settings

_SHARED: tuple[Any, ...] = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.UnicodeDecoder(),
)
_QUIET = ("aiohttp.access", "aiokafka", "faust", "mode", "urllib3")
"""Libraries whose lines below warnings nobody needs."""


def configure(settings: Settings, process_name: str) -> None:
    """Send the log of this process, its libraries' included, to standard output.

    Parameters
    ----------
    settings : Settings
        ``log_level`` and ``log_format``.
    process_name : str
        Stands in every line as ``process``.
    """
    renderer: Any = structlog.processors.JSONRenderer()
    tail: list[Any] = [structlog.processors.format_exc_info, renderer]
    if settings.log_format == "console":
        tail = [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]

    def name(_: object, __: str, event: EventDict) -> EventDict:
        event["process"] = process_name
        return event

    shared = (*_SHARED, name)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for library in _QUIET:
        logging.getLogger(library).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def where(error: BaseException) -> dict[str, str]:
    """Return an exception's type and the place it came from, without its message.

    For failures while handling what somebody sent: the message could quote it.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-5:]]
    return {"error": type(error).__name__, "at": " < ".join(reversed(places))}
