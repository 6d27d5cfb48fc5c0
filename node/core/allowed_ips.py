"""Which peer an inner address belongs to: the longest allowed prefix wins (WireGuard paper §2).

One dict for each prefix length in use, asked from the longest down; an address asked before is answered
from a small cache, which is what happens to nearly all packets.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Generic, TypeVar

Owner = TypeVar("Owner")

_CACHED = 4096


class AllowedIps(Generic[Owner]):
    def __init__(self, entries: Iterable[tuple[str, Owner]] = ()) -> None:
        """Entries are (prefix, owner). Of equal prefixes the last one counts."""
        self._tables: dict[int, dict[int, dict[int, Owner]]] = {4: {}, 16: {}}  # size, length, bits
        self._cache: dict[bytes, Owner | None] = {}
        for prefix, owner in entries:
            network = ip_network(prefix, strict=False)
            raw = network.network_address.packed
            table = self._tables[len(raw)].setdefault(network.prefixlen, {})
            table[_head(raw, network.prefixlen)] = owner
        for size, tables in self._tables.items():
            self._tables[size] = dict(sorted(tables.items(), reverse=True))

    def lookup(self, address: bytes) -> Owner | None:
        """The owner of a packed address of 4 or 16 bytes."""
        try:
            return self._cache[address]
        except KeyError:
            pass
        if len(self._cache) >= _CACHED:
            self._cache.clear()
        owner = self._cache[address] = self._longest_match(address)
        return owner

    def _longest_match(self, address: bytes) -> Owner | None:
        for length, table in self._tables[len(address)].items():
            owner = table.get(_head(address, length))
            if owner is not None:
                return owner
        return None


def _head(address: bytes, length: int) -> int:
    return int.from_bytes(address, "big") >> (8 * len(address) - length)
