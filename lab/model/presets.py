"""NATs by name. A name only expands to words, and the words are what the lab makes and measures.

The cones are RFC 3489's names for endpoint-independent mapping with looser or stricter filtering;
`symmetric` is its name for a mapping by destination.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lab.model.words import Nat

# What Linux has when nobody sets it: a flow that was never answered dies sooner.
LINUX_TIMEOUT, LINUX_UNANSWERED = 120, 30
# Short enough to wait for.
SHORT_TIMEOUT = 5
# Some carriers end a mapping by the clock, whatever runs through it.
SHORT_LIFE = 20

PRESETS: Mapping[str, Nat] = MappingProxyType(
    {
        # Without NAT.
        "open": Nat(mapping="none", filtering="none", preset="open"),
        "firewall": Nat(mapping="none", preset="firewall"),
        "udp-blocked": Nat(udp=False, preset="udp-blocked"),
        # By what they are.
        "full-cone": Nat(filtering="endpoint-independent", preset="full-cone"),
        "restricted-cone": Nat(filtering="address-dependent", preset="restricted-cone"),
        "port-restricted-cone": Nat(preset="port-restricted-cone"),
        "symmetric": Nat(mapping="address-and-port-dependent", ports="random", preset="symmetric"),
        "symmetric-sequential": Nat(
            mapping="address-and-port-dependent", ports="sequential", preset="symmetric-sequential"
        ),
        # By where they stand.
        "home-linux": Nat(
            timeout=LINUX_TIMEOUT,
            timeout_unanswered=LINUX_UNANSWERED,
            collisions="kernel",
            preset="home-linux",
        ),
        "home-linux-input-accept": Nat(
            timeout=LINUX_TIMEOUT,
            timeout_unanswered=LINUX_UNANSWERED,
            collisions="kernel",
            unsolicited="accept",
            preset="home-linux-input-accept",
        ),
        "cgnat": Nat(
            filtering="endpoint-independent", ports="random", hairpin=True, preset="cgnat"
        ),
        "cgnat-hard": Nat(
            mapping="address-and-port-dependent",
            ports="random",
            pool="arbitrary",
            timeout=30,
            preset="cgnat-hard",
        ),
        "elastic-ip": Nat(
            mapping="one-to-one", filtering="none", hairpin=True, preset="elastic-ip"
        ),
        "elastic-ip-firewalled": Nat(mapping="one-to-one", preset="elastic-ip-firewalled"),
        # By what is wrong with them.
        "short-timer": Nat(timeout=SHORT_TIMEOUT, preset="short-timer"),
        "no-inbound-refresh": Nat(
            timeout=SHORT_TIMEOUT, refresh="outbound", preset="no-inbound-refresh"
        ),
        "icmp-blackhole": Nat(icmp="drop", preset="icmp-blackhole"),
        "absolute-lifetime": Nat(
            ports="random",
            timeout=SHORT_LIFE,
            lifetime=SHORT_LIFE,
            icmp="drop",
            preset="absolute-lifetime",
        ),
    }
)
