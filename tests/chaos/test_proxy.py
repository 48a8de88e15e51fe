"""Links pass bytes on, and can be cut, refused and stalled."""

import socket
import threading
from collections.abc import Iterator

import pytest

from app.chaos.proxy import Link, Switchboard


class Echo:
    """A server that sends back what it gets, one connection after the other."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.received = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65_536):
                    self.received += data
                    connection.sendall(data)
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def board() -> Iterator[Switchboard]:
    made = Switchboard()
    yield made
    made.close()


@pytest.fixture
def link(board: Switchboard, echo: Echo) -> Link:
    return board.link(echo.port)


def connect(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=5)


def ask(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    got = b""
    while len(got) < len(data):
        part = connection.recv(65_536)
        if not part:
            break
        got += part
    return got


def test_bytes_pass_in_both_directions(link: Link) -> None:
    data = bytes(range(256)) * 4_000
    with connect(link) as connection:
        assert ask(connection, data) == data


def test_the_end_of_one_direction_is_passed_on(link: Link) -> None:
    with connect(link) as connection:
        connection.sendall(b"last words")
        connection.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: connection.recv(100), b"")) == b"last words"


def test_a_reset_ends_connections_and_new_ones_work(link: Link) -> None:
    with connect(link) as connection:
        assert ask(connection, b"before") == b"before"
        link.reset()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert link.cut == 1
    with connect(link) as connection:
        assert ask(connection, b"after") == b"after"


def test_while_refusing_nobody_gets_through(link: Link) -> None:
    link.set_state("refuse")
    with pytest.raises(ConnectionResetError), connect(link) as connection:
        connection.recv(1)
    link.set_state("open")
    with connect(link) as connection:
        assert ask(connection, b"again") == b"again"


def test_while_stalled_nothing_passes_and_nothing_is_lost(link: Link) -> None:
    with connect(link) as connection:
        assert ask(connection, b"before") == b"before"
        link.set_state("stall")
        connection.sendall(b"held")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        link.set_state("open")
        connection.settimeout(5)
        assert connection.recv(100) == b"held"


def test_a_trap_springs_once_in_the_middle_of_a_large_piece(link: Link, echo: Echo) -> None:
    seen: list[int] = []
    with connect(link) as connection:
        link.trap(lambda: seen.append(1))
        assert ask(connection, b"small") == b"small"
        assert seen == []
        assert ask(connection, b"x" * 4_000) == b"x" * 4_000
        assert ask(connection, b"y" * 4_000) == b"y" * 4_000
    assert seen == [1]


def test_nobody_behind_the_link_looks_like_a_broken_connection(board: Switchboard) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    nowhere = board.link(port)
    with pytest.raises(ConnectionResetError), connect(nowhere) as connection:
        connection.recv(1)
