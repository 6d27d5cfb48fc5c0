"""One HTTP request to a router: over real sockets, on the loop, whatever the router does with it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from node.io.http_call import HttpCall
from node.io.loop import Loop
from node.wire.endpoint import Endpoint
from node.wire.http_response import HttpResponse
from tests.node.running_relay import PATIENCE

REQUEST = b"GET /desc.xml HTTP/1.1\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
HELLO = HttpResponse(200, {"content-length": "5"}, b"hello")


def test_the_answer_comes_back_however_it_is_cut() -> None:
    def answer(connection: socket.socket) -> None:
        assert connection.recv(4096) == REQUEST
        for piece in (HEAD[:7], HEAD[7:] + b"Content-Length: 5\r", b"\n\r\nhel", b"lo"):
            connection.sendall(piece)

    with router(answer) as endpoint:
        assert call(endpoint) == [HELLO]


def test_a_request_larger_than_a_socket_takes_at_once_is_sent_whole() -> None:
    large = REQUEST + bytes(8 << 20)

    def answer(connection: socket.socket) -> None:
        left = len(large)
        while left:
            left -= len(connection.recv(1 << 20)) or left  # all, or it hung up
        connection.sendall(HEAD + b"Content-Length: 5\r\n\r\nhello")

    with router(answer) as endpoint:
        assert call(endpoint, large) == [HELLO]


@pytest.mark.parametrize(
    "said", [b"", b"ICY 200 OK\r\n\r\n", HEAD + b"Content-Length: 9\r\n\r\nhello"]
)
def test_a_bad_answer_is_no_answer(said: bytes) -> None:
    with router(lambda connection: connection.sendall(said)) as endpoint:
        assert call(endpoint) == [None]


def test_a_router_that_sends_without_end_is_cut_off() -> None:
    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it hangs up, or this would never end
            while True:
                connection.sendall(bytes(1 << 16))

    with router(answer) as endpoint:
        assert call(endpoint) == [None]


def test_a_closed_port_is_no_answer() -> None:
    with socket.socket() as unused:  # it is ours, and nobody listens
        unused.bind(("127.0.0.1", 0))
        assert call(Endpoint(*unused.getsockname())) == [None]


def test_a_silent_router_is_given_up() -> None:
    def answer(connection: socket.socket) -> None:
        while connection.recv(4096):  # until the node hangs up
            pass

    with router(answer) as endpoint:
        assert call(endpoint, within=0.05) == [None]


# --- what the tests are made of ---


def call(
    to: Endpoint, request: bytes = REQUEST, within: float = PATIENCE
) -> list[HttpResponse | None]:
    loop = Loop()
    answers: list[HttpResponse | None] = []

    def done(response: HttpResponse | None) -> None:
        answers.append(response)
        loop.soon(loop.stop)

    HttpCall(loop, to, request, done, within)
    loop.run()
    loop.close()
    return answers


@contextmanager
def router(answer: Callable[[socket.socket], object]) -> Iterator[Endpoint]:
    """Takes one connection and gives it to `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address, port = server.getsockname()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint(address, port)
        thread.join(timeout=10)
        assert not thread.is_alive()
