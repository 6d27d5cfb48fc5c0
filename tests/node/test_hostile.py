"""A node among strangers and peers that mean harm: it says nothing to it, no path moves, counters tell.

The scene is a pair with a direct path; what both have sent is on record.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from node.core.actions import Action, RelayPath, SendRelay, SendUdp, WriteTun
from node.core.disco import DiscoBox
from node.core.landing import Landing
from node.core.rows import Rows
from node.keys import DiscoPrivate
from node.wire import stun
from node.wire.disco import MAGIC, CallMeMaybe, Message, Ping, pack_packet
from node.wire.endpoint import Endpoint
from node.wire.geneve import DISCO, WIREGUARD, GeneveHeader
from tests.node.nat_model import port_restricted
from tests.node.network import Machine, Network
from tests.node.relay_rig import C
from tests.node.simulation import weight
from tests.node.test_mesh import stream

STRANGER = Endpoint("192.0.2.66", 1)
LARGEST = 65_507  # bytes of a UDP datagram over IPv4
TXID = b"twelve bytes"
INITIATION, RESPONSE, TRANSPORT = b"\1\0\0\0", b"\2\0\0\0", b"\4\0\0\0"
QUESTION = b"\0\1\0\x14"  # STUN


class Scene:
    """Two with a direct path, and a third that they know and never talk to."""

    def __init__(self) -> None:
        self.said: list[tuple[Endpoint, bytes]] = []  # by node-a, by UDP
        self.net = Network()
        self.relay = self.net.add_relay(900, "nyc", "198.51.100.1")
        self.a, self.b, self.c = (self._home(f"node-{each}", n) for n, each in enumerate("abc", 1))
        self.net.lost = self._note
        self.net.start()
        stream(self.net, self.a, self.b, 50)
        assert self.paths == (["relay", "direct"], ["relay", "direct"])

    def _home(self, name: str, n: int) -> Machine:
        overlay, nat = f"100.64.{n}.{n}0", port_restricted(f"203.0.113.{n}0")
        return self.net.add_node(name, overlay, address=f"192.168.{n}.10", nat=nat)

    def _note(self, machine: Machine, to: Endpoint, datagram: bytes) -> bool:
        if machine is self.a:
            self.said.append((to, datagram))
        return False

    @property
    def paths(self) -> tuple[list[str], list[str]]:
        return self.a.history(self.b), self.b.history(self.a)

    def carried(self, begins: bytes) -> list[bytes]:
        return [each for _, each in self.relay.carried if each.startswith(begins)]

    def happens(
        self, to: Machine, receive: Callable[..., Iterable[Action]], *what: object
    ) -> dict[str, int]:
        """It says nothing to it, and keeps its path. What it has counted, but for the traffic."""
        before = counters(to)
        done = list(receive(*what, self.net.now))
        self.net.perform(to, done)
        assert [each for each in done if isinstance(each, SendUdp | SendRelay | WriteTun)] == []
        assert self.paths == (["relay", "direct"], ["relay", "direct"])
        return dict(counters(to) - before)


@pytest.fixture
def scene() -> Scene:
    return Scene()


# --- reflected: what it said comes back to it ---


@pytest.mark.parametrize(
    ("begins", "counter"),
    [(TRANSPORT, "unknown_index"), (MAGIC, "disco_unknown"), (QUESTION, "stun_malformed")],
    ids=["transport", "disco", "stun"],
)
def test_what_it_said_by_udp_comes_back(scene: Scene, begins: bytes, counter: str) -> None:
    said = [(to, each) for to, each in scene.said if each.startswith(begins)]
    assert said
    for to, datagram in said:
        receive = scene.a.mesh.receive_udp
        assert scene.happens(scene.a, receive, [datagram], to) == {counter: 1}


@pytest.mark.parametrize(("begins", "who"), [(INITIATION, "node-a"), (RESPONSE, "node-b")])
def test_its_own_handshake_comes_back(scene: Scene, begins: bytes, who: str) -> None:
    machine = scene.net.machines[who]
    other = scene.b if machine is scene.a else scene.a
    [said] = scene.carried(begins)
    by_udp, by_relay = machine.mesh.receive_udp, machine.mesh.receive_relay
    assert scene.happens(machine, by_udp, [said], STRANGER) == {"bad_mac1": 1}
    assert scene.happens(machine, by_relay, 900, other.key, [said]) == {"bad_mac1": 1}


def test_a_relay_gives_back_what_it_was_given(scene: Scene) -> None:
    own = scene.a.key
    for begins in (INITIATION, TRANSPORT, MAGIC):
        said = scene.carried(begins)
        counted = scene.happens(scene.a, scene.a.mesh.receive_relay, 900, own, said)
        assert counted == {"unknown_peer": len(said)}


def test_a_peer_gives_back_our_disco_by_a_relay(scene: Scene) -> None:
    receive, own = scene.a.mesh.receive_relay, scene.a.mesh.disco_key.raw
    ours = [each for each in scene.carried(MAGIC) if own in each[:38]]
    assert ours
    for packet in ours:
        assert scene.happens(scene.a, receive, 900, scene.b.key, [packet]) == {"disco_refused": 1}


# --- spoofed ---


def test_disco_of_one_peer_under_the_node_key_of_another(scene: Scene) -> None:
    call = sealed(scene.b, scene.a, CallMeMaybe((STRANGER,)))
    counted = scene.happens(scene.a, scene.a.mesh.receive_relay, 900, scene.c.key, [call])
    assert counted == {"disco_refused": 1}


@pytest.mark.parametrize(
    "message", [Ping(TXID, C.public), CallMeMaybe((STRANGER,))], ids=["ping", "call-me-maybe"]
)
def test_disco_that_cannot_come_by_udp(scene: Scene, message: Message) -> None:
    """A ping that names somebody else's node key; a call-me-maybe, which only a relay may bring."""
    packet = sealed(scene.b, scene.a, message)
    counted = scene.happens(scene.a, scene.a.mesh.receive_udp, [packet], STRANGER)
    assert counted == {"disco_refused": 1}


def test_a_ping_that_came_through_the_tunnel(scene: Scene) -> None:
    packet = sealed(scene.b, scene.a, Ping(TXID, scene.b.key))
    inside, receive = Endpoint(scene.b.overlay, 41641), scene.a.mesh.receive_udp
    assert scene.happens(scene.a, receive, [packet], inside) == {"disco_refused": 1}


def test_a_known_disco_key_on_a_box_that_does_not_open(scene: Scene) -> None:
    packet = bytearray(sealed(scene.b, scene.a, Ping(TXID)))
    packet[-1] ^= 1
    counted = scene.happens(scene.a, scene.a.mesh.receive_udp, [bytes(packet)], STRANGER)
    assert counted == {"disco_malformed": 1}


def test_the_control_a_right_ping_from_there_is_answered(scene: Scene) -> None:
    packet = sealed(scene.b, scene.a, Ping(TXID, scene.b.key))
    actions = scene.a.mesh.receive_udp([packet], STRANGER, scene.net.now)
    assert {each.to for each in actions if isinstance(each, SendUdp)} == {STRANGER}


# --- oversized ---


def largest(begins: bytes) -> bytes:
    return begins + bytes(LARGEST - len(begins))


@pytest.mark.parametrize(
    ("begins", "counter"),
    [
        (INITIATION, "malformed"),
        (RESPONSE, "malformed"),
        (b"\3\0\0\0", "malformed"),
        (TRANSPORT, "unknown_index"),
        (MAGIC, "disco_unknown"),
        (b"\1\1\0\0" + stun.COOKIE, "stun_malformed"),
        (GeneveHeader(WIREGUARD, 7).pack(), "peer_relay_unknown"),
        (GeneveHeader(DISCO, 7).pack() + MAGIC, "peer_relay_unknown"),
        (GeneveHeader(DISCO, 7, control=True).pack() + MAGIC, "peer_relay_stranger"),
        (b"anything", "malformed"),
    ],
)
def test_a_datagram_as_large_as_they_come(scene: Scene, begins: bytes, counter: str) -> None:
    receive = scene.a.mesh.receive_udp
    assert scene.happens(scene.a, receive, [largest(begins)], STRANGER) == {counter: 1}


def test_transport_as_large_as_they_come_to_an_index_of_ours(scene: Scene) -> None:
    [response] = scene.carried(RESPONSE)
    index = int.from_bytes(response[8:12], "little")  # node-a's
    rows = Rows(bytearray(largest(TRANSPORT + response[8:12])), 0, LARGEST, LARGEST)
    for source in (STRANGER, RelayPath(900, scene.b.key)):
        counted = scene.happens(scene.a, scene.a.mesh.receive_rows, index, rows, source)
        assert counted == {"forged": 1}


def test_what_is_larger_than_any_relay_carries_is_counted_and_the_rest_lands() -> None:
    landing = Landing()
    runs = landing.lay([b"before", bytes(65_537), b"", b"after"])
    assert [bytes(rows.data) for _, rows in runs] == [b"before", b"after"]
    assert landing.counters == {"relayed_wrong_size": 2}


# --- a flood of disco from keys that nobody knows ---


def test_a_flood_of_disco_from_unknown_keys_leaves_nothing_behind(scene: Scene) -> None:
    def flood(count: int) -> int:
        for number in range(count):
            packet = pack_packet(DiscoPrivate(os.urandom(32)).public, bytes(24), bytes(64))
            source = Endpoint("192.0.2.66", 1024 + number)
            scene.net.perform(scene.a, scene.a.mesh.receive_udp([packet], source, scene.net.now))
        return weight(scene.a.mesh)

    assert flood(2000) - flood(100) < 100


# --- what the tests are made of ---


def counters(machine: Machine) -> Counter[str]:
    counted = machine.mesh.all_counters
    return Counter({name: n for name, n in counted.items() if not name.startswith("inbound_")})


def sealed(sender: Machine, to: Machine, message: Message) -> bytes:
    box: DiscoBox = sender.mesh._talk.box
    return box.seal(message, to.mesh.disco_key, os.urandom(24))
