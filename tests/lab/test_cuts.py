"""Where two machines are cut apart: as near to one of them as it takes to hit nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.model.cuts import Barrier, barriers
from lab.model.layout import plan_of
from lab.model.topology import load, loads

SHARED = """
[router.home-a]
nat = "port-restricted-cone"
[router.home-b]
nat = "port-restricted-cone"
[host.a1]
on = "home-a"
[host.a2]
on = "home-a"
[host.b1]
on = "home-b"
[host.b2]
on = "home-b"
[host.server]
"""


def cut(topology: str, sender: str, receiver: str) -> tuple[Barrier, ...]:
    text = {"shared": SHARED}.get(topology)
    found = loads(text, "shared.toml") if text else load(topology)
    return barriers(plan_of(found), sender, receiver)


@pytest.mark.parametrize(
    ("topology", "sender", "receiver", "expected"),
    [
        # Each alone behind its NAT: at the sender's wire, by the receiver's NAT's address.
        ("nat-pair", "node-a", "node-b", Barrier("home-a", "node-a", "ingress", ("203.0.113.20",))),
        ("nat-pair", "node-a", "nyc", Barrier("home-a", "node-a", "ingress", ("198.51.100.10",))),
        ("nat-pair", "nyc", "node-a", Barrier("internet", "nyc", "ingress", ("203.0.113.10",))),
        # The carrier's address is the one to be seen.
        (
            "double-nat",
            "node-b",
            "node-a",
            Barrier("home-b", "node-b", "ingress", ("203.0.113.10",)),
        ),
        # a1 shares its NAT's address with a2: at its own wire, by the sender's address.
        ("shared", "a1", "server", Barrier("home-a", "a1", "ingress", ("192.0.2.10",))),
        ("shared", "server", "a1", Barrier("home-a", "a1", "egress", ("192.0.2.10",))),
        # Both share: who suffers too is named.
        ("shared", "a1", "b1", Barrier("home-a", "a1", "ingress", ("203.0.113.20",), ("b2",))),
        # In one LAN, and behind one carrier, there are two addresses to come by.
        (
            "same-lan",
            "node-a",
            "node-b",
            Barrier("home", "node-a", "ingress", ("192.168.1.11", "203.0.113.10")),
        ),
        (
            "same-carrier",
            "node-a",
            "node-b",
            Barrier("home-a", "node-a", "ingress", ("10.64.0.11", "203.0.113.10")),
        ),
        # Without NAT the machine's own address is seen, in either family.
        (
            "v6-only",
            "node-a",
            "node-b",
            Barrier("home-a", "node-a", "ingress", ("2001:db8:b::10", "2001:db8:203::20")),
        ),
        # Who has no IPv4 writes to the NAT64's prefix.
        (
            "nat64",
            "phone",
            "nyc",
            Barrier("carrier", "phone", "ingress", ("2001:db8:64::c633:640a",)),
        ),
        # A router itself.
        (
            "nat-pair",
            "nyc",
            "home-b",
            Barrier("internet", "nyc", "ingress", ("203.0.113.20",), ("node-b",)),
        ),
    ],
)
def test_a_way_is_cut_where_only_these_two_meet(
    topology: str, sender: str, receiver: str, expected: Barrier
) -> None:
    assert cut(topology, sender, receiver) == (expected,)


def test_every_cable_of_a_host_is_cut() -> None:
    found = cut("two-uplinks", "node-a", "node-b")

    assert [each.machine for each in found] == ["home-a", "cell"]


def test_without_an_address_that_the_other_can_see_there_is_nothing_to_cut() -> None:
    plan = plan_of(load("nat-pair"))
    nobody = tuple(replace(each, routes=()) for each in plan.machines)

    assert barriers(replace(plan, machines=nobody), "node-a", "node-b") == ()
