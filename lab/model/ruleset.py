"""Words to rules: what one router loads so that it behaves as its words say.

iptables is the first language, nftables speaks where iptables cannot be honest. Each set loads in
one step (`iptables-restore`, `nft -f`) and says in one sentence why it is in its language.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.model.language import ROUTED, check, needs_nftables, needs_nftables_here
from lab.model.plan import Ruleset
from lab.model.templates import rendered
from lab.model.words import Nat, NatError

# Ports that are handed out in order or by parity. nft takes them as a table only, so not all 64000.
FIRST_PORT = 40000
PORT_COUNT = 2000


@dataclass(frozen=True, slots=True)
class Site:
    """Where the words apply: one router's two sides."""

    wan: str
    lan: str
    wan_addresses: tuple[str, ...]
    lan_net: str
    inside_hosts: tuple[str, ...] = ()
    maps_ports: bool = False  # on request: what comes to a mapped port passes


def render(nat: Nat, site: Site) -> tuple[Ruleset, ...]:
    check(nat)
    if nat.mapping == "none" and nat.filtering == "none" and nat.udp and nat.icmp == "translate":
        return ()
    reason = needs_nftables(nat) or needs_nftables_here(nat, site)
    if reason is None:
        return (Ruleset("iptables", _text("iptables.j2", nat, site), _why_iptables(nat)),)
    if nat.collisions == "kernel":
        problem = f"plain MASQUERADE cannot do this: {reason}"
        raise NatError("nat.collisions", problem, 'nearest: collisions = "honest"')
    template = "routed.j2" if nat.mapping in ROUTED else "nftables.j2"
    return (Ruleset("nftables", _text(template, nat, site), f"nftables, because {reason}"),)


def sysctls(nat: Nat) -> tuple[tuple[str, str], ...]:
    """Conntrack's patience with UDP, and that it counts each flow's packets: a namespace's own."""
    if nat.mapping == "none" and nat.filtering == "none":
        return ()
    return (
        ("net.netfilter.nf_conntrack_udp_timeout", str(nat.timeout_unanswered or nat.timeout)),
        ("net.netfilter.nf_conntrack_udp_timeout_stream", str(nat.timeout)),
        ("net.netfilter.nf_conntrack_acct", "1"),
    )


def _why_iptables(nat: Nat) -> str:
    if not nat.udp:
        return "iptables: a FORWARD chain that lets out nothing but TCP 443"
    match nat.mapping:
        case "none":
            return "iptables: a stateful FORWARD chain is a firewall without NAT"
        case "one-to-one":
            return "iptables: one SNAT and one DNAT for each address"
        case "endpoint-independent" if nat.collisions == "kernel":
            return "iptables: plain MASQUERADE, which breaks mappings where ports collide"
        case "endpoint-independent":
            return "iptables: MASQUERADE keeps one mapping for each port of the one inside host"
        case _:
            return "iptables: MASQUERADE --random-fully maps anew for each destination endpoint"


def _pairs(nat: Nat, site: Site) -> list[tuple[str, str]]:
    """Inside address and its own external one."""
    if nat.mapping != "one-to-one":
        return []
    hosts, addresses = len(site.inside_hosts), len(site.wan_addresses)
    if addresses < hosts:
        problem = f"one-to-one needs an address for each inside host: {hosts} hosts, {addresses}"
        raise NatError("nat.mapping", problem)
    return list(zip(site.inside_hosts, site.wan_addresses, strict=False))


def _text(template: str, nat: Nat, site: Site) -> str:
    return rendered(
        template,
        nat=nat,
        site=site,
        pairs=_pairs(nat, site),
        first_port=FIRST_PORT,
        port_count=PORT_COUNT,
    )
