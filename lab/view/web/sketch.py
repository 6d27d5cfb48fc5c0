"""The lab as it is now, for the page: drawn wide and tall, and what there is to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from lab.client import Lab
from lab.model.link import LinkQuality, Shape
from lab.model.network import Topology
from lab.model.presets import PRESETS
from lab.view.diagrams.picture import draw
from lab.view.diagrams.svg import drawing

Json = dict[str, Any]
Pair = tuple[str, str]


def sketch(lab: Lab, pinged: Pair | None) -> Json:
    """`wide` and `tall` are SVG without a style; the rest is what the page offers to change."""
    links = lab.links()
    topology = replace(lab.topology(), links=dict(_qualities(links)))
    return {
        "lab": lab.name,
        "title": topology.title,
        "pinged": pinged,
        "wide": drawing(draw(topology), topology),
        "tall": drawing(draw(topology, tall=True), topology),
        "relays": [relay.name for relay in topology.relays],
        "routers": [router.name for router in topology.routers],
        "hosts": [host.name for host in topology.hosts],
        "movable": [host.name for host in topology.hosts if host.on],
        "nodes": [host.name for host in topology.hosts if host.runs == "node"],
        "peers": [host.name for host in topology.hosts if host.peer_relay],
        "daemons": [*_with_daemons(topology)],
        "links": [link["link"] for link in links],
        "profiles": list(PRESETS),
    }


def _qualities(links: Sequence[Json]) -> Iterator[tuple[str, LinkQuality]]:
    for link in links:
        yield (
            link["link"],
            LinkQuality(Shape(**link["up"]), Shape(**link["down"]), link["mtu"]),
        )


def _with_daemons(topology: Topology) -> Iterator[str]:
    yield from (relay.name for relay in topology.relays)
    yield from (host.name for host in topology.hosts if host.runs)
