"""The longest allowed prefix tells whose an address is."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core.allowed_ips import AllowedIps

TABLE = AllowedIps(
    [
        ("0.0.0.0/0", "exit"),
        ("100.64.0.0/10", "mesh"),
        ("100.64.2.0/24", "b"),
        ("100.64.2.20/32", "b20"),
        ("fd7a:115c:a1e0::/48", "mesh6"),
        ("fd7a:115c:a1e0::2/128", "b6"),
        ("100.64.2.7", "seven"),
    ]
)


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        ("8.8.8.8", "exit"),
        ("100.65.0.1", "mesh"),
        ("100.64.2.21", "b"),
        ("100.64.2.20", "b20"),
        ("100.64.2.7", "seven"),
        ("fd7a:115c:a1e0::1", "mesh6"),
        ("fd7a:115c:a1e0::2", "b6"),
        ("2001:db8::1", None),
    ],
)
def test_the_longest_prefix_wins(address: str, owner: str | None) -> None:
    assert TABLE.lookup(ip_address(address).packed) == owner
    assert TABLE.lookup(ip_address(address).packed) == owner  # the second time from the cache


def test_of_equal_prefixes_the_last_counts() -> None:
    table = AllowedIps([("10.0.0.0/8", 1), ("10.9.9.9/8", 2)])
    assert table.lookup(bytes([10, 0, 0, 1])) == 2


prefixes = st.tuples(st.integers(0, 255), st.integers(0, 32)).map(
    lambda t: str(ip_network((bytes([10, 0, 0, t[0]]), t[1]), strict=False))
)


@given(st.lists(prefixes, max_size=12, unique=True), st.lists(st.integers(0, 255), max_size=8))
def test_it_agrees_with_trying_every_prefix(entries: list[str], hosts: list[int]) -> None:
    table = AllowedIps((entry, entry) for entry in entries)
    for host in hosts:
        address = ip_address(bytes([10, 0, 0, host]))
        matches = [ip_network(entry) for entry in entries if address in ip_network(entry)]
        longest = max(matches, key=lambda network: network.prefixlen, default=None)
        assert table.lookup(address.packed) == (None if longest is None else str(longest))
