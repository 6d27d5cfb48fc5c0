"""Which words go together, and which language can say them.

iptables is honest for what plain netfilter does: MASQUERADE keeps a mapping while nobody else wants
its port, and conntrack lets answers in by address and port. Everything else is for nftables, whose
maps can remember who got which external endpoint.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from lab.model.words import Nat, NatError

if TYPE_CHECKING:
    from lab.model.ruleset import Site

ROUTED = ("none", "one-to-one")


def check(nat: Nat) -> None:
    """Words that contradict each other, wherever the router stands."""
    if nat.mapping in ROUTED:
        _check_routed(nat)
    else:
        _check_translating(nat)


def _check_routed(nat: Nat) -> None:
    plain = Nat()
    for word in ("ports", "scope", "refresh", "lifetime", "pool", "collisions"):
        if getattr(nat, word) != getattr(plain, word):
            problem = f"nothing to say about where mapping is {nat.mapping!r}: no port is mapped"
            raise NatError(f"nat.{word}", problem, "leave it out")
    if nat.mapping == "none" and nat.hairpin:
        problem = "a router that does not map has no endpoint to turn round at"
        raise NatError("nat.hairpin", problem, "nearest: hairpin = false")


def _check_translating(nat: Nat) -> None:
    if nat.filtering == "none":
        problem = "a packet for an endpoint that nobody has mapped has nowhere to go"
        raise NatError("nat.filtering", problem, 'nearest: "endpoint-independent"')
    if nat.lifetime is not None:
        _check_lifetime(nat, nat.lifetime)
    reason = needs_nftables(nat)
    if reason and nat.collisions == "kernel":
        problem = f"plain MASQUERADE cannot do this beside: {reason}"
        raise NatError("nat.collisions", problem, 'nearest: collisions = "honest"')
    if reason and nat.timeout_unanswered not in (None, nat.timeout):
        problem = f"only plain conntrack has a second timeout, and here {reason}"
        raise NatError("nat.timeout_unanswered", problem, "leave it out")


def _check_lifetime(nat: Nat, lifetime: int) -> None:
    """A mapping that dies of age lives in conntrack zones, and they cost these words."""
    if nat.mapping != "endpoint-independent":
        hint = 'nearest: mapping = "endpoint-independent"'
        raise NatError("nat.lifetime", f"no age is kept with {nat.mapping} mapping", hint)
    if nat.hairpin:
        raise NatError("nat.lifetime", "two ages cannot hairpin", "nearest: hairpin = false")
    if nat.icmp == "translate":
        problem = "an ICMP error finds no mapping that has an age"
        raise NatError("nat.lifetime", problem, 'nearest: icmp = "drop"')
    if lifetime < nat.timeout:
        hint = f'nearest: timeout = "{lifetime}s"'
        raise NatError("nat.lifetime", f"an idle mapping would outlive it: {nat.timeout} s", hint)


def needs_nftables(nat: Nat) -> str | None:
    """Why iptables cannot do these words, anywhere; None if it can."""
    if not nat.udp:
        return None
    if nat.mapping in ROUTED:
        if nat.filtering in ("endpoint-independent", "address-dependent"):
            return f"{nat.filtering} filtering must remember who inside has sent"
        return None
    if nat.mapping == "address-dependent":
        return "iptables has no mapping by address"
    if nat.filtering != "address-and-port-dependent":
        return f"{nat.filtering} filtering must find the inside host of an external endpoint"
    return _beyond_masquerade(nat)


def _beyond_masquerade(nat: Nat) -> str | None:
    masquerade = "preserve" if nat.mapping == "endpoint-independent" else "random"
    if nat.ports != masquerade:
        return f"MASQUERADE cannot give {nat.ports} ports with {nat.mapping} mapping"
    if nat.hairpin:
        return "hairpinning must find the inside host of an external endpoint"
    if nat.scope == "endpoint" and nat.mapping != "endpoint-independent":
        return "conntrack permits by mapping, not by inside endpoint"
    if nat.refresh == "outbound":
        return "conntrack is refreshed from outside too"
    if nat.lifetime is not None:
        return "conntrack knows no age"
    return None


def needs_nftables_here(nat: Nat, site: Site) -> str | None:
    """Why iptables cannot do these words on this router; None if it can."""
    if not nat.udp or nat.mapping in ROUTED:
        return None
    shared = nat.mapping == "endpoint-independent" and len(site.inside_hosts) > 1
    if shared and nat.collisions == "honest":
        return "MASQUERADE breaks a mapping when a second inside host wants its port"
    if len(site.wan_addresses) > 1:
        if nat.pool == "arbitrary":
            return "iptables picks an external address by hash, not for each mapping"
        if not _is_a_range(site.wan_addresses):
            return "iptables takes external addresses only as one range"
    return None


def _is_a_range(addresses: tuple[str, ...]) -> bool:
    numbers = [int(IPv4Address(each)) for each in addresses]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))
