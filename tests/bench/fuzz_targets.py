"""What is fuzzed: each target takes any bytes and must raise nothing but what it says.

Parsers may raise Malformed, or the error for people of the file they read; the cores nothing at all.
What comes out of a parser and can be packed again must be read again as the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress

from nacl.bindings import crypto_box

from node.core.device import Device, PeerConfig
from node.core.http_connect import is_connected, parse_proxy
from node.core.http_upgrade import BadRequest, answer, parse_request
from node.core.mesh import Mesh
from node.core.rate_limit import BadRateLimit, parse_rate_limit
from node.core.relay_client import RelayClient
from node.core.relay_server import RelayServer
from node.keys import BadKey, DiscoPrivate, NodePrivate, NodePublic
from node.netmap import NetmapError, parse_netmap
from node.wire import (
    classify,
    derp,
    derp_login,
    disco,
    endpoint,
    geneve,
    http_response,
    igd,
    ip,
    natpmp,
    pcp,
    ssdp,
    stun,
    tsmp,
    uapi,
    wireguard,
)
from node.wire.derp_framing import HEADER_SIZE
from node.wire.endpoint import Endpoint
from node.wire.malformed import Malformed
from node.wire.websocket import Unframer
from tests.bench.fuzz_batches import tun_reads, tunnel_batches
from tests.node.relay_rig import FAST, MESH_KEY, SERVER, A, B, Rig, client_info, fixed_random
from tests.node.test_netmap import NETMAP

Target = Callable[[bytes], None]
SOURCE = Endpoint("203.0.113.9", 41641)
MINE, THEIRS = DiscoPrivate(bytes(range(1, 33))), DiscoPrivate(bytes(range(2, 34)))
EPOCH = 1.7e9


def chunks(data: bytes) -> list[bytes]:
    """The stream after the first byte, in pieces of that size: where it is cut must not matter."""
    size = max(1, data[0]) if data else 1
    return [data[at : at + size] for at in range(1, len(data), size)]


# --- parsers ---


def derp_frames(data: bytes) -> None:
    with suppress(Malformed):
        frame = derp.parse_frame(data[0] if data else 0, data[1:])
        if frame is not None:
            packed = frame.pack()
            again = derp.parse_frame(packed[0], packed[HEADER_SIZE:])
            assert isinstance(frame, derp.Restarting | derp.Health) or again == frame


def derp_logins(data: bytes) -> None:
    for parse in (derp_login.ClientDetails.parse, derp_login.ServerDetails.parse):
        with suppress(Malformed):
            details = parse(data)
            assert (
                parse(details.pack()) == details or details.version != derp_login.PROTOCOL_VERSION
            )


def disco_bodies(data: bytes) -> None:
    with suppress(Malformed):
        message = disco.parse_body(data)
        assert disco.parse_body(disco.pack_body(message)) == message
    with suppress(Malformed):
        disco.parse_packet(data)


def datagrams(data: bytes) -> None:
    classify.classify(data)
    disco.looks_like_disco(data)
    for parse in (
        stun.parse_request, stun.parse_response, wireguard.parse, geneve.parse_geneve,
        natpmp.parse_answer, pcp.parse_answer, ssdp.parse_answer,
    ):  # fmt: skip
        with suppress(Malformed):
            parse(data)
    if stun.is_stun(data):
        with suppress(Malformed):
            stun.parse_request(data, strict=False)


def inner_packets(data: bytes) -> None:
    for read in (ip.source, ip.destination, ip.length, ip.protocol, ip.payload, ip.version):
        with suppress(Malformed):
            read(data)
    with suppress(Malformed):
        tsmp.parse_advertisement(data)
    with suppress(Malformed):
        ip.version(data)
        tsmp.is_tsmp(data)


def texts(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    with suppress(NetmapError):
        parse_netmap(text)
    with suppress(BadRateLimit):
        parse_rate_limit(text)
    with suppress(Malformed):
        endpoint.parse_endpoint(text)
    with suppress(Malformed):
        ssdp.parse_url(text)
    with suppress(ValueError):
        parse_proxy(text)
    for key in (NodePublic.parse, NodePrivate.parse):
        with suppress(BadKey):
            key(text)
    with suppress(Malformed):
        uapi.parse_request(data)


def http(data: bytes) -> None:
    with suppress(BadRequest):
        answer(parse_request(data), "metrics")
    with suppress(Malformed):
        is_connected(data)
    with suppress(Malformed):
        http_response.parse_head(data)
    with suppress(Malformed):
        response = http_response.parse_response(data, closed=True)
        if response is not None:
            igd.parse_description(response, ssdp.Url(SOURCE, "/"))
            igd.parse_result(response, "NewExternalIPAddress")


def websocket(data: bytes) -> None:
    whole, pieces = Unframer(masked=False), Unframer(masked=False)
    with suppress(Malformed):
        at_once = whole.receive(data[1:])
        assert b"".join(map(pieces.receive, chunks(data))) == at_once
    with suppress(Malformed):
        Unframer(masked=True).receive(data)


# --- cores ---


def relay_requests(data: bytes) -> None:
    rig = Rig()
    link = rig.connect()
    for piece in chunks(data):
        rig.feed(link, piece)


_LOGINS = {key: FAST + client_info(key) for key in (A, B)}


def relay_frames(data: bytes) -> None:
    """Two who are logged in; the second one's stream is the input, however it is cut."""
    rig = Rig(RelayServer(SERVER, random=fixed_random, mesh_key=MESH_KEY))
    a, b = rig.connect(), rig.connect()
    rig.feed(a, _LOGINS[A])
    rig.feed(b, _LOGINS[B])
    b.mesh = bool(data) and data[0] % 2 == 1
    for piece in chunks(data):
        rig.feed(b, piece)
    assert a not in rig.closed or b.mesh
    rig.hang_up(b)
    rig.tick(rig.now + 60)
    rig.server.metrics()


def relay_client(data: bytes) -> None:
    """A client that trusts its relay too much: it is up, and this is what the relay says."""
    client = RelayClient(A, "derp.test", random=fixed_random)
    client.start(SERVER.public, 0.0)
    details = derp_login.ServerDetails().pack()
    sealed = derp_login.seal(details, bytes(24), SERVER, A.public)
    client.receive(derp.ServerInfo(sealed).pack(), 0.0)
    client.ping(0.0)
    for piece in chunks(data):
        client.receive(piece, 1.0)
    client.tick(1000.0)


def relay_answers(data: bytes) -> None:
    """What comes before DERP: the HTTP answer to both ways of asking."""
    for websocket in (False, True):
        client = RelayClient(A, "derp.test", random=fixed_random)
        client.start_websocket(0.0) if websocket else client.start(None, 0.0)
        for piece in chunks(data):
            client.receive(piece, 1.0)


def mesh_of_one(relays: bool) -> Mesh:
    """A node with one peer, B, whose disco key is known. `relays`: it is a peer relay for others."""
    netmap = dict(NETMAP)
    peer = {
        "name": "b", "node_key": str(B.public), "addresses": ["100.64.2.20"],
        "allowed_ips": ["100.64.2.20/32"], "home_region": 900, "disco_key": str(THEIRS.public),
    }  # fmt: skip
    netmap |= {"peers": [peer], "peer_relay": relays}
    mesh = Mesh(A, MINE, random=os.urandom, epoch=EPOCH)
    mesh.set_netmap(parse_netmap(json.dumps(netmap)), 1.0)
    mesh.relay_connected(900, 1.0)
    return mesh


def mesh_datagrams(data: bytes) -> None:
    mesh = mesh_of_one(relays=len(data) % 2 == 0)
    mesh.receive_udp(chunks(data), SOURCE, 2.0)
    mesh.receive_relay(900, B.public, chunks(data), 2.0)
    mesh.receive_tun(chunks(data), 2.0)
    settle(mesh)


def mesh_disco(data: bytes) -> None:
    """The peer itself means harm: what it says is sealed as it should be."""
    mesh = mesh_of_one(relays=len(data) % 2 == 0)
    nonce = bytes(24)
    box = crypto_box(data, nonce, MINE.public.raw, THEIRS.raw)
    packet = disco.pack_packet(THEIRS.public, nonce, box)
    mesh.receive_udp([packet], SOURCE, 2.0)
    mesh.receive_relay(900, B.public, [packet], 2.0)
    settle(mesh)


def settle(mesh: Mesh) -> None:
    """The clock from deadline to deadline: it must go forward, and not be asked for too often."""
    now = 2.0
    for _ in range(50):
        deadline = mesh.deadline
        if deadline is None:
            return
        now = max(now, deadline)
        mesh.tick(now)
        assert mesh.deadline is None or mesh.deadline > now


def wireguard_device(data: bytes) -> None:
    device = Device(A, random=os.urandom, epoch=EPOCH)
    device.set_peers([PeerConfig(B.public, ("100.64.2.20/32",))], 1.0)
    device.receive(chunks(data), SOURCE, 1.0)
    device.send(chunks(data), 1.0)
    device.tick(2.0)


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        derp_frames, derp_logins, disco_bodies, datagrams, inner_packets, texts, http, websocket,
        relay_requests, relay_frames, relay_client, relay_answers, mesh_datagrams, mesh_disco,
        wireguard_device, tun_reads, tunnel_batches,
    )
}  # fmt: skip
