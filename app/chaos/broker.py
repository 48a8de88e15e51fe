"""The embedded broker with a listener for each client process, so that each can be cut off.

A client is told the advertised address of the listener that it came through. One listener a
process, advertised as a link of the suite's own, puts that link between the two for good.
"""

from dataclasses import dataclass
from pathlib import Path

from app.chaos.proxy import Link, Switchboard
from app.embedded.kafka import EmbeddedKafka
from app.embedded.ports import free_port


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener: its name, its own port, and the link that is advertised for it."""

    name: str
    port: int
    link: Link

    @property
    def bootstrap(self) -> str:
        """``host:port`` for the client."""
        return f"127.0.0.1:{self.link.port}"


def listener(board: Switchboard, name: str) -> Listener:
    """Return a listener on a free port, and the link to it."""
    port = free_port()
    return Listener(name.upper().replace("-", "_"), port, board.link(port))


def prepare(broker: EmbeddedKafka, direct: str, listeners: list[Listener]) -> list[str]:
    """Prepare the broker as always and add the listeners; return the command that runs it.

    Parameters
    ----------
    broker
        The embedded broker.
    direct
        ``host:port`` of its usual listener, which stays as it is.
    listeners
        What is added.

    Raises
    ------
    VitalstreamError
        As :meth:`app.embedded.kafka.EmbeddedKafka.prepare` does.
    """
    command = broker.prepare()
    properties = Path(command[-1])
    lines = properties.read_text().splitlines()
    changed = [_extended(line, direct, listeners) for line in lines]
    properties.write_text("".join(f"{line}\n" for line in changed))
    return command


def _extended(line: str, direct: str, listeners: list[Listener]) -> str:
    added = {
        "listeners": [f"{one.name}://127.0.0.1:{one.port}" for one in listeners],
        "advertised.listeners": [f"{one.name}://{one.bootstrap}" for one in listeners],
        "listener.security.protocol.map": [f"{one.name}:PLAINTEXT" for one in listeners],
    }
    key, _, value = line.partition("=")
    if key == "advertised.listeners":
        value = f"PLAINTEXT://{direct}"
    return f"{key}={','.join([value, *added[key]])}" if key in added else line
