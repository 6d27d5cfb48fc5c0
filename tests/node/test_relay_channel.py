"""One socket of the relay: a read takes all that is there, and asks TLS for no more than that."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from node.core.relay_link import Link
from node.io.relay_channel import Channel
from node.wire.endpoint import Endpoint
from tests.node.running_relay import PATIENCE, Authority

RECORD = b"one record"


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[ssl.SSLSocket, Channel]]:
    """A client, blocking, and the relay's end of its TLS connection."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.cert, authority.key)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    near, far = socket.socketpair()
    for each in (near, far):
        each.settimeout(PATIENCE)
    theirs = context.wrap_socket(far, server_side=True, do_handshake_on_connect=False)
    shaking = Thread(target=theirs.do_handshake)
    shaking.start()
    with trusting.wrap_socket(near) as client:
        shaking.join()
        theirs.setblocking(False)
        channel = Channel(theirs, Link(Endpoint("192.0.2.7", 50_000)))
        yield client, channel
        theirs.close()


class Counting:
    """A socket, and how often it was asked."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock, self.asked = sock, 0

    def recv_into(self, view: memoryview) -> int:
        self.asked += 1
        return self.sock.recv_into(view)


@pytest.mark.parametrize(("records", "asked"), [(1, 1), (3, 4)])
def test_all_records_come_in_one_read_and_one_alone_is_not_asked_for_another(
    ends: tuple[ssl.SSLSocket, Channel], monkeypatch: pytest.MonkeyPatch, records: int, asked: int
) -> None:
    client, channel = ends
    for _ in range(records):
        client.sendall(RECORD)
    assert isinstance(channel.sock, ssl.SSLSocket)
    counting = Counting(channel.sock)
    monkeypatch.setattr(channel, "sock", counting)
    buffer = memoryview(bytearray(1 << 18))

    size, ended = channel.read(buffer, 0, 1 << 17)

    assert (bytes(buffer[:size]), ended) == (records * RECORD, False)
    assert counting.asked == asked


def test_a_read_of_nothing_and_one_at_the_end(ends: tuple[ssl.SSLSocket, Channel]) -> None:
    client, channel = ends
    buffer = memoryview(bytearray(1 << 18))
    assert channel.read(buffer, 7, 1 << 17) == (7, False)
    client.sendall(RECORD)
    client.shutdown(socket.SHUT_RDWR)
    size, _ = channel.read(buffer, 0, 1 << 17)
    assert bytes(buffer[:size]) == RECORD
    assert channel.read(buffer, 0, 1 << 17) == (0, True)
