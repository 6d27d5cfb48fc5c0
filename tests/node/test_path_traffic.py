"""Traffic by kind of path, with the name that each kind is counted under."""

from __future__ import annotations

import pytest

from node.core.actions import RelayPath
from node.core.path_traffic import PathTraffic
from node.core.rows import Rows
from node.core.ways import PeerRelayed
from node.wire.endpoint import Endpoint
from tests.node.relay_rig import B

V4, V6 = Endpoint("203.0.113.20", 41641), Endpoint("2001:db8::20", 41641)


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        (V4, "direct_ipv4"),
        (V6, "direct_ipv6"),
        (PeerRelayed(V4, 7), "peer_relay_ipv4"),
        (PeerRelayed(V6, 7), "peer_relay_ipv6"),
        (RelayPath(900, B.public), "derp"),
        (None, "derp"),
    ],
)
def test_each_kind_has_its_counters_both_ways(way: object, kind: str) -> None:
    traffic = PathTraffic()
    traffic.sent(way, [bytes(100), bytes(20)])
    traffic.sent_rows(way, [Rows(bytearray(250), 0, 250, 100)])
    traffic.received(way, [bytes(10)])
    traffic.received_rows(way, Rows(bytearray(64), 0, 64, 32))
    assert traffic.counters == {
        f"outbound_packets_{kind}": 5,
        f"outbound_bytes_{kind}": 370,
        f"inbound_packets_{kind}": 3,
        f"inbound_bytes_{kind}": 74,
    }


def test_a_thousand_sources_are_counted_and_not_remembered() -> None:
    traffic = PathTraffic()
    for number in range(5000):
        traffic.received(Endpoint("192.0.2.66", number), [b"x"])
    assert traffic.counters["inbound_packets_direct_ipv4"] == 5000
    assert len(traffic._kinds) <= 1024
