"""Routers that open a port on request: NAT-PMP (RFC 6886), PCP (RFC 6887) and UPnP-IGD, by miniupnpd.

The daemon writes each mapping into three chains of an nftables table of its own, which is there from
the start. What was mapped is translated before the NAT's own rules see it, and the NAT lets it pass.
"""

from __future__ import annotations

from lab.model.errors import nearest
from lab.model.plan import Ruleset
from lab.model.ruleset import Site
from lab.model.words import Nat, NatError

UPNP, NAT_PMP, PCP = "upnp", "nat-pmp", "pcp"
PROTOCOLS = (UPNP, NAT_PMP, PCP)
VERSIONS = {NAT_PMP: 0, PCP: 2}  # the first byte of a request, to the port that the two share
WHY = "miniupnpd keeps the ports that it maps in a table of its own, made before it starts"
TABLE = """\
table inet portmap {{
    chain miniupnpd {{
    }}
    chain prerouting_miniupnpd {{
    }}
    chain postrouting_miniupnpd {{
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat - 1; policy accept;
        iifname "{site.wan}" jump prerouting_miniupnpd
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat - 1; policy accept;
        oifname "{site.wan}" jump postrouting_miniupnpd
    }}
    chain forward {{
        type filter hook forward priority filter - 1; policy accept;
        iifname "{site.wan}" jump miniupnpd
    }}
    chain input {{
        type filter hook input priority filter - 1; policy accept;
{silence}    }}
}}
"""
SILENCE = '        iifname "{lan}" udp dport 5351 @th,64,8 {version} drop\n'


def parse_protocol(text: str) -> str:
    if text not in PROTOCOLS:
        raise ValueError(f'"{text}" maps no ports; {nearest(text, PROTOCOLS)}')
    return text


def rules(protocols: tuple[str, ...], nat: Nat, site: Site) -> tuple[Ruleset, ...]:
    """The daemon speaks NAT-PMP and PCP or neither, so the one that is not wanted is kept from it."""
    if not protocols:
        return ()
    if nat.scope == "endpoint" or nat.refresh == "outbound" or nat.lifetime is not None:
        problem = "this NAT lets in only whom an inside host has written to, lately"
        hint = "leave out the nat's scope, refresh and lifetime"
        raise NatError("port_mapping", problem, hint)
    unwanted = [version for name, version in VERSIONS.items() if name not in protocols]
    silence = "".join(SILENCE.format(lan=site.lan, version=version) for version in unwanted)
    return (Ruleset("nftables", TABLE.format(site=site, silence=silence), WHY),)
