"""Pairs of many kinds in one lab, `homes.toml`: where each path settles, and the proof.

A pair is used by one test alone, so its path begins there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from lab.model.verdict import expect
from lab.pytest_plugin import Net, Node, StartLab, Stream
from tests.e2e.pairs import BACK, reaches, via
from tests.interop.datagrams import send

pytestmark = pytest.mark.xdist_group("homes")  # one lab for all of these

RELAYED = [
    ("strict-1", "hard-1"),
    ("maze-1", "strict-1"),
    ("maze-1", "hard-1"),
    ("far-1", "far-2"),
]
ANSWERS = ("-m", "conntrack", "--ctstate", "ESTABLISHED")
TO_A_NODE = ("-p", "udp", "--dport", "41641")


@pytest.fixture(scope="module")
def net(module_lab: StartLab) -> Net:
    return module_lab("homes.toml")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("server", "strict-1", marks=pytest.mark.scenario(13)),
        pytest.param("server", "hard-1", marks=pytest.mark.scenario(13)),
        pytest.param("mild-1", "hard-1", marks=pytest.mark.scenario(14)),
        pytest.param("elastic-1", "hard-1", marks=pytest.mark.scenario(12)),
        pytest.param("near-1", "strict-1", marks=pytest.mark.scenario(10, 11)),  # three NATs
        pytest.param("near-1", "far-1", marks=pytest.mark.scenario(11)),
        pytest.param("near-1", "near-2", marks=pytest.mark.scenario(7)),
    ],
)
def test_a_pair_that_can_becomes_direct(net: Net, one: str, other: str) -> None:
    a, b = net.node(one), net.node(other)
    assert expect(net.lab.topology(), one, other).path == "direct"

    reaches(a, b)
    become_direct(a, b)

    assert a.path_history(b) == b.path_history(a) == ["relay", "direct"]
    net.prove_direct(a, b)


@pytest.mark.scenario(6, 18)
def test_in_one_lan_the_path_is_the_local_address(net: Net) -> None:
    a, b = net.node("strict-1"), net.node("strict-2")
    seen = net.wait_for_event("strict-2", "netcheck")["ipv4"]

    reaches(a, b)
    become_direct(a, b)

    assert via(a, b) == endpoint(net, "strict-2")
    assert via(b, a) == endpoint(net, "strict-1")
    assert seen != endpoint(net, "strict-2")  # the other one that it could have been
    net.prove_direct(a, b)


@pytest.mark.parametrize(
    ("one", "other", "router"),
    [
        pytest.param("strict-1", "strict-2", "strict", marks=pytest.mark.scenario(8)),
        pytest.param("near-1", "near-2", "turns", marks=pytest.mark.scenario(9)),
    ],
)
def test_two_with_one_local_port_are_told_apart_behind_one_address(
    net: Net, one: str, other: str, router: str
) -> None:
    a, b, server = net.node(one), net.node(other), net.node("server")
    for each in (a, b):
        reaches(each, server)
        become_direct(each, server)

    ends = [via(server, each).split(":") for each in (a, b)]
    assert [address for address, _port in ends] == [net.lab.plan().underlay[router]] * 2
    assert len({port for _address, port in ends}) == 2
    with net.without_relays():
        for each in (a, b):
            each.ping(server)
            server.ping(each)


# --- firewalls on hosts


@pytest.mark.scenario(29)
@pytest.mark.parametrize(("guarded", "other"), [("guard-1", "server"), ("guard-1", "guard-2")])
def test_a_firewall_that_lets_answers_in_stops_no_path(net: Net, guarded: str, other: str) -> None:
    a, b = net.node(guarded), net.node(other)
    closed = [host for host in (guarded, other) if host.startswith("guard")]
    stranger = net.lab.plan().underlay["nyc"]
    rules = (
        [*ANSWERS, "-j", "ACCEPT"],
        [*TO_A_NODE, "-s", stranger, "-j", "DROP"],
        [*TO_A_NODE, "-j", "DROP"],
    )
    with firewall(net, closed, *rules):
        reaches(a, b)
        become_direct(a, b)
        net.prove_direct(a, b)

        for host in closed:  # the control: it does keep strangers out
            assert dropped(net, host, stranger) == 0
            send(net, "nyc", net.lab.plan().underlay[host], 41641, [b"a stranger"])
            until_dropped(net, host, stranger)
            assert dropped(net, host, stranger) == 1


@pytest.mark.scenario(30)
def test_a_firewall_that_eats_what_comes_keeps_the_path_on_the_relay(net: Net) -> None:
    a, b = net.node("server"), net.node("guard-2")
    told = net.wait_for_event("guard-2", "endpoints")["endpoints"]
    relay = net.lab.plan().underlay["nyc"]
    with firewall(net, ["guard-2"], [*TO_A_NODE, "!", "-s", relay, "-j", "DROP"]):
        reaches(a, b)
        echoes = a.stream(b, count=100, interval=0.02).finish()

        assert endpoint(net, "guard-2") in told  # where it says it is, and is not to be reached
        until_dropped(net, "guard-2", f"!{relay}")
        assert (echoes.lost, echoes.duplicated) == (0, 0)
        assert a.path_history(b) == b.path_history(a) == ["relay"]

    with a.stream(b, count=1000, interval=0.02).process as traffic:
        become_direct(a, b)  # the control: the firewall was the only reason
        traffic.terminate()


@pytest.mark.scenario(7, 11, 13, 14)
def test_pairs_that_cannot_stay_on_the_relay(net: Net) -> None:
    pairs = [(net.node(one), net.node(other)) for one, other in RELAYED]
    for a, b in pairs:
        assert expect(net.lab.topology(), a.name, b.name).path == "relay"
        reaches(a, b)

    assert [lost for a, b in pairs if (lost := stream(a, b).finish().lost)] == []
    with net.without_relays():
        silent = [stream(a, b) for a, b in pairs]
        assert [each.finish().lost for each in silent] == [50] * len(RELAYED)

    for a, b in pairs:
        assert "direct" not in a.path_history(b) + b.path_history(a)


# --- what the tests are made of


def stream(a: Node, b: Node) -> Stream:
    return a.stream(b, count=50, interval=0.02)


def become_direct(a: Node, b: Node) -> None:
    a.wait_for_path(b, "direct", within=BACK)
    b.wait_for_path(a, "direct", within=BACK)


def endpoint(net: Net, host: str) -> str:
    """By its own address."""
    return f"{net.lab.plan().underlay[host]}:41641"


@contextmanager
def firewall(net: Net, hosts: Sequence[str], *rules: Sequence[str]) -> Iterator[None]:
    """Of these hosts, for a while: the lab is there for other tests too."""
    try:
        for host in hosts:
            for rule in rules:
                iptables(net, host, "-A", "INPUT", *rule)
        yield
    finally:
        for host in hosts:
            iptables(net, host, "-F", "INPUT")


def iptables(net: Net, host: str, *words: str) -> str:
    done = net.run(host, "iptables", "-w", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def until_dropped(net: Net, host: str, source: str) -> None:
    """What was sent is not yet there when the sender is done, on a busy machine."""
    while not dropped(net, host, source):
        pass


def dropped(net: Net, host: str, source: str) -> int:
    """How many packets have met its rule that drops what is from there."""
    table = iptables(net, host, "-nvxL", "INPUT").splitlines()
    [packets] = [row[0] for row in map(str.split, table) if "DROP" in row and source in row]
    return int(packets)
