"""The overlay's address blocks. The underlay never uses them, so an address tells where it belongs."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address

OVERLAY4 = IPv4Network("100.64.0.0/10")
OVERLAY6 = IPv6Network("fd7a:115c:a1e0::/48")


def parse_overlay(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f'"{text}" is not an address') from None
    if address not in OVERLAY4 and address not in OVERLAY6:
        raise ValueError(f"{address} is not an overlay address; take one of {OVERLAY4}")
    return str(address)
