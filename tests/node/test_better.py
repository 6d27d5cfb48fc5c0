"""Which of two paths is better, and by how much it must be to leave one that works."""

from __future__ import annotations

from typing import Any

import pytest

from node.core.better import Quality, better, clearly_better
from node.wire.endpoint import Endpoint, parse_endpoint
from tests.node.vectors import VECTORS


def quality(case: dict[str, Any] | None) -> Quality | None:
    if case is None:
        return None
    endpoint = parse_endpoint(case["ap"])
    return Quality(endpoint, case["latency_ms"] / 1000, case["mtu"], case["vni"])


@pytest.mark.parametrize("case", VECTORS["better_addr"]["cases"])
def test_a_is_better_than_b_exactly_when_the_vector_says_so(case: dict[str, Any]) -> None:
    assert better(quality(case["a"]), quality(case["b"])) is case["want"]


WAN = Endpoint("203.0.113.5", 555)
OTHER_WAN = Endpoint("198.51.100.9", 999)
LAN = Endpoint("192.168.1.10", 555)
IPV6 = Endpoint("2001:db8::5", 555)


@pytest.mark.parametrize(
    ("challenger", "current", "clearly"),
    [
        (Quality(OTHER_WAN, 0.0200), Quality(WAN, 0.0200), False),
        (Quality(OTHER_WAN, 0.0190), Quality(WAN, 0.0200), False),
        (Quality(OTHER_WAN, 0.0150), Quality(WAN, 0.0200), True),
        (Quality(LAN, 0.0006), Quality(WAN, 0.0015), True),
        (Quality(LAN, 0.0010), Quality(WAN, 0.0010), False),
        (Quality(IPV6, 0.0200), Quality(WAN, 0.0200), True),
        (Quality(WAN, 0.0200), Quality(IPV6, 0.0200), False),
        (Quality(WAN, 0.0150), Quality(IPV6, 0.0200), True),
    ],
)
def test_a_working_path_is_left_only_for_a_clearly_better_one(
    challenger: Quality, current: Quality, clearly: bool
) -> None:
    assert clearly_better(challenger, current) is clearly
    assert not (clearly and clearly_better(current, challenger))
