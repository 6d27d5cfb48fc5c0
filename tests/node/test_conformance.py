"""What every client of a DERP server relies on, asked of our relay and of a derper, if one is supplied.

`PUNCHLAB_DERPER=/path/to/derper` supplies it (`go install tailscale.com/cmd/derper@latest`; v1.94.2 passes).
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress

import pytest

from node.core import relay_events as events
from node.core.http_upgrade import switching_protocols
from node.core.relay_events import PacketsReceived, RelayUp
from node.io.loop import Loop
from node.keys import NodePrivate, NodePublic
from node.wire import derp, stun
from node.wire.derp import PeerGone, Ping, Pong, RecvPacket, SendPacket
from node.wire.derp_framing import (
    CLIENT_INFO,
    HEADER_SIZE,
    NOTE_PREFERRED,
    PING,
    SEND_PACKET,
    pack_frame,
)
from node.wire.derp_login import ClientDetails, seal
from node.wire.endpoint import Endpoint
from tests.node.relay_rig import DISCO, FAST, MESH_KEY, SLOW, client_info, send
from tests.node.running_relay import (
    HOST,
    PATIENCE,
    Authority,
    Client,
    Reachable,
    RunningRelay,
    SuppliedDerper,
    free_port,
    new_key,
    reach_across,
    read_to_end,
    receive_exactly,
)

SUPPLIED = os.environ.get("PUNCHLAB_DERPER", "")
NOBODY = new_key()


@pytest.fixture(scope="module")
def mesh_key(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("mesh") / "mesh.key"
    file.write_text(MESH_KEY.hex())
    return str(file)


@pytest.fixture(scope="module")
def stun_port() -> int:
    return free_port(socket.SOCK_DGRAM)


@pytest.fixture(scope="module", params=["ours", "supplied"])
def relay(
    request: pytest.FixtureRequest, authority: Authority, mesh_key: str, stun_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Reachable]:  # fmt: skip
    if request.param == "ours":
        ours = meshed(authority, mesh_key, "--stun-port", str(stun_port))
        yield ours
        assert ours.stop() == 0
        return
    if not SUPPLIED:
        pytest.skip("no other derper: PUNCHLAB_DERPER=/path/to/derper supplies one")
    folder = tmp_path_factory.mktemp("derper")
    argv = ["-stun-port", str(stun_port), "-mesh-psk-file", mesh_key]
    theirs = SuppliedDerper(SUPPLIED, authority, folder, *argv)
    yield theirs
    theirs.stop()


# --- greeting and login ---


def test_the_slow_upgrade_is_an_answer_and_then_the_key(relay: Reachable) -> None:
    expected = switching_protocols(relay.key) + derp.ServerKey(relay.key).pack()
    with relay.tls() as tls:
        tls.sendall(SLOW)
        assert receive_exactly(tls, len(expected)) == expected


def test_a_fast_start_is_the_key_alone_and_takes_the_login_in_the_same_flight(
    relay: Reachable,
) -> None:
    private = new_key()
    flight = FAST + client_info(private, server=relay.key)
    for cut in (len(flight), len(FAST), len(FAST) + 3, len(flight) - 1):
        with relay.tls() as tls:
            tls.sendall(flight[:cut])
            tls.sendall(flight[cut:])
            assert frame(tls) == derp.ServerKey(relay.key)
            assert isinstance(frame(tls), derp.ServerInfo)


def spoilt(key: NodePublic) -> list[bytes]:
    private = new_key()
    good = client_info(private, server=key)
    no_json = derp.ClientInfo(private.public, seal(b"no JSON", bytes(24), private, key)).pack()
    empty_key = seal(b'{"meshKey": "", "version": 2}', bytes(24), private, key)
    return [
        good[:-1] + bytes([good[-1] ^ 1]),
        pack_frame(CLIENT_INFO, bytes(55)),
        pack_frame(CLIENT_INFO, bytes(262_145)),
        no_json,
        derp.ClientInfo(private.public, empty_key).pack(),
        Ping(bytes(8)).pack(),
    ]


@pytest.mark.parametrize("number", range(6))
def test_a_spoilt_login_ends_the_connection_without_a_frame(relay: Reachable, number: int) -> None:
    greeting = derp.ServerKey(relay.key).pack()
    with relay.tls() as tls:
        with suppress(OSError):  # it hangs up before it has read an over-long one
            tls.sendall(FAST + spoilt(relay.key)[number])
        assert greeting.startswith(read_to_end(tls))  # a reset may overtake it


# --- packets ---


def test_a_packet_arrives_with_its_senders_key_as_large_as_they_may_be(relay: Reachable) -> None:
    alice, bob = new_key(), new_key()
    with up(relay, alice) as a, up(relay, bob) as b:
        for packet in (b"hello", bytes(65_536)):
            a.sendall(send(bob, packet))
            assert frame(b) == RecvPacket(alice.public, packet)
        with suppress(OSError):  # as above
            a.sendall(pack_frame(SEND_PACKET, bob.public.raw + bytes(65_537)))
        assert read_to_end(a) == b""
        assert frame(b) == PeerGone(alice.public, 0)


def test_disco_for_nobody_is_answered_three_times_a_second_and_other_packets_never(
    relay: Reachable,
) -> None:
    with up(relay, new_key()) as a:
        a.sendall(SendPacket(NOBODY.public, b"hello").pack() + send(NOBODY, DISCO) * 4)
        a.sendall(Ping(b"12345678").pack())
        heard = [frame(a) for _ in range(4)]
    assert sorted(map(repr, heard)) == sorted(
        map(repr, [PeerGone(NOBODY.public, 1)] * 3 + [Pong(b"12345678")])
    )


def test_who_leaves_is_gone_for_those_it_wrote_to_and_for_nobody_else(relay: Reachable) -> None:
    alice, bob = new_key(), new_key()
    with up(relay, bob) as b, up(relay, new_key()) as c:
        with up(relay, alice) as a:
            a.sendall(send(bob, b"hello"))
            assert frame(b) == RecvPacket(alice.public, b"hello")
        assert frame(b) == PeerGone(alice.public, 0)
        c.sendall(Ping(b"12345678").pack())
        assert frame(c) == Pong(b"12345678")


def test_of_two_connections_with_one_key_the_one_that_spoke_last_receives(relay: Reachable) -> None:
    alice, bob = new_key(), new_key()
    with up(relay, alice) as a, up(relay, bob) as old, up(relay, bob) as new:
        a.sendall(send(bob, b"to the newest"))
        assert frame(new) == RecvPacket(alice.public, b"to the newest")
        old.sendall(Ping(b"12345678").pack())
        assert frame(old) == Pong(b"12345678")
        a.sendall(send(bob, b"to who spoke last"))
        assert frame(old) == RecvPacket(alice.public, b"to who spoke last")


# --- other frames ---


@pytest.mark.parametrize("size", [8, 9, 1000])
def test_the_first_eight_bytes_of_a_ping_come_back(relay: Reachable, size: int) -> None:
    data = bytes(range(8)) + bytes(size - 8)
    with up(relay, new_key()) as tls:
        tls.sendall(pack_frame(PING, data))
        assert frame(tls) == Pong(bytes(range(8)))


@pytest.mark.parametrize(
    "fatal",
    [
        pack_frame(PING, bytes(1001)),
        pack_frame(PING, bytes(7)),
        pack_frame(SEND_PACKET, bytes(31)),
        pack_frame(NOTE_PREFERRED, bytes(2)),
        derp.ForwardPacket(NOBODY.public, NOBODY.public, b"x").pack(),
        derp.WatchConns().pack(),
        derp.ClosePeer(NOBODY.public).pack(),
    ],
    ids=["long ping", "short ping", "no key", "preferred", "forward", "watch", "close peer"],
)
def test_frames_that_end_the_connection(relay: Reachable, fatal: bytes) -> None:
    with up(relay, new_key()) as tls:
        tls.sendall(fatal)
        assert read_to_end(tls) == b""


def test_a_mesh_key_that_is_not_the_servers_is_worth_nothing(relay: Reachable) -> None:
    with up(relay, new_key(), ClientDetails(mesh_key=bytes(32))) as tls:
        tls.sendall(derp.WatchConns().pack())
        assert read_to_end(tls) == b""


def test_a_frame_of_an_unknown_type_is_skipped(relay: Reachable) -> None:
    with up(relay, new_key()) as tls:
        tls.sendall(pack_frame(0x7F, bytes(3000)) + Ping(b"12345678").pack())
        assert frame(tls) == Pong(b"12345678")


# --- our own client, and our relay as one of its mesh ---


def test_our_client_starts_fast_and_carries(
    relay: Reachable, authority: Authority, loop: Loop
) -> None:
    a, b = (Client(loop, relay.node(), authority.ca) for _ in range(2))
    for client in (a, b):
        assert client.wait_for(RelayUp) == RelayUp(relay.key)
        assert client.connection.fast_start
    a.connection.send_packets(b.public, [b"hello"])
    assert b.wait_for(PacketsReceived) == PacketsReceived(a.public, [b"hello"])
    a.connection.close()
    assert b.wait_for(events.PeerGone) == events.PeerGone(a.public, 0)
    b.connection.close()


def test_our_relay_forwards_to_clients_of_a_relay_whose_mesh_key_it_has(
    relay: Reachable, authority: Authority, mesh_key: str, loop: Loop
) -> None:
    trust = ["--ca", str(authority.ca), "--mesh-with", f"{HOST}:{relay.port}/127.0.0.1"]
    here = meshed(authority, mesh_key, "--stun-port", "0", *trust)
    here.wait_for("mesh_connected")
    a, b = Client(loop, here.node(), authority.ca), Client(loop, relay.node(), authority.ca)
    reach_across(here, a, b)
    for client in (a, b):
        client.connection.close()
    assert here.stop() == 0


# --- STUN and pages ---


def test_stun_is_strict(relay: Reachable, stun_port: int) -> None:
    good = stun.request(b"the good one")
    generic = b"\x00\x01\x00\x00" + stun.COOKIE + b"generic one."
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(PATIENCE)
        udp.connect(("127.0.0.1", stun_port))
        own = Endpoint(*udp.getsockname())
        for datagram in (generic, good[:-1] + bytes([good[-1] ^ 1]), b"", b"noise", good):
            udp.send(datagram)
        assert stun.parse_response(udp.recv(2048)) == (b"the good one", own)


@pytest.mark.parametrize(
    ("path", "header", "expected"),
    [
        ("/derp/probe", "", "HTTP/1.1 200 OK\r\n"),
        ("/derp/latency-check", "", "HTTP/1.1 200 OK\r\n"),
        ("/derp", "", "HTTP/1.1 426 Upgrade Required\r\n"),
        ("/generate_204", "", "HTTP/1.1 204 No Content\r\n"),
        ("/generate_204", "X-Tailscale-Challenge: a.b", "\r\nX-Tailscale-Response: response a.b"),
    ],
)
def test_pages(relay: Reachable, path: str, header: str, expected: str) -> None:
    assert expected in relay.get(path, *filter(None, [header, "Connection: close"]))


# --- what the tests are made of ---


def meshed(authority: Authority, mesh_key: str, *argv: str) -> RunningRelay:
    files = ["--cert", str(authority.cert), "--key", str(authority.key), "--mesh-key", mesh_key]
    return RunningRelay(*files, *argv)


def up(
    relay: Reachable, private: NodePrivate, details: ClientDetails | None = None
) -> ssl.SSLSocket:
    tls = relay.tls()
    tls.sendall(FAST + client_info(private, details, server=relay.key))
    assert frame(tls) == derp.ServerKey(relay.key)
    assert isinstance(frame(tls), derp.ServerInfo)
    return tls


def frame(tls: ssl.SSLSocket) -> derp.Frame | None:
    """The next one."""
    head = receive_exactly(tls, HEADER_SIZE)
    size = int.from_bytes(head[1:])
    return derp.parse_frame(head[0], receive_exactly(tls, size) if size else b"")
