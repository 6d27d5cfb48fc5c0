"""What a router does with IPv6, as rules.

    open            routes, and filters nothing
    firewall        routes; what nobody inside asked for is dropped (RFC 6092: stateful, strict)
    firewall-open   routes; an inside endpoint that has once sent is open to everybody (RFC 6092 REC-11:
                    endpoint-independent filtering), for as long as it sends or receives
    nat66           translates as IPv4's NATs do: one outside address, endpoint-independent mapping,
                    address-and-port-dependent filtering
    nptv6           exchanges the prefix, statelessly, both ways (RFC 6296): nothing is filtered

Echo requests and ICMPv6 errors pass all of them, as RFC 4890 §4.3 wants it.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.model.network import IPv6Kind
from lab.model.plan import Ruleset
from lab.model.templates import rendered

UDP_TIMEOUT = 120  # seconds; RFC 6092 REC-14: no less than two minutes

IP6TABLES_KINDS = {
    "firewall": "a stateful filter in front of addresses that do not change",
    "nat66": "SNAT keeps one mapping for each inside endpoint while no port is wanted twice",
    "nptv6": "SNPT and DNPT change the prefix alone, and are neutral to checksums",
}
NFTABLES_WHY = "only a set remembers which inside endpoints have sent"


@dataclass(frozen=True, slots=True)
class Site6:
    """One router's two sides."""

    wan: str
    lan: str
    wan_address: str
    lan_net: str
    outside_net: str  # NPTv6: what the LAN is seen as


def render6(kind: IPv6Kind, site: Site6) -> tuple[Ruleset, ...]:
    if kind == "open":
        return ()
    if kind == "firewall-open":
        text = rendered("ipv6-open.nft.j2", kind=kind, site=site, timeout=UDP_TIMEOUT)
        return (Ruleset("nftables", text, NFTABLES_WHY),)
    template = "nptv6.j2" if kind == "nptv6" else "ip6tables.j2"
    return (Ruleset("ip6tables", rendered(template, kind=kind, site=site), IP6TABLES_KINDS[kind]),)


def sysctls6(kind: IPv6Kind | None) -> dict[str, str]:
    """Conntrack's patience is one for both families: IPv4's words go before these."""
    if kind not in ("firewall", "nat66"):
        return {}
    return {
        "net.netfilter.nf_conntrack_udp_timeout": str(UDP_TIMEOUT),
        "net.netfilter.nf_conntrack_udp_timeout_stream": str(UDP_TIMEOUT),
        "net.netfilter.nf_conntrack_acct": "1",
    }
