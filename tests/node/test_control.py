"""The control socket: several clients, none of which can harm the node or each other."""

from __future__ import annotations

import contextlib
import json
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.io.control import Answer, Control, ControlTaken
from node.io.loop import Loop
from node.io.unix_server import CLIENTS, REQUEST
from tests.node.running_relay import PATIENCE


class Server:
    """A control socket that echoes; `later` keeps the answers back."""

    def __init__(self, loop: Loop, path: Path) -> None:
        self.loop, self.path = loop, path
        self.later: list[Answer] = []
        self.requests: list[dict[str, Any]] = []
        self.control = Control(loop, str(path), self._handle)

    def _handle(self, request: dict[str, Any], answer: Answer) -> None:
        self.requests.append(request)
        if request.get("do") == "wait":
            self.later.append(answer)
        else:
            answer({"echo": request})

    def client(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(self.path))
        client.setblocking(False)
        return client

    def run_until(self, done: Callable[[], bool]) -> None:
        """Turns of the loop until it is so; the loop itself waits for the sockets."""
        give_up = self.loop.now() + PATIENCE
        came_true = False

        def look() -> None:
            nonlocal came_true
            came_true = done()
            if came_true or self.loop.now() > give_up:
                self.loop.stop()
            else:
                self.loop.at(self.loop.now() + 0.001, look)

        self.loop.soon(look)
        self.loop.run()
        assert came_true

    def ask(self, client: socket.socket, line: bytes) -> dict[str, Any]:
        client.sendall(line + b"\n")
        return self.read(client)

    def read(self, client: socket.socket) -> dict[str, Any]:
        got = bytearray()

        def whole_line() -> bool:
            with contextlib.suppress(BlockingIOError):
                got.extend(client.recv(1 << 20))
            return got.endswith(b"\n")

        self.run_until(whole_line)
        answer: dict[str, Any] = json.loads(got)
        return answer


@pytest.fixture
def server(loop: Loop, tmp_path: Path) -> Iterator[Server]:
    server = Server(loop, tmp_path / "control.sock")
    yield server
    server.control.close()


def test_a_request_is_answered(server: Server) -> None:
    assert server.ask(server.client(), b'{"do": "status"}') == {"echo": {"do": "status"}}


def test_only_the_owner_may_ask(server: Server) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600


def test_an_answer_may_come_later_while_others_are_served(server: Server) -> None:
    patient, quick = server.client(), server.client()
    patient.sendall(b'{"do": "wait"}\n')
    server.run_until(lambda: bool(server.later))
    assert server.ask(quick, b'{"n": 1}') == {"echo": {"n": 1}}
    server.later[0]({"at": "last"})
    assert server.read(patient) == {"at": "last"}


def test_a_request_may_come_in_pieces_and_several_in_one(server: Server) -> None:
    client = server.client()
    client.sendall(b'{"do": "wa')
    client.sendall(b'it"}\n{"do": "wait"}\n')
    server.run_until(lambda: len(server.later) == 2)
    assert server.requests == [{"do": "wait"}, {"do": "wait"}]


@pytest.mark.parametrize("line", [b"", b"hello", b"[1]", b"\xff\xfe", b'{"a":', b"[" * 60000])
def test_rubbish_gets_an_error_and_the_next_request_an_answer(server: Server, line: bytes) -> None:
    client = server.client()
    assert server.ask(client, line) == {"error": "expected one JSON object a line"}
    assert server.ask(client, b"{}") == {"echo": {}}


def test_a_client_that_goes_away_harms_nothing(server: Server) -> None:
    gone, stays = server.client(), server.client()
    gone.sendall(b'{"do": "wait"}\n')
    server.run_until(lambda: bool(server.later))
    gone.close()
    assert server.ask(stays, b'{"n": 1}') == {"echo": {"n": 1}}
    server.later[0]({"nobody": "reads this"})
    assert server.ask(stays, b'{"n": 2}') == {"echo": {"n": 2}}


def test_a_line_without_an_end_closes_only_its_own_connection(server: Server) -> None:
    endless, other = server.client(), server.client()
    sent = 0

    def closed() -> bool:
        nonlocal sent
        try:
            sent += endless.send(b"x" * 4096)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False

    server.run_until(closed)
    assert sent < REQUEST + (1 << 20)
    assert server.ask(other, b"{}") == {"echo": {}}


def test_a_client_that_never_reads_is_let_go(server: Server) -> None:
    deaf, other = server.client(), server.client()
    deaf.sendall(b'{"do": "wait"}\n')
    server.run_until(lambda: bool(server.later))
    for _ in range(50):
        server.later[0]({"long": "x" * 65536})
    assert server.ask(other, b"{}") == {"echo": {}}


def test_more_clients_than_the_bound_are_turned_away(server: Server) -> None:
    clients = [server.client() for _ in range(CLIENTS)]
    assert server.ask(clients[-1], b"{}") == {"echo": {}}
    one_more = server.client()

    def turned_away() -> bool:
        try:
            return one_more.recv(1) == b""
        except BlockingIOError:
            return False

    server.run_until(turned_away)
    assert server.ask(clients[0], b"{}") == {"echo": {}}


def test_a_dead_nodes_socket_is_replaced_and_a_living_ones_is_not(
    loop: Loop, tmp_path: Path
) -> None:
    path = tmp_path / "control.sock"
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(path))
    dead.close()
    server = Server(loop, path)
    with pytest.raises(ControlTaken, match="another node answers there"):
        Server(loop, path)
    assert server.ask(server.client(), b"{}") == {"echo": {}}
    server.control.close()
    assert not path.exists()


def test_another_file_is_never_removed(loop: Loop, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ControlTaken, match="a file that is no socket"):
        Server(loop, path)
    assert path.read_text() == "data"
