"""Which of our addresses are told to peers, and in which order."""

from __future__ import annotations

import pytest

from node.core.own_endpoints import OwnEndpoints, choose_local
from node.wire.endpoint import Endpoint

CARRIER = "100.64.9.9"  # the tunnel's own range
OVERLAY6 = "fd7a:115c:a1e0::9"
LINK4, LINK6, ULA = "169.254.1.1", "fe80::1", "fd00::1"
GLOBAL = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"]


@pytest.mark.parametrize(
    ("addresses", "chosen"),
    [
        (["192.168.1.10", "10.0.0.1"], ["192.168.1.10", "10.0.0.1"]),
        (["127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "192.168.1.10"], ["192.168.1.10"]),
        ([CARRIER, OVERLAY6, "192.168.1.10"], ["192.168.1.10"]),  # would lead through the tunnel
        ([LINK6], []),
        ([LINK4, ULA, "192.168.1.10"], ["192.168.1.10"]),
        ([LINK4, ULA, LINK6], [LINK4, ULA]),  # nothing better
        ([ULA, GLOBAL[0]], [GLOBAL[0]]),
        (GLOBAL, [GLOBAL[0], GLOBAL[1], GLOBAL[3]]),  # two of a subnet
        ([], []),
    ],
)
def test_which_interface_addresses_are_offered(addresses: list[str], chosen: list[str]) -> None:
    assert choose_local(addresses) == chosen


def test_where_the_mapping_varies_a_static_forward_is_guessed_behind_what_was_seen() -> None:
    own = OwnEndpoints()
    own.local = (Endpoint("192.168.1.10", 41641),)
    seen = [Endpoint("203.0.113.10", 50001), Endpoint("203.0.113.10", 50000)]
    forward = Endpoint("203.0.113.10", 41641)
    assert own.all(seen, 0.0, mapping_varies=True) == [*seen, forward, *own.local]
    assert own.all(seen, 0.0) == [*seen, *own.local]
    assert own.all([], 0.0, mapping_varies=True) == [*own.local]
    own.explicit = (Endpoint("192.0.2.99", 7), Endpoint(CARRIER, 7))
    assert own.all(seen, 0.0) == [*seen, Endpoint("192.0.2.99", 7), *own.local]
    own.explicit = ()
    own.mapped = forward  # the router says so itself: told once
    assert own.all(seen, 0.0, mapping_varies=True) == [forward, *seen, *own.local]
