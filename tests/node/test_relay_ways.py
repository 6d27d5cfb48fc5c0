"""Other ways to a relay, over real sockets: WebSocket, an HTTP proxy, both of them at once."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from threading import Thread

import pytest

from node.core.http_connect import Proxy
from node.core.relay_events import PacketsReceived, RelayDown, RelayPong, RelayUp
from node.io.loop import Loop
from node.wire import derp, derp_framing
from node.wire.websocket import Opcode, Unframer, pack
from tests.node import connect_proxy
from tests.node.relay_rig import client_info
from tests.node.running_relay import (
    DROPPED,
    PATIENCE,
    Authority,
    Client,
    RunningRelay,
    new_key,
    read_to_end,
    receive_exactly,
    run_until,
)

UPGRADE = (
    "GET /derp HTTP/1.1\r\nHost: derp.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: {version}\r\n"
    "Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
)
AGREED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: derp\r\n\r\n"
)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=connect_proxy.run, args=(listener, "me:pass"), daemon=True).start()
        yield Proxy("127.0.0.1", listener.getsockname()[1], "me:pass")


def received(client: Client) -> list[bytes]:
    batches = [event.packets for event in client.events if isinstance(event, PacketsReceived)]
    return [packet for batch in batches for packet in batch]


# --- WebSocket ---


def upgraded(relay: RunningRelay, segment: int | None = None) -> tuple[ssl.SSLSocket, Unframer]:
    tls = relay.tls(segment=segment)
    tls.sendall(UPGRADE.format(version=13, protocol="derp").encode())
    assert receive_exactly(tls, len(AGREED)) == AGREED
    return tls, Unframer(masked=False)


def message(tls: ssl.SSLSocket, unframer: Unframer) -> bytes:
    """The stream's next bytes."""
    data = b""
    while not data:
        got = tls.recv(65536)
        assert got, "the end"
        data = unframer.receive(got)
    return data


def test_the_upgrade_and_a_login_cut_into_many_messages(relay: RunningRelay) -> None:
    tls, unframer = upgraded(relay)
    with tls:
        assert message(tls, unframer) == derp.ServerKey(relay.key).pack()
        login = client_info(new_key(), server=relay.key)
        for at in range(0, len(login), 7):
            tls.sendall(pack(Opcode.BINARY, login[at : at + 7], b"mask"))
        assert message(tls, unframer)[0] == derp_framing.SERVER_INFO


def test_a_ping_is_answered_and_a_goodbye_ends_it(relay: RunningRelay) -> None:
    tls, unframer = upgraded(relay)
    with tls:
        message(tls, unframer)
        tls.sendall(pack(Opcode.PING, b"here?", b"mask"))
        assert receive_exactly(tls, 7) == pack(Opcode.PONG, b"here?")
        tls.sendall(pack(Opcode.CLOSE, b"", b"mask"))
        assert read_to_end(tls) == pack(Opcode.CLOSE, b"\x03\xe8")


def test_a_client_that_does_not_mask_is_closed(relay: RunningRelay) -> None:
    tls, unframer = upgraded(relay)
    with tls:
        message(tls, unframer)
        tls.sendall(pack(Opcode.BINARY, b"plain"))
        assert pack(Opcode.BINARY, b"") not in read_to_end(tls)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (UPGRADE.format(version=12, protocol="derp"), "400"),
        (UPGRADE.format(version=13, protocol="derp") + "early", "400"),
        (UPGRADE.format(version=13, protocol="derp").replace("dGhl", "x"), "400"),
    ],
)
def test_what_is_no_upgrade(relay: RunningRelay, request_text: str, status: str) -> None:
    with relay.tls() as tls:
        tls.sendall(request_text.encode())
        assert read_to_end(tls).decode().startswith(f"HTTP/1.1 {status} ")


def test_without_the_subprotocol_it_is_an_old_client_that_means_frames(relay: RunningRelay) -> None:
    with relay.tls() as tls:
        tls.sendall(UPGRADE.format(version=13, protocol="chat, x-derp").encode())
        assert b"Upgrade: DERP\r\n" in receive_exactly(tls, 80)


def test_both_kinds_of_clients_meet(relay: RunningRelay, authority: Authority, loop: Loop) -> None:
    before = relay.metric("derp_websocket_accepts")
    web = Client(loop, relay.node(), authority.ca, websocket=True)
    plain = Client(loop, relay.node(), authority.ca)
    web.wait_for(RelayUp)
    plain.wait_for(RelayUp)
    packets = [os.urandom(size) for size in (1, 1420, 65_536, 125, 126)]
    plain.connection.send_packets(web.public, packets)
    run_until(loop, web, lambda: len(received(web)) == len(packets))
    assert received(web) == packets
    web.connection.send_packets(plain.public, packets)
    run_until(loop, plain, lambda: len(received(plain)) == len(packets))
    assert received(plain) == packets
    web.connection.ping()
    web.wait_for(RelayPong)
    assert relay.metric("derp_websocket_accepts") == before + 1
    for client in (web, plain):
        client.connection.close()


def test_a_web_client_that_reads_late_loses_packets_and_never_the_thread(
    relay: RunningRelay, authority: Authority, loop: Loop
) -> None:
    private = new_key()
    tls, unframer = upgraded(relay, segment=1220)  # so that little is on its way
    with tls:
        message(tls, unframer)
        tls.sendall(pack(Opcode.BINARY, client_info(private, server=relay.key), b"mask"))
        assert message(tls, unframer)[0] == derp_framing.SERVER_INFO
        sender = Client(loop, relay.node(), authority.ca)
        sender.wait_for(RelayUp)
        # Small ones follow the large ones: once it waits, more comes than a queue holds.
        flood = [os.urandom(60_000)] * 4 + [b"small"] * 40
        dropped = relay.metric(DROPPED)
        while relay.metric(DROPPED) == dropped:
            sender.connection.send_packets(private.public, flood)
            sender.connection.ping()
            sender.wait_for(RelayPong)
        last = b"the last one"
        stream = b""
        tls.settimeout(PATIENCE)
        while not stream.endswith(last):
            sender.connection.send_packets(private.public, [last])
            sender.connection.ping()
            sender.wait_for(RelayPong)
            stream += message(tls, unframer)
        frames = list(map(bytes, derp_framing.split_frames(stream)))
        assert {frame[0] for frame in frames} == {derp_framing.RECV_PACKET}
        sender.connection.close()


def test_a_server_that_does_not_agree(
    loop: Loop, relay: RunningRelay, authority: Authority
) -> None:
    """A load balancer, say, that upgrades to WebSocket on its own account."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.cert, authority.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True) as tls:
                tls.recv(65536)
                tls.sendall(AGREED)  # the answer to another key
                read_to_end(tls)

        Thread(target=serve, daemon=True).start()
        node = relay.node(derp_port=listener.getsockname()[1])
        client = Client(loop, node, authority.ca, websocket=True)
        assert "did not agree" in client.wait_for(RelayDown).why


# --- a proxy ---


@pytest.mark.parametrize("websocket", [False, True])
def test_through_a_proxy(
    relay: RunningRelay, authority: Authority, loop: Loop, proxy: Proxy,
    capfd: pytest.CaptureFixture[str], websocket: bool,
) -> None:  # fmt: skip
    node = relay.node(host_name="localhost", cert_name="derp.test", ipv4=None)
    client = Client(loop, node, authority.ca, proxy=proxy, websocket=websocket)
    client.wait_for(RelayUp)
    assert client.connection.fast_start == (not websocket)
    client.connection.send_packets(client.public, [b"to myself"])
    assert client.wait_for(PacketsReceived).packets == [b"to myself"]
    client.connection.close()
    assert capfd.readouterr().out == f"CONNECT localhost:{relay.port} HTTP/1.1\n"


def test_a_proxy_that_says_no_is_named(relay: RunningRelay, loop: Loop, proxy: Proxy) -> None:
    stranger = Proxy(proxy.host, proxy.port)
    down = Client(loop, relay.node(), proxy=stranger).wait_for(RelayDown)
    why = "it answered 'HTTP/1.1 407 Proxy Authentication Required'"
    assert down == RelayDown(f"the proxy {stranger}: {why}", retry=True)


def test_a_proxy_that_is_not_there_is_named(relay: RunningRelay, loop: Loop) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = Proxy("127.0.0.1", unused.getsockname()[1])
        down = Client(loop, relay.node(), proxy=nobody).wait_for(RelayDown)
    assert down.why.startswith(f"the proxy {nobody}: ")
    assert down.why.endswith("connection refused")
