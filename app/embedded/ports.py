"""Ports: is one free, and which one is."""

import socket

from app.errors import PortInUseError


def ensure_port_free(host: str, port: int, *, what: str, setting: str) -> None:
    """Check that ``what`` can listen on ``host:port``.

    Raises
    ------
    PortInUseError
        Naming the port and the environment variable that changes it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "there is no such port"
            message = (
                f"{what} cannot listen on {host}:{port} ({reason}); set {setting} to a "
                "free port, or VITALSTREAM_PORT_OFFSET (--port-offset) to move every port"
            )
            raise PortInUseError(message) from error


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on at this moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


def accepts(host: str, port: int, timeout: float = 0.5) -> bool:
    """Whether somebody accepts TCP connections there."""
    try:
        with socket.create_connection((host, port), timeout):
            return True
    except OSError:
        return False
