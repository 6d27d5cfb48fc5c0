"""Who is at this relay, who watches, and which other relay of the mesh knows the rest.

One key may have several connections. All are read, one receives: the newest, until another one says
something ("the last writer is active").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator

from msgspec import Struct

from node.core.relay_link import Link


class Client(Struct):
    """One key, and its connections: packets go to the one that was heard last."""

    active: Link
    links: list[Link]


class Registry:
    def __init__(self) -> None:
        self.clients: dict[bytes, Client] = {}
        self.epoch = 0  # another one whenever a key's packets may go somewhere else
        self.counters: Counter[str] = Counter()
        self.watchers: dict[Link, None] = {}  # in order of arrival
        self._forwarders: dict[bytes, list[Hashable]] = {}  # the first learned is used
        self._listeners: dict[bytes, set[Link]] = {}  # who was given packets of this key

    def links(self) -> Iterator[Link]:
        for client in self.clients.values():
            yield from client.links

    def add(self, link: Link) -> bool:
        """Whether this is the key's first connection."""
        self.epoch += 1
        client = self.clients.get(link.raw_key)
        if client is None:
            self.clients[link.raw_key] = Client(link, [link])
            return True
        client.links.append(link)
        client.active = link
        return False

    def remove(self, link: Link) -> bool:
        """Whether it was the key's last connection."""
        self.epoch += 1
        self.watchers.pop(link, None)
        for source in link.heard:
            self._forget_listener(source, link)
        client = self.clients.get(link.raw_key)
        if client is None or link not in client.links:
            return False
        client.links.remove(link)
        if not client.links:
            del self.clients[link.raw_key]
            return True
        if client.active is link:
            client.active = client.links[-1]
        return False

    def spoke(self, link: Link) -> None:
        client = self.clients[link.raw_key]
        if client.active is not link:
            self.epoch += 1
            client.active = link

    def heard(self, link: Link, source: bytes) -> None:
        """`link` is given a packet of `source`: it wants to know when that one leaves."""
        if source not in link.heard:
            link.heard.add(source)
            self._listeners.setdefault(source, set()).add(link)

    def take_listeners(self, source: bytes) -> list[Link]:
        """Those to tell that `source` left the region; empty while it is still somewhere in it."""
        if source in self.clients or source in self._forwarders:
            return []
        listeners = self._listeners.pop(source, set())
        for link in listeners:
            link.heard.discard(source)
        return list(listeners)

    # --- the mesh ---

    def forwarder(self, key: bytes) -> Hashable | None:
        known = self._forwarders.get(key)
        return known[0] if known else None

    @property
    def remote_keys(self) -> int:
        return sum(key not in self.clients for key in self._forwarders)

    def add_forwarder(self, key: bytes, forwarder: Hashable) -> None:
        known = self._forwarders.setdefault(key, [])
        if forwarder not in known:
            known.append(forwarder)
            self.counters["multiforwarder_created"] += len(known) == 2

    def remove_forwarder(self, key: bytes, forwarder: Hashable) -> None:
        known = self._forwarders.get(key, [])
        if forwarder in known:
            known.remove(forwarder)
            self.counters["multiforwarder_deleted"] += len(known) == 1
        elif known:
            self.counters["packet_forwarder_delete_other_value"] += 1
        if not known:
            self._forwarders.pop(key, None)

    def keys_of(self, forwarder: Hashable) -> list[bytes]:
        return [key for key, known in self._forwarders.items() if forwarder in known]

    def _forget_listener(self, source: bytes, link: Link) -> None:
        listeners = self._listeners.get(source)
        if listeners is not None:
            listeners.discard(link)
            if not listeners:
                del self._listeners[source]
