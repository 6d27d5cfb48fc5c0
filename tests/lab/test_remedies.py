"""What would make a path direct: found by asking the verdict again, so each remedy really is one."""

from __future__ import annotations

import re
import shlex

import pytest

from lab.judge.remedies import remedies
from lab.model.live import with_nat
from lab.model.network import Topology
from lab.model.topology import load
from lab.model.verdict import expect

A, B = "node-a", "node-b"
ANYBODY = '{ preset = "symmetric", filtering = "endpoint-independent" }'


def test_a_direct_pair_needs_no_remedy() -> None:
    assert told(pair("port-restricted-cone", "port-restricted-cone")) == []


def test_two_symmetric_nats_need_one_that_lets_anybody_in() -> None:
    assert told(load("hard-pair")) == [
        "home-a lets anybody in at a mapped endpoint",
        "home-a maps a port on request (UPnP, NAT-PMP or PCP)",
        "home-b lets anybody in at a mapped endpoint",
        "home-b maps a port on request (UPnP, NAT-PMP or PCP)",
    ]
    assert remedies(load("hard-pair"), "mine", A, B)[0].command == (
        f"lab.nat mine home-a --profile '{ANYBODY}'"
    )


def test_the_smallest_step_is_named_and_not_a_larger_one() -> None:
    assert told(pair("port-restricted-cone", "symmetric"))[:2] == [
        "home-a filters by address only",
        "home-a maps a port on request (UPnP, NAT-PMP or PCP)",
    ]
    assert "home-b maps its host to one endpoint, wherever it sends to" in told(
        pair("port-restricted-cone", "symmetric")
    )


def test_who_blocks_udp_has_to_let_it_out() -> None:
    assert told(load("udp-blocked")) == ["office lets UDP out"]


def test_where_one_change_is_not_enough_two_are_named() -> None:
    assert told(pair("udp-blocked", "udp-blocked")) == [
        "home-a lets UDP out, and home-b lets UDP out"
    ]


def test_behind_one_carrier_a_hairpin_is_enough() -> None:
    topology = load("same-carrier", {"router.isp.nat.hairpin": "false"})

    assert "isp turns packets round to its own outside address (hairpin)" in told(topology)


def test_a_linux_that_accepts_what_nobody_asked_for_should_drop_it() -> None:
    topology = pair("port-restricted-cone", "home-linux-input-accept")

    assert expect(topology, A, B).rule == "R4"
    assert "home-b drops what nobody inside has asked for" in told(topology)


@pytest.mark.parametrize("one", ["symmetric", "home-linux", "udp-blocked", "cgnat-hard"])
@pytest.mark.parametrize("other", ["symmetric", "symmetric-sequential", "udp-blocked"])
def test_each_command_makes_the_pair_direct(one: str, other: str) -> None:
    topology = pair(one, other)

    found = remedies(topology, "mine", A, B)

    assert found
    for remedy in found:
        changed = topology
        for command in remedy.command.split(" && "):
            changed = done(changed, command)
        assert expect(changed, A, B).path == "direct"


def pair(one: str, other: str) -> Topology:
    return load("nat-pair", {"router.home-a.nat": one, "router.home-b.nat": other})


def told(topology: Topology) -> list[str]:
    return [each.sentence for each in remedies(topology, "mine", A, B)]


def done(topology: Topology, command: str) -> Topology:
    words = shlex.split(command)
    if words[0] == "lab.nat":
        return with_nat(topology, words[2], words[4])
    assert words[:4] == ["lab.up", topology.name, "--name", "mine-mapped"]
    key, _, value = words[5].partition("=")
    assert re.fullmatch(r"router\.home-[ab]\.port_mapping", key)
    assert topology.source is not None
    return load(topology.name, {**topology.source.overrides, key: value})
