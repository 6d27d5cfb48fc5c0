"""What the kinds of IPv6 routers do, in the words of NATs: what they change, and whom they let in."""

from __future__ import annotations

from types import MappingProxyType

from lab.model.network import IPv6Kind
from lab.model.words import Nat

_KINDS: dict[IPv6Kind, Nat] = {
    "open": Nat(mapping="none", filtering="none"),
    "firewall": Nat(mapping="none", filtering="address-and-port-dependent"),
    "firewall-open": Nat(mapping="none", filtering="endpoint-independent"),
    "nat66": Nat(mapping="endpoint-independent", filtering="address-and-port-dependent"),
    "nptv6": Nat(mapping="one-to-one", filtering="none", hairpin=True),
}
WORDS6 = MappingProxyType(_KINDS)
