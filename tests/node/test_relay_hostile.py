"""A relay among clients that mean harm, over real sockets: the others are served, and it stays small.

Each test has one good client, which sends a packet to itself while the harm is being done.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from node.core.relay_events import PacketsReceived, RelayUp
from node.io.loop import Loop
from node.keys import NodePrivate
from node.wire import derp, derp_framing
from tests.node.relay_rig import FAST, client_info, send
from tests.node.running_relay import (
    DROPPED,
    Client,
    RunningRelay,
    new_key,
    read_to_end,
    receive_exactly,
    trusting,
)

MIB = 1 << 20
NOBODY = new_key().public


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningRelay]:
    relay = RunningRelay("--self-signed", "--stun-port", "0")
    yield relay
    assert relay.stop() == 0


@pytest.fixture
def good(relay: RunningRelay) -> Iterator[Good]:
    good = Good(relay)
    yield good
    good.client.connection.close()
    good.loop.close()


class Good:
    def __init__(self, relay: RunningRelay) -> None:
        self.loop = Loop()
        self.client = Client(self.loop, relay.node(insecure_for_tests=True))
        self.client.wait_for(RelayUp)
        self._resident = relay_size(relay)
        self._relay = relay

    def is_served(self) -> bool:
        packet = os.urandom(1000)
        self.client.connection.send_packets(self.client.public, [packet])
        return self.client.wait_for(PacketsReceived).packets == [packet]

    def growth(self) -> int:
        """Bytes that the relay takes more than when this client came."""
        return relay_size(self._relay) - self._resident


def relay_size(relay: RunningRelay) -> int:
    pages = Path(f"/proc/{relay.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def log_in(relay: RunningRelay, private: NodePrivate | None = None) -> ssl.SSLSocket:
    tls = relay.tls()
    tls.sendall(FAST + client_info(private or new_key(), server=relay.key))
    size = len(derp.ServerKey(relay.key).pack())
    receive_exactly(tls, size)
    kind, length = derp_framing.HEADER.unpack(receive_exactly(tls, derp_framing.HEADER_SIZE))
    assert kind == derp_framing.SERVER_INFO
    receive_exactly(tls, length)
    return tls


def test_one_that_never_reads(relay: RunningRelay, good: Good) -> None:
    deaf = new_key()
    # Small ones follow each large one: once it waits, more comes than a queue holds.
    flood = (send(deaf, os.urandom(60_000)) + send(deaf, b"small") * 40) * 4
    dropped = relay.metric(DROPPED)
    timeouts = relay.metric("derp_sclient_write_timeouts")
    with log_in(relay, deaf) as tls, log_in(relay) as sender:
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while relay.metric("derp_sclient_write_timeouts") == timeouts:
            sender.sendall(flood)
            assert good.is_served()
    assert good.growth() < 16 * MIB
    assert relay.metric(DROPPED) > dropped


@pytest.mark.parametrize(
    "frame",
    [
        derp.SendPacket(NOBODY, b"").pack(),
        derp.SendPacket(NOBODY, "TS💬".encode() + bytes(56)).pack(),
        derp_framing.pack_frame(0x7F),
        derp.NotePreferred(True).pack(),
    ],
    ids=["packets to nobody", "disco to nobody", "unknown frames", "preferences"],
)
def test_a_flood_of_frames(relay: RunningRelay, good: Good, frame: bytes) -> None:
    """200 000 of each of these, and of pings: a million in all."""
    with log_in(relay) as tls:
        for _ in range(200):
            tls.sendall(frame * 1000)
            assert good.is_served()
    assert good.growth() < 16 * MIB


def test_a_flood_of_pings_by_one_that_reads_the_pongs(relay: RunningRelay, good: Good) -> None:
    pongs = derp.Pong(bytes(8)).pack() * 1000
    with log_in(relay) as tls:
        for _ in range(200):
            tls.sendall(derp.Ping(bytes(8)).pack() * 1000)
            assert receive_exactly(tls, len(pongs)) == pongs
            assert good.is_served()
    assert good.growth() < 16 * MIB


def test_every_kind_of_garbage_after_tls(relay: RunningRelay, good: Good) -> None:
    answered = relay.metric("derp_http_answers")
    for size in (1, 100, 20_000):
        for _ in range(10):
            with relay.tls() as tls:
                tls.sendall(os.urandom(size) + b"\r\n\r\n")
                assert read_to_end(tls).startswith(b"HTTP/1.1 4")
    assert relay.metric("derp_http_answers") >= answered + 30
    assert good.is_served()


def test_garbage_instead_of_a_login(relay: RunningRelay, good: Good) -> None:
    malformed = relay.metric("derp_malformed")
    for _ in range(20):
        with relay.tls() as tls:
            tls.sendall(FAST + b"\x02\x00\x00\x00\x80" + os.urandom(128))
            assert read_to_end(tls) in (b"", derp.ServerKey(relay.key).pack())
    assert relay.metric("derp_malformed") == malformed + 20
    assert good.is_served()


def test_garbage_instead_of_tls(relay: RunningRelay, good: Good) -> None:
    failures = relay.metric("derp_tls_failures")
    for _ in range(20):
        with relay.tcp() as tcp:
            tcp.sendall(b"GET / HTTP/1.1\r\n" + os.urandom(1000))
            read_to_end(tcp)
    assert relay.metric("derp_tls_failures") == failures + 20
    assert good.is_served()


def test_many_that_connect_and_say_nothing_or_little(relay: RunningRelay, good: Good) -> None:
    """Silent ones, half a TLS handshake, and requests that come byte by byte (slow loris)."""
    context = trusting()
    with ExitStack() as kept:
        for _ in range(150):
            kept.enter_context(relay.tcp())
            hello = half_a_handshake(context)
            kept.enter_context(relay.tcp()).sendall(hello[: len(hello) // 2])
        lorises = [kept.enter_context(relay.tls(context)) for _ in range(100)]
        for at in range(len(FAST) - 1):
            for loris in lorises:
                loris.send(FAST[at : at + 1])
            if at % 10 == 0:
                assert good.is_served()
        assert good.growth() < 16 * MIB
        assert relay.metric("derp_gauge_current_connections") >= 400
    assert good.is_served()


def half_a_handshake(context: ssl.SSLContext) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


def test_a_frame_that_never_ends(relay: RunningRelay, good: Good) -> None:
    """The longest frame a client may send, all but its last byte, from many clients at once."""
    frame = derp.SendPacket(NOBODY, bytes(derp_framing.MAX_PACKET)).pack()
    with ExitStack() as kept:
        for _ in range(50):
            kept.enter_context(log_in(relay)).sendall(frame[:-1])
        assert good.is_served()
        assert good.growth() < 50 * 3 * len(frame)


def test_handshakes_by_the_hundred(relay: RunningRelay, good: Good) -> None:
    context = trusting()
    accepts = relay.metric("derp_accepts")
    for n in range(200):
        relay.tls(context).close()
        if n % 20 == 0:
            assert good.is_served()
    assert relay.metric("derp_accepts") >= accepts + 200
    assert good.growth() < 16 * MIB
