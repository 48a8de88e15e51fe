"""Who asks: the reader or the writer."""

import base64
import binascii
import enum
import hashlib
import hmac
import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from app.errors import QueryError
from app.settings import Settings


class Role(enum.Enum):
    """What an account may do."""

    READER = "reader"
    WRITER = "writer"


class Authenticator:
    """Checks names and passwords.

    Parameters
    ----------
    settings
        The accounts' names, and the reader's password.
    writer_password
        The writer's password.
    """

    def __init__(self, settings: Settings, writer_password: str) -> None:
        reader_password = settings.clickhouse_reader_password.get_secret_value()
        self._accounts = [
            (settings.clickhouse_user, _digest(writer_password), Role.WRITER),
            (settings.clickhouse_reader, _digest(reader_password), Role.READER),
        ]
        self._default_user = settings.clickhouse_reader
        self._open_to_loopback = not reader_password and _is_loopback(settings.host)

    def authenticate(self, request: web.Request) -> Role:
        """Return the role of the request's account.

        Raises
        ------
        QueryError
            516 (AUTHENTICATION_FAILED), which never says whether name or password is wrong.
        """
        user, password = _credentials(request)
        given = _digest(password)
        role: Role | None = None
        for name, expected, candidate in self._accounts:
            matches = hmac.compare_digest(given, expected)
            if matches and name == (user or self._default_user):
                role = candidate
        if role is None:
            raise _failed()
        if role is Role.READER and self._open_to_loopback and not _is_local_name(request.host):
            # Else a web page could read through its visitor's browser, under a name of its own
            # that resolves to this machine.
            raise _failed()
        return role


def _credentials(request: web.Request) -> tuple[str, str]:
    """Return name and password from the ClickHouse headers, basic authentication or the URL."""
    if (user := request.headers.get("X-ClickHouse-User")) is not None:
        return user, request.headers.get("X-ClickHouse-Key", "")
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise _failed() from None
        return user, password
    if scheme:
        raise _failed()
    return request.query.get("user", ""), request.query.get("password", "")


def _failed() -> QueryError:
    message = "Authentication failed: password is incorrect, or there is no user with such name"
    return QueryError(516, "AUTHENTICATION_FAILED", message)


def _digest(text: str) -> bytes:
    """Return a value of one length, so that comparing it takes the same time for all texts."""
    return hashlib.sha256(text.encode()).digest()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_local_name(host_header: str) -> bool:
    try:
        name = urlsplit(f"//{host_header}").hostname or ""
    except ValueError:
        return False
    return _is_loopback(name)
