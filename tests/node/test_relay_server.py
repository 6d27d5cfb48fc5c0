"""The rules of a DERP server, in the order of a connection's life."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.core.http_upgrade import switching_protocols
from node.core.relay_link import ClientConnected, ClientGone, Forward, Verify
from node.core.relay_server import RelayServer
from node.wire import derp, derp_framing
from node.wire.derp import PeerGone, PeerPresent, Ping, Pong, RecvPacket
from node.wire.derp_login import ClientDetails, ServerDetails, seal, unseal
from tests.node.relay_rig import (
    DISCO,
    FAST,
    MESH_KEY,
    SERVER,
    SLOW,
    A,
    B,
    C,
    Rig,
    client_info,
    fixed_random,
    send,
)

SERVER_KEY_FRAME = derp.ServerKey(SERVER.public).pack()


def mesh_rig() -> Rig:
    return Rig(RelayServer(SERVER, random=fixed_random, mesh_key=MESH_KEY))


# --- the upgrade and the login ---


def test_the_slow_way_is_101_then_the_server_key() -> None:
    rig = Rig()
    link = rig.connect()
    rig.feed(link, SLOW)
    assert rig.stream(link) == switching_protocols(SERVER.public) + SERVER_KEY_FRAME


def test_the_fast_way_begins_with_a_frame() -> None:
    rig = Rig()
    link = rig.connect()
    rig.feed(link, FAST)
    assert rig.stream(link) == SERVER_KEY_FRAME


def test_a_login_ends_with_a_server_info_that_the_client_can_open() -> None:
    rig = Rig()
    link = rig.connect()
    rig.feed(link, FAST + client_info(A))
    server_key, info = rig.frames(link)
    assert server_key == derp.ServerKey(SERVER.public)
    assert isinstance(info, derp.ServerInfo)
    assert ServerDetails.parse(unseal(info.sealed, A, SERVER.public)) == ServerDetails(version=2)
    assert rig.aside == [ClientConnected(A.public, link.source)]


@pytest.mark.parametrize("request_", [SLOW, FAST])
def test_request_login_and_first_packet_split_at_every_byte(request_: bytes) -> None:
    flight = request_ + client_info(A) + send(B, b"hello")
    for cut in range(len(flight) + 1):
        rig = Rig()
        b = rig.login(B)
        a = rig.connect()
        rig.feed(a, flight[:cut])
        rig.feed(a, flight[cut:])
        assert rig.frames(b) == [RecvPacket(A.public, b"hello")], f"cut at {cut}"


def test_byte_by_byte() -> None:
    rig = Rig()
    b, a = rig.login(B), rig.connect()
    for byte in FAST + client_info(A) + send(B, b"hello"):
        rig.feed(a, bytes([byte]))
    assert rig.frames(b) == [RecvPacket(A.public, b"hello")]


def sealed(message: bytes) -> bytes:
    return derp.ClientInfo(A.public, seal(message, bytes(24), A, SERVER.public)).pack()


@pytest.mark.parametrize(
    "info",
    [
        client_info(A, server=C.public),
        derp_framing.pack_frame(derp_framing.CLIENT_INFO, bytes(55)),
        derp_framing.HEADER.pack(derp_framing.CLIENT_INFO, 262_145),
        derp_framing.pack_frame(derp_framing.CLIENT_INFO, bytes(56)),
        sealed(b"not JSON"),
        sealed(b'{"version":2,"meshKey":""}'),
        derp.Ping(bytes(8)).pack(),
        send(B, b"too early"),
    ],
    ids=[
        "wrong box",
        "short",
        "over-long",
        "zero key",
        "not JSON",
        "empty meshKey",
        "ping",
        "send",
    ],
)
def test_a_login_that_proves_nothing_is_closed_without_a_word(info: bytes) -> None:
    rig = Rig()
    link = rig.connect()
    rig.feed(link, FAST)
    rig.stream(link)
    rig.feed(link, info)
    assert link in rig.closed
    assert rig.stream(link) == b""
    assert rig.aside == []


def test_no_request_within_30_seconds() -> None:
    rig = Rig()
    link = rig.connect()
    rig.feed(link, FAST[:-1])
    assert rig.server.deadline == 130.0
    rig.tick(129.9)
    assert link not in rig.closed
    rig.tick(130.0)
    assert rig.closed[link] == "too slow in the HTTP phase"


def test_a_client_that_drips_its_request_gains_no_time() -> None:
    rig = Rig()
    link = rig.connect()
    for second in range(30):
        rig.tick(100.0 + second)
        rig.feed(link, FAST[second : second + 1])
    rig.tick(130.0)
    assert link in rig.closed


def test_no_client_info_within_10_seconds() -> None:
    rig = Rig()
    link = rig.connect()
    rig.tick(125.0)
    rig.feed(link, FAST + client_info(A)[:-1])
    assert rig.server.deadline == 135.0
    rig.tick(135.0)
    assert rig.closed[link] == "too slow in the AUTH phase"


def test_a_request_without_end_is_answered_431() -> None:
    rig = Rig()
    link = rig.connect()
    rig.feed(link, b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000)
    assert rig.stream(link).startswith(b"HTTP/1.1 431 ")
    assert link in rig.closed


def test_metrics_only_for_this_machine() -> None:
    rig = Rig()
    near, far = rig.connect("127.0.0.1"), rig.connect("192.0.2.7")
    for link in (near, far):
        rig.feed(link, b"GET /metrics HTTP/1.1\r\n\r\n")
    assert b"\nderp_accepts 2\n" in rig.stream(near)
    assert rig.stream(far).startswith(b"HTTP/1.1 403 ")


# --- packets ---


def test_a_packet_arrives_with_the_key_of_its_sender() -> None:
    rig = Rig()
    a, b = rig.login(A), rig.login(B)
    rig.feed(a, send(B, b"hello") + send(B, b"world!"))
    assert rig.frames(b) == [RecvPacket(A.public, b"hello"), RecvPacket(A.public, b"world!")]
    assert rig.stream(a) == b""


def test_mixed_destinations_each_get_their_own_in_order() -> None:
    rig = Rig()
    a, b, c = rig.login(A), rig.login(B), rig.login(C)
    rig.feed(a, b"".join(send((B, C)[n % 2], bytes([n]) * (1 + n % 3)) for n in range(12)))
    for link, first in ((b, 0), (c, 1)):
        expected = [RecvPacket(A.public, bytes([n]) * (1 + n % 3)) for n in range(first, 12, 2)]
        assert rig.frames(link) == expected


def test_65536_bytes_pass_and_one_more_ends_the_connection() -> None:
    rig = Rig()
    a, b = rig.login(A), rig.login(B)
    rig.feed(a, send(B, bytes(65_536)))
    assert rig.frames(b) == [RecvPacket(A.public, bytes(65_536))]
    rig.feed(a, derp_framing.pack_frame(derp_framing.SEND_PACKET, B.public.raw + bytes(65_537)))
    assert a in rig.closed
    assert b not in rig.closed


def test_what_came_before_a_broken_frame_is_still_delivered() -> None:
    rig = Rig()
    a, b = rig.login(A), rig.login(B)
    rig.feed(a, send(B, b"hello") + derp_framing.pack_frame(derp_framing.SEND_PACKET, bytes(31)))
    assert a in rig.closed
    assert rig.frames(b)[0] == RecvPacket(A.public, b"hello")


def test_an_unknown_frame_is_skipped_whole() -> None:
    rig = Rig()
    a, b = rig.login(A), rig.login(B)
    unknown = derp_framing.pack_frame(0x7F, bytes(300_000))
    flight = unknown + send(B, b"hello")
    for at in range(0, len(flight), 100_000):
        rig.feed(a, flight[at : at + 100_000])
    assert rig.frames(b) == [RecvPacket(A.public, b"hello")]
    assert rig.server.counters["unknown_frames"] == 1


def test_disco_to_nobody_is_said_so_3_times_and_then_once_a_second() -> None:
    rig = Rig()
    a = rig.login(A)
    rig.feed(a, send(B, DISCO) * 4)
    assert rig.frames(a) == [PeerGone(B.public, 1)] * 3
    rig.now += 1.0
    rig.feed(a, send(B, DISCO) * 4)
    assert rig.frames(a) == [PeerGone(B.public, 1)]
    assert rig.server.drops.packets == {("unknown_dest", "disco"): 8}


def test_other_packets_to_nobody_vanish() -> None:
    rig = Rig()
    a = rig.login(A)
    rig.feed(a, send(B, bytes(100)))
    assert rig.frames(a) == []
    assert rig.server.drops.packets == {("unknown_dest", "other"): 1}


# --- ping, keepalive, home ---


@pytest.mark.parametrize("size", [8, 9, 1000])
def test_a_ping_is_answered_with_its_first_8_bytes(size: int) -> None:
    rig = Rig()
    a = rig.login(A)
    rig.feed(a, Ping(bytes(range(8)) + bytes(size - 8)).pack())
    assert rig.frames(a) == [Pong(bytes(range(8)))]


@pytest.mark.parametrize("size", [0, 7, 1001])
def test_a_ping_of_another_size_ends_the_connection(size: int) -> None:
    rig = Rig()
    a = rig.login(A)
    rig.feed(a, derp_framing.pack_frame(derp_framing.PING, bytes(size)))
    assert a in rig.closed


def test_one_that_does_not_read_gets_no_more_pongs() -> None:
    rig = Rig()
    a = rig.login(A)
    a.outbox.blocked(rig.now)
    rig.feed(a, Ping(bytes(8)).pack())
    assert rig.frames(a) == []


@pytest.mark.parametrize(("dice", "every"), [(b"\x00\x00", 60.0), (b"\x80\x00", 62.5)])
def test_a_keepalive_every_60_to_65_seconds(dice: bytes, every: float) -> None:
    rig = Rig(RelayServer(SERVER, random=lambda size: dice if size == 2 else bytes(size)))
    a = rig.login(A)
    for beat in range(1, 4):
        assert rig.server.deadline == 100.0 + beat * every
        rig.tick(100.0 + beat * every)
        assert rig.frames(a) == [derp.KeepAlive()]


def test_a_second_client_info_ends_the_connection() -> None:
    rig = Rig()
    a = rig.login(A)
    rig.feed(a, client_info(A))
    assert a in rig.closed


def test_homes_are_counted() -> None:
    rig = Rig()
    a = rig.login(A)
    rig.feed(a, derp.NotePreferred(True).pack() * 2)
    assert "\nderp_gauge_current_home_connections 1\n" in rig.server.metrics()
    rig.feed(a, derp.NotePreferred(False).pack())
    assert "\nderp_gauge_current_home_connections 0\n" in rig.server.metrics()
    assert rig.server.counters["home_moves_in"] == 1
    rig.feed(a, derp_framing.pack_frame(derp_framing.NOTE_PREFERRED, b"\x01\x01"))
    assert a in rig.closed


# --- leaving, and the same key twice ---


def test_who_heard_from_a_peer_is_told_when_it_leaves_and_nobody_else() -> None:
    rig = Rig()
    a, b, c = rig.login(A), rig.login(B), rig.login(C)
    rig.feed(a, send(B, b"hello"))
    rig.feed(c, send(A, b"to a, not from it"))
    rig.stream(b)
    rig.hang_up(a)
    assert rig.frames(b) == [PeerGone(A.public, 0)]
    assert rig.frames(c) == []
    assert rig.aside[-1] == ClientGone(A.public)


def test_a_client_is_told_of_a_departure_once() -> None:
    rig = Rig()
    b = rig.login(B)
    for _ in range(2):
        a = rig.login(A)
        rig.hang_up(a)
    assert rig.frames(b) == []


def test_the_newest_of_two_connections_receives_until_the_older_speaks() -> None:
    rig = Rig()
    old, new, b = rig.login(A), rig.login(A), rig.login(B)
    rig.feed(b, send(A, b"1"))
    assert (rig.frames(old), rig.frames(new)) == ([], [RecvPacket(B.public, b"1")])
    rig.feed(old, derp.NotePreferred(True).pack())
    rig.feed(b, send(A, b"2"))
    assert (rig.frames(old), rig.frames(new)) == ([RecvPacket(B.public, b"2")], [])


def test_a_key_is_gone_only_with_its_last_connection() -> None:
    rig = Rig()
    old, new, b = rig.login(A), rig.login(A), rig.login(B)
    rig.feed(new, send(B, b"hello"))
    rig.stream(b)
    rig.hang_up(new)
    assert rig.frames(b) == []
    rig.feed(b, send(A, b"still there"))
    assert rig.frames(old) == [RecvPacket(B.public, b"still there")]
    rig.hang_up(old)
    assert rig.frames(b) == [PeerGone(A.public, 0)]


def test_nothing_is_kept_of_those_who_left() -> None:
    rig = Rig()
    for _ in range(3):
        a, b = rig.login(A), rig.login(B)
        rig.feed(a, send(B, b"hello"))
        rig.feed(b, send(A, b"hello"))
        rig.hang_up(a)
        rig.hang_up(b)
    assert not rig.server.links
    assert not rig.server.registry.clients
    assert rig.server.registry.take_listeners(A.public.raw) == []
    assert rig.server.deadline is None


# --- admission ---


def test_only_keys_on_the_list_come_in() -> None:
    rig = Rig(RelayServer(SERVER, random=fixed_random, allowed={A.public}))
    rig.login(A)
    b = rig.connect()
    rig.feed(b, FAST + client_info(B))
    assert rig.closed[b] == "not admitted"
    assert rig.frames(b) == [derp.ServerKey(SERVER.public)]


@pytest.mark.parametrize("allowed", [True, False])
def test_somebody_outside_decides(allowed: bool) -> None:
    rig = Rig(RelayServer(SERVER, random=fixed_random, verify_outside=True))
    a = rig.connect()
    rig.feed(a, FAST + client_info(A) + Ping(bytes(8)).pack())
    assert rig.aside == [Verify(a, A.public)]
    assert rig.frames(a) == [derp.ServerKey(SERVER.public)]
    rig.handle(rig.server.verified(a, allowed, rig.now))
    assert (a in rig.closed) is not allowed
    rig.feed(a, b"")
    assert [type(frame) for frame in rig.frames(a)] == ([derp.ServerInfo, Pong] if allowed else [])


# --- the mesh ---


@pytest.mark.parametrize(
    "frame",
    [
        derp.ForwardPacket(B.public, A.public, b"x").pack(),
        derp.WatchConns().pack(),
        derp.ClosePeer(B.public).pack(),
    ],
)
@pytest.mark.parametrize("mesh_key", [None, bytes(32)])
def test_mesh_frames_are_for_holders_of_the_key(frame: bytes, mesh_key: bytes | None) -> None:
    rig = mesh_rig()
    a, b = rig.login(A, ClientDetails(mesh_key=mesh_key)), rig.login(B)
    rig.feed(a, frame)
    assert a in rig.closed
    assert b not in rig.closed


def test_a_watcher_hears_who_is_here_who_comes_and_who_goes() -> None:
    rig = mesh_rig()
    a, mesh = rig.login(A), rig.mesh_login(C)
    rig.feed(mesh, derp.WatchConns().pack())
    assert rig.frames(mesh) == [
        PeerPresent(A.public, a.source, derp.PeerFlag.REGULAR),
        PeerPresent(C.public, mesh.source, derp.PeerFlag.MESH_PEER),
    ]
    b = rig.login(B)
    rig.hang_up(b)
    assert rig.frames(mesh) == [PeerPresent(B.public, b.source, 1), PeerGone(B.public, 0)]


def test_a_watcher_hears_of_every_connection_of_a_key_and_of_the_last_one_s_end() -> None:
    rig = mesh_rig()
    mesh, first = rig.mesh_login(C), rig.login(A)
    rig.feed(mesh, derp.WatchConns().pack())
    rig.frames(mesh)
    second = rig.login(A)
    rig.hang_up(first)
    assert rig.frames(mesh) == [PeerPresent(A.public, second.source, 1)]
    rig.hang_up(second)
    assert rig.frames(mesh) == [PeerGone(A.public, 0)]


def test_a_packet_for_a_client_of_another_relay_is_forwarded_there() -> None:
    rig = mesh_rig()
    a = rig.login(A)
    rig.server.mesh.peer_present("fra", B.public)
    rig.feed(a, send(B, b"hello"))
    assert rig.aside[-1] == Forward("fra", derp.ForwardPacket(A.public, B.public, b"hello").pack())


def test_a_forwarded_packet_goes_to_a_local_client_and_never_further() -> None:
    rig = mesh_rig()
    b, mesh = rig.login(B), rig.mesh_login(C)
    rig.server.mesh.peer_present("fra", A.public)
    rig.aside.clear()
    rig.feed(mesh, derp.ForwardPacket(A.public, B.public, b"hello").pack())
    rig.feed(mesh, derp.ForwardPacket(B.public, A.public, b"hello").pack())
    assert rig.frames(b) == [RecvPacket(A.public, b"hello")]
    assert rig.aside == []
    assert rig.server.drops.packets == {("unknown_dest_on_fwd", "other"): 1}


def test_a_peer_is_gone_when_no_relay_of_the_mesh_has_it_any_more() -> None:
    rig = mesh_rig()
    b, mesh = rig.login(B), rig.mesh_login(C)
    for forwarder in ("fra", "sin"):
        rig.server.mesh.peer_present(forwarder, A.public)
    rig.feed(mesh, derp.ForwardPacket(A.public, B.public, b"hello").pack())
    rig.stream(b)
    rig.handle(rig.server.mesh.peer_gone("fra", A.public))
    assert rig.frames(b) == []
    rig.handle(rig.server.mesh.lost("sin"))
    assert rig.frames(b) == [PeerGone(A.public, 0)]


def test_close_peer_ends_every_connection_of_the_key() -> None:
    rig = mesh_rig()
    a1, a2, mesh = rig.login(A), rig.login(A), rig.mesh_login(C)
    rig.feed(mesh, derp.ClosePeer(A.public).pack())
    assert set(rig.closed) == {a1, a2}


def test_a_relay_that_meets_itself_hangs_up() -> None:
    rig = mesh_rig()
    link = rig.connect()
    rig.feed(link, FAST + client_info(SERVER, ClientDetails(mesh_key=MESH_KEY)))
    assert rig.closed[link] == "this is myself"


# --- whatever comes ---


@given(st.lists(st.binary(max_size=100), max_size=8), st.booleans(), st.booleans())
@settings(max_examples=200)
def test_no_bytes_break_the_server(chunks: list[bytes], logged_in: bool, mesh: bool) -> None:
    rig = mesh_rig()
    b = rig.login(B)
    link = rig.connect()
    if logged_in:
        rig.feed(link, FAST + client_info(A, ClientDetails(mesh_key=MESH_KEY if mesh else None)))
    for chunk in chunks:
        if link not in rig.closed:
            rig.feed(link, chunk)
    rig.hang_up(link)
    c = rig.login(C)
    rig.stream(b)
    rig.feed(c, send(B, b"others are served"))
    assert rig.frames(b) == [RecvPacket(C.public, b"others are served")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0x02, 0x04, 0x07, 0x0A, 0x10, 0x11, 0x12, 0x13, 0x7F]),
            st.sampled_from([B.public.raw, C.public.raw, b""]),
            st.binary(max_size=80),
        ),
        max_size=10,
    )
)
@settings(max_examples=200)
def test_no_frames_break_the_server(frames: list[tuple[int, bytes, bytes]]) -> None:
    rig = mesh_rig()
    b, mesh = rig.login(B), rig.mesh_login(A)
    stream = b"".join(derp_framing.pack_frame(kind, key + tail) for kind, key, tail in frames)
    rig.feed(mesh, stream)
    for frame in rig.frames(b):
        assert isinstance(frame, RecvPacket | PeerGone)
