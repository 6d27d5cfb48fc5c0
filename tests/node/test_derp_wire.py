"""DERP: every frame beside its bytes, the login boxes, and the meta certificate."""

from __future__ import annotations

import calendar
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.keys import NodePrivate, NodePublic
from node.wire import derp, derp_framing
from node.wire.certificate import meta_certificate
from node.wire.derp_login import ClientDetails, ServerDetails, seal, unseal
from node.wire.endpoint import Endpoint
from node.wire.malformed import Malformed
from tests.node.vectors import VECTORS

DERP: dict[str, Any] = VECTORS["derp"]


def private(first: int) -> NodePrivate:
    """The vectors' rule: the bytes first, first + 1, ..., clamped."""
    return NodePrivate.from_seed(bytes(range(first, first + 32)))


A, B, SERVER = private(0x01), private(0x21), private(0x81)
NONCE = bytes.fromhex(DERP["client_info"]["nonce"])
SERVER_NONCE = bytes.fromhex(DERP["server_info"]["nonce"])
MESH_KEY = bytes.fromhex("00112233445566778899aabbccddeeff" * 2)

A_DETAILS = ClientDetails()
B_DETAILS = ClientDetails(mesh_key=MESH_KEY, can_ack_pings=False)

FRAMES: list[tuple[str, derp.Frame]] = [
    ("server_key", derp.ServerKey(SERVER.public)),
    ("client_info", derp.ClientInfo(A.public, seal(A_DETAILS.pack(), NONCE, A, SERVER.public))),
    (
        "client_info_mesh",
        derp.ClientInfo(B.public, seal(B_DETAILS.pack(), NONCE, B, SERVER.public)),
    ),
    (
        "server_info",
        derp.ServerInfo(seal(ServerDetails().pack(), SERVER_NONCE, SERVER, A.public)),
    ),
    ("send_packet", derp.SendPacket(B.public, b"hello-derp")),
    ("recv_packet", derp.RecvPacket(A.public, b"hello-derp")),
    ("forward_packet", derp.ForwardPacket(A.public, B.public, b"hello-derp")),
    ("keep_alive", derp.KeepAlive()),
    ("note_preferred_on", derp.NotePreferred(True)),
    ("note_preferred_off", derp.NotePreferred(False)),
    ("peer_gone_disconnected", derp.PeerGone(B.public, 0)),
    ("peer_gone_not_here", derp.PeerGone(B.public, 1)),
    ("peer_present", derp.PeerPresent(B.public, Endpoint("192.0.2.7", 51000), 1)),
    ("watch_conns", derp.WatchConns()),
    ("close_peer", derp.ClosePeer(B.public)),
    ("ping", derp.Ping(bytes.fromhex("deadbeef01020304"))),
    ("pong", derp.Pong(bytes.fromhex("deadbeef01020304"))),
    ("health", derp.Health("dup")),
    ("health_clear", derp.Health("")),
    ("restarting", derp.Restarting(1.0, 5.0)),
]


def parse(frame: bytes) -> derp.Frame | None:
    kind, length = derp_framing.HEADER.unpack_from(frame)
    assert len(frame) == derp_framing.HEADER_SIZE + length
    return derp.parse_frame(kind, frame[derp_framing.HEADER_SIZE :])


@pytest.mark.parametrize(("name", "frame"), FRAMES)
def test_a_frame_has_these_bytes(name: str, frame: derp.Frame) -> None:
    assert frame.pack().hex() == DERP[name]["frame"]
    assert parse(bytes.fromhex(DERP[name]["frame"])) == frame


def test_every_frame_of_the_vectors_is_in_the_table() -> None:
    assert {name for name, _ in FRAMES} == {name for name, row in DERP.items() if "frame" in row}


@pytest.mark.parametrize(
    ("name", "mine", "details"), [("client_info", A, A_DETAILS), ("client_info_mesh", B, B_DETAILS)]
)
def test_the_server_opens_a_client_info(
    name: str, mine: NodePrivate, details: ClientDetails
) -> None:
    frame = parse(bytes.fromhex(DERP[name]["frame"]))
    assert isinstance(frame, derp.ClientInfo)
    assert frame.key == mine.public

    box = unseal(frame.sealed, SERVER, mine.public)
    assert box.decode() == DERP[name]["json_utf8"]
    assert ClientDetails.parse(box) == details


def test_the_client_opens_a_server_info() -> None:
    frame = parse(bytes.fromhex(DERP["server_info"]["frame"]))
    assert isinstance(frame, derp.ServerInfo)
    assert ServerDetails.parse(unseal(frame.sealed, A, SERVER.public)) == ServerDetails(version=2)


def test_a_box_for_somebody_else_does_not_open() -> None:
    with pytest.raises(Malformed):
        unseal(seal(b"{}", NONCE, A, SERVER.public), B, A.public)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"[]",
        b"{",
        b"\xff",
        b'{"version":"2"}',
        b'{"version":2,"meshKey":""}',
        b'{"version":2,"meshKey":"0011"}',
        b'{"version":2,"meshKey":7}',
        b"[" * 100_000,
    ],
)
def test_a_client_info_that_is_not_one(raw: bytes) -> None:
    with pytest.raises(Malformed):
        ClientDetails.parse(raw)


def test_the_optional_fields_of_a_client_info() -> None:
    details = ClientDetails(is_prober=True, app_name="lab")
    assert details.pack() == b'{"version":2,"CanAckPings":true,"IsProber":true,"AppName":"lab"}'
    assert ClientDetails.parse(details.pack()) == details


def test_a_rate_limit_in_a_server_info() -> None:
    raw = b'{"version":2,"TokenBucketBytesPerSecond":1000,"TokenBucketBytesBurst":2000}'
    assert ServerDetails.parse(raw) == ServerDetails(2, 1000, 2000)
    assert ServerDetails(2, 1000, 2000).pack() == raw


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (derp_framing.SERVER_KEY, derp_framing.MAGIC + bytes(31)),
        (derp_framing.SERVER_KEY, b"NOTDERP!" + bytes(32)),
        (derp_framing.CLIENT_INFO, bytes(55)),
        (derp_framing.CLIENT_INFO, bytes(262_145)),
        (derp_framing.SEND_PACKET, bytes(31)),
        (derp_framing.SEND_PACKET, bytes(32 + 65_537)),
        (derp_framing.FORWARD_PACKET, bytes(63)),
        (derp_framing.NOTE_PREFERRED, b""),
        (derp_framing.NOTE_PREFERRED, b"\x01\x01"),
        (derp_framing.PEER_GONE, bytes(31)),
        (derp_framing.WATCH_CONNS, b"\x00"),
        (derp_framing.CLOSE_PEER, bytes(33)),
        (derp_framing.PING, bytes(7)),
        (derp_framing.PING, bytes(1001)),
        (derp_framing.PONG, bytes(7)),
        (derp_framing.RESTARTING, bytes(7)),
    ],
)
def test_a_frame_of_the_wrong_size_is_malformed(kind: int, payload: bytes) -> None:
    with pytest.raises(Malformed):
        derp.parse_frame(kind, payload)


def test_what_may_stand_behind_a_frame() -> None:
    key = B.public.raw
    assert derp.parse_frame(
        derp_framing.SERVER_KEY, derp_framing.MAGIC + key + b"more"
    ) == derp.ServerKey(B.public)
    assert derp.parse_frame(derp_framing.PEER_GONE, key) == derp.PeerGone(B.public, 0)
    assert derp.parse_frame(derp_framing.PEER_PRESENT, key) == derp.PeerPresent(B.public)
    assert derp.parse_frame(derp_framing.PEER_PRESENT, key + bytes(18)) == derp.PeerPresent(
        B.public, Endpoint("::", 0)
    )
    assert derp.parse_frame(derp_framing.PING, bytes(1000)) == derp.Ping(bytes(8))


def test_a_type_from_the_future_is_no_error() -> None:
    assert derp.parse_frame(0x7F, b"whatever") is None


def test_the_meta_certificate_has_these_bytes() -> None:
    row = DERP["meta_cert"]
    key = NodePublic(bytes.fromhex(row["subject_cn"].removeprefix("derpkey")))
    years = [float(calendar.timegm((year, 1, 1, 0, 0, 0))) for year in (2026, 2036)]
    assert meta_certificate(key, bytes.fromhex(row["ed25519_seed"]), *years).hex() == row["der"]


@given(st.integers(0, 255), st.binary(max_size=200))
def test_parsing_says_malformed_and_nothing_else(kind: int, payload: bytes) -> None:
    try:
        frame = derp.parse_frame(kind, payload)
    except Malformed:
        return
    if frame is not None:
        assert parse(frame.pack()) == frame


@given(st.binary(max_size=300))
def test_a_login_says_malformed_and_nothing_else(raw: bytes) -> None:
    for parser in (ClientDetails.parse, ServerDetails.parse, lambda r: unseal(r, A, B.public)):
        try:
            parser(raw)
        except Malformed:
            continue
