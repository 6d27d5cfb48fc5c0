"""Where a drawing puts machines and links: readable for any topology, and the same each time."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest

from lab.model.network import Topology
from lab.model.topology import known, load, loads
from lab.view.diagrams.branches import tree
from lab.view.diagrams.picture import Box, Picture, draw

NAMES = [name for name, _ in known()]
DEEP = """
[relay.nyc]
hostname = "nyc.derp.example"
[router]
carrier = { nat = "symmetric" }
home = { nat = { mapping = "address-dependent" }, upstream = "carrier" }
cell = { nat = "symmetric" }
office = { nat = "open" }
lab = { nat = "open", upstream = "home" }
[host.phone]
on = ["cell", "lab"]
[host.desk]
on = "office"
[host.tv]
on = "home"
[host.server]
[link.tv]
up.delay = "3ms"
up.jitter = "1ms"
loss = "2%"
[link.nyc]
delay = "40ms"
"""


def pictures() -> list[Topology]:
    return [*map(load, NAMES), loads(DEEP, "deep.toml"), loads("[host.alone]", "alone.toml")]


@pytest.mark.parametrize("tall", [False, True], ids=["wide", "tall"])
@pytest.mark.parametrize("topology", pictures(), ids=lambda topology: str(topology.name))
def test_boxes_stand_apart_and_inside_and_links_go_round_them(
    topology: Topology, tall: bool
) -> None:
    picture = draw(topology, tall)
    assert [box.label.name for box in picture.boxes] == ["internet", *topology.names]
    assert [pair for pair in combinations(picture.boxes, 2) if overlap(*pair)] == []
    assert [box for box in picture.boxes if not inside(box, picture)] == []
    assert [hit for line in picture.lines for hit in hits(line.points, picture)] == []


@pytest.mark.parametrize("tall", [False, True], ids=["wide", "tall"])
def test_a_link_leads_from_the_edge_of_one_machine_to_the_edge_of_the_other(tall: bool) -> None:
    picture = draw(loads(DEEP, "deep.toml"), tall)
    for line in picture.lines:
        assert on_edge(picture.box(line.edge.lower), line.points[0])
        assert on_edge(picture.box(line.edge.upper), line.points[-1])


def test_rows_go_from_relays_over_the_internet_and_routers_down_to_hosts() -> None:
    picture = draw(load("double-nat"))
    tops = {box.label.name: box.y for box in picture.boxes}
    assert tops["nyc"] < tops["internet"] < tops["carrier-a"] < tops["home-a"] < tops["node-a"]
    assert tops["carrier-a"] == tops["carrier-b"]


def test_a_host_with_two_uplinks_stands_between_its_routers() -> None:
    names = [branch.name for branch in tree(load("two-uplinks")).children]
    assert names == ["home-a", "node-a", "cell", "home-b"]


def test_routers_that_share_a_host_are_put_side_by_side() -> None:
    children = tree(loads(DEEP, "deep.toml")).children
    assert [branch.name for branch in children] == ["carrier", "phone", "cell", "office", "server"]


def test_two_hosts_with_the_same_two_uplinks_both_stand_between_them() -> None:
    text = "router.a.nat = 'open'\nrouter.b.nat = 'open'\n" + "".join(
        f'[host.h{n}]\non = ["a", "b"]\n[host.only{n}]\non = "b"\n' for n in (1, 2)
    )
    [a, *between, b] = tree(loads(text, "x.toml")).children
    assert [branch.name for branch in between] == ["h1", "h2"]
    assert (a.name, b.name) == ("a", "b")


def test_the_same_topology_gives_the_same_picture() -> None:
    assert draw(load("office")) == draw(load("office"))


def overlap(a: Box, b: Box) -> bool:
    across = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    down = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return min(across, down) > -8  # and some air between them


def inside(box: Box, picture: Picture) -> bool:
    right, bottom = box.x + box.width, box.y + box.height
    return min(box.x, box.y) >= 8 and right <= picture.width - 8 and bottom <= picture.height - 8


def hits(points: tuple[tuple[float, float], ...], picture: Picture) -> list[str]:
    """The machines through whose box a link goes."""
    found = []
    for (ax, ay), (bx, by) in pairwise(points):
        for box in picture.boxes:
            across = min(max(ax, bx), box.x + box.width) - max(min(ax, bx), box.x)
            down = min(max(ay, by), box.y + box.height) - max(min(ay, by), box.y)
            if min(across, down) >= 0 and max(across, down) > 0.2:
                found.append(box.label.name)
    return found


def on_edge(box: Box, point: tuple[float, float]) -> bool:
    x, y = point
    in_x, in_y = box.x <= x <= box.x + box.width, box.y <= y <= box.y + box.height
    at_x = min(abs(x - box.x), abs(x - box.x - box.width)) < 0.2
    at_y = min(abs(y - box.y), abs(y - box.y - box.height)) < 0.2
    return (at_x and in_y) or (at_y and in_x)
