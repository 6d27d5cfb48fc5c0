"""What routers do with IPv6, measured by sockets on both their sides: each kind is told from all others.

inside, twin -- r --+
                    +-- internet -- outside (two addresses), server (IPv4 alone)
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Interface

import pytest

from lab.client import Lab
from lab.judge.stage import Endpoint, Socket, Stage
from lab.model.layout import plan_of
from lab.model.topology import loads
from tests.lab.conftest import Up

PATIENCE = 20.0  # seconds for a packet that is sure to pass
ITSELF, ROUTER, OUTSIDE_PREFIX = "2001:db8:1:1::/64", "2001:db8:203::/64", "2001:db8:2:1::/64"
A, B = "2001:db8:192::80", "2001:db8:192::81"

ONE_ROUTER = """
router.r = {{ nat = "open", ipv6 = "{kind}" }}
host.inside.on = "r"
host.twin.on = "r"
host.outside.addresses = ["192.0.2.80", "{a}", "{b}"]
"""

TRANSLATED = """
router.r = { nat = "port-restricted-cone", ipv6 = "firewall", nat64 = true }
host.inside = { on = "r", ipv4 = false }
host.server.ipv6 = false
"""


SERVE = """
import socket
listening = socket.create_server(("0.0.0.0", 7000))
print("listening", flush=True)
connection, source = listening.accept()
connection.sendall(source[0].encode())
connection.close()
listening.accept()
"""
CONNECT = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000), timeout=60) as connection:
    print(connection.recv(100).decode(), end="")
"""


@dataclass(frozen=True)
class Behaviour:
    """Who outside gets through to an inside socket, and how that socket is seen."""

    seen_as: str  # which network its address is of
    before_it_sent: bool
    other_address: bool  # after it has sent to A
    other_port: bool


BEHAVIOURS = {
    "open": Behaviour(ITSELF, before_it_sent=True, other_address=True, other_port=True),
    "firewall": Behaviour(ITSELF, before_it_sent=False, other_address=False, other_port=False),
    "firewall-open": Behaviour(ITSELF, before_it_sent=False, other_address=True, other_port=True),
    "nat66": Behaviour(ROUTER, before_it_sent=False, other_address=False, other_port=False),
    "nptv6": Behaviour(OUTSIDE_PREFIX, before_it_sent=True, other_address=True, other_port=True),
}


@pytest.mark.scenario(99)
@pytest.mark.parametrize(("kind", "declared"), BEHAVIOURS.items())
def test_a_router_does_with_ipv6_what_its_word_says(up: Up, kind: str, declared: Behaviour) -> None:
    with sockets(up, ONE_ROUTER.format(kind=kind, a=A, b=B)) as (_, stage):
        silent, speaking, witness = (
            stage.open("inside", "::", port) for port in (7000, 6000, 5000)
        )
        a, other_port = stage.open("outside", A, 3478), stage.open("outside", A, 3479)
        other_address = stage.open("outside", B, 3478)

        door = seen_at(witness, a)
        assert seen_at(witness, other_address) == door  # wherever it sends, it is the same
        assert door.port == 5000

        def passes(sender: Socket, ears: Socket) -> bool:
            sender.send(Endpoint(door.address, ears.here.port), question := stage.tag())
            a.send(door, certain := stage.tag())  # behind the one in question
            assert witness.hear(certain, PATIENCE) is not None
            stage.settle()  # they may have overtaken each other by a hair
            return ears.heard(question)

        before_it_sent = passes(a, silent)
        seen_at(speaking, a)
        measured = Behaviour(
            seen_as=network_of(door.address),
            before_it_sent=before_it_sent,
            other_address=passes(other_address, speaking),
            other_port=passes(other_port, speaking),
        )
        assert measured == declared


def test_the_kinds_differ_from_each_other_in_what_is_measured() -> None:
    assert len(set(BEHAVIOURS.values())) == len(BEHAVIOURS)


def test_nptv6_keeps_checksums_and_shows_two_hosts_of_one_lan_to_each_other(up: Up) -> None:
    with sockets(up, ONE_ROUTER.format(kind="nptv6", a=A, b=B)) as (_, stage):
        inside, twin = stage.open("inside", "::", 7000), stage.open("twin", "::", 7000)
        outside = stage.open("outside", A, 3478)
        door, twins_door = seen_at(inside, outside), seen_at(twin, outside)

        assert checksum(door.address) == checksum("fd00:1::10")  # RFC 6296 §3.1
        inside.send(twins_door, "round the corner")
        assert twin.hear("round the corner", PATIENCE) == door


@pytest.mark.scenario(22)
def test_nat64_leads_to_ipv4_and_back(up: Up) -> None:
    with sockets(up, TRANSLATED) as (lab, stage):
        server = stage.open("server", "0.0.0.0", 7000)
        inside = stage.open("inside", "::", 5000)
        shown = address_of(lab, "server")

        assert shown == "2001:db8:64::c000:20a"
        inside.send(Endpoint(shown, 7000), "by UDP")
        assert server.hear("by UDP", PATIENCE) == Endpoint("203.0.113.10", 5000)
        server.send(Endpoint("203.0.113.10", 5000), "and back")
        assert inside.hear("and back", PATIENCE) == Endpoint(shown, 7000)
        assert tcp_source(lab, "server", "inside") == "203.0.113.10"


@pytest.mark.scenario(22)
def test_without_nat64_there_is_no_way_to_ipv4(up: Up) -> None:
    with sockets(up, TRANSLATED.replace(", nat64 = true", "")) as (lab, stage):
        assert address_of(lab, "server") == "::ffff:192.0.2.10"
        inside = stage.open("inside", "::", 5000)
        inside.send(Endpoint("2001:db8:64::c000:20a", 7000), "by UDP")
        assert stage.wait(lambda: inside.refusals > 0, PATIENCE)  # the internet: no route
        with pytest.raises(ConnectionError):
            tcp_source(lab, "server", "inside")


@contextmanager
def sockets(up: Up, text: str) -> Iterator[tuple[Lab, Stage]]:
    lab = up(plan_of(loads(text, "measured.toml")))
    with Stage(lab.popen) as stage:
        yield lab, stage


def seen_at(inside: Socket, outside: Socket) -> Endpoint:
    """Where `outside` sees `inside`, and an answer to there arrives."""
    inside.send(outside.here, hello := inside.stage.tag())
    door = outside.hear(hello, PATIENCE)
    assert door is not None
    outside.send(door, answer := inside.stage.tag())
    assert inside.hear(answer, PATIENCE) == outside.here
    return door


def network_of(address: str) -> str:
    return str(IPv6Interface(f"{address}/64").network)


def checksum(address: str) -> int:
    """What an address adds to a transport's checksum (RFC 1071)."""
    packed = IPv6Address(address).packed
    return sum(int.from_bytes(packed[n : n + 2]) for n in range(0, 16, 2)) % 0xFFFF


def address_of(lab: Lab, name: str) -> str:
    """As the inside host's own resolver says it."""
    return lab.run("inside", ["getent", "ahosts", name]).stdout.split()[0]


def tcp_source(lab: Lab, server: str, client: str) -> str:
    """Whom the server sees when the client connects to its name; ConnectionError if it cannot."""
    serving = lab.popen(server, [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True)
    with serving:
        assert serving.stdout is not None
        assert serving.stdout.readline() == "listening\n"
        done = lab.run(client, [sys.executable, "-c", CONNECT, server])
        serving.kill()
    if done.returncode:
        raise ConnectionError(done.stderr)
    return done.stdout
