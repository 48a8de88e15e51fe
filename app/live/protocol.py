"""The live protocol ``vitalstream.v1``: JSON messages, close codes and what a client may send.

::

    C init{token?}  within 10 s     S ack{conn, server_ts, ping_s}
    C sub{id, ch, epoch?, pos?}     S snap{id, epoch, pos, state, as_of}
                                    S subbed{id, epoch, pos, recovered: true}
                                    S data{id, prev, pos, rows}
                                    S alarm{id, prev, pos, alarm, rev}
                                    S reset{id, reason}   error{id, code, msg}
    C unsub{id}                     both ping, pong

``ch`` is ``person:<id>``, ``overview:all``, ``alerts`` or ``pipeline``. ``pos`` is opaque. A client
whose position differs from a message's ``prev`` has missed something and subscribes again.
"""

import enum
import re
import time
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

SUBPROTOCOL: Final = "vitalstream.v1"
INIT_SECONDS: Final = 10.0
MESSAGE_MAX_BYTES: Final = 64 << 10
COMMANDS_PER_SECOND: Final = 20
COMMANDS_BURST: Final = 60
"""A page with 50 subscriptions sends them all at once when it reconnects."""
DATA_SECONDS: Final = 0.25
"""Data of one subscription is sent at most this often: 4 Hz."""
LOOK_SECONDS: Final = 0.000_25
"""How often a connection looks for data, at most, times the number of connections: all of them
together 4,000 times a second, each of 1,000 at 4 Hz."""

_CHANNEL = re.compile(r"person:(?P<person>.{1,200})|overview:all|alerts|pipeline", re.DOTALL)
_ID_MAX = 64
_CURSOR_MAX = 2_000


class Close(enum.IntEnum):
    """Why the server closed a connection."""

    NORMAL = 1000
    GOING_AWAY = 1001
    ABNORMAL = 1006
    AUTH = 4401
    FORBIDDEN = 4403
    INIT_TIMEOUT = 4408
    DUPLICATE = 4409
    LIMIT = 4429


class MessageError(Exception):
    """A client's message cannot be understood; ``sub_id`` is the subscription it names, if any."""

    def __init__(self, text: str, sub_id: str | None = None) -> None:
        super().__init__(text)
        self.sub_id = sub_id


@dataclass(frozen=True, slots=True)
class Init:
    """The client introduces itself; without a token its session cookie speaks for it."""

    token: str | None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """The client wants a channel, from a position that it was given under an epoch."""

    sub_id: str
    channel: str
    epoch: str | None
    position: str | None

    @property
    def person(self) -> str | None:
        """The person of a ``person:`` channel."""
        match = _CHANNEL.fullmatch(self.channel)
        return match["person"] if match else None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """The client wants no more of a subscription."""

    sub_id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """The client asks whether the server is there."""


@dataclass(frozen=True, slots=True)
class Pong:
    """The client answers a ping."""


Command = Init | Subscribe | Unsubscribe | Ping | Pong


def parse(text: str | bytes) -> Command:
    """Read a client's message.

    Raises
    ------
    MessageError
        If it is not one of the protocol's; the message says what is wrong.
    """
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MessageError("not JSON") from error
    if not isinstance(message, dict):
        raise MessageError("not a JSON object")
    match message.get("t"):
        case "init":
            return Init(_text(message, "token", 16 << 10))
        case "sub":
            return _subscribe(message)
        case "unsub":
            return Unsubscribe(_sub_id(message))
        case "ping":
            return Ping()
        case "pong":
            return Pong()
    raise MessageError("t must be init, sub, unsub, ping or pong")


def _subscribe(message: dict[str, Any]) -> Subscribe:
    sub_id = _sub_id(message)
    channel = message.get("ch")
    if not isinstance(channel, str) or not _CHANNEL.fullmatch(channel):
        raise MessageError("ch must be person:<id>, overview:all, alerts or pipeline", sub_id)
    epoch, position = _text(message, "epoch", _CURSOR_MAX), _text(message, "pos", _CURSOR_MAX)
    return Subscribe(sub_id, channel, epoch, position)


def _sub_id(message: dict[str, Any]) -> str:
    sub_id = _text(message, "id", _ID_MAX)
    if not sub_id:
        raise MessageError("id must be a text")
    return sub_id


def _text(message: dict[str, Any], name: str, longest: int) -> str | None:
    value = message.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > longest:
        raise MessageError(f"{name} must be a text of at most {longest} characters")
    return value


def encode(kind: str, **fields: Any) -> bytes:  # noqa: ANN401 - JSON
    """Return a server's message; NumPy columns become JSON arrays, NaN becomes null."""
    return orjson.dumps({"t": kind, **fields}, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def now_ms() -> int:
    """Return the server's clock, epoch milliseconds."""
    return time.time_ns() // 1_000_000


def _plain(value: object) -> object:
    # orjson refuses arrays that are not contiguous or not aligned: bytes inside an Avro record
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError
