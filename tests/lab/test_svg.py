"""A topology as an SVG: everything is in it, in words too, and it fetches nothing."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from lab.model.topology import known, load, loads
from lab.view.diagrams.svg import svg

NAMES = [name for name, _ in known()]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", NAMES)
def test_it_has_every_machine_and_every_link(name: str) -> None:
    topology = load(name)
    root = ElementTree.fromstring(svg(topology))
    assert attributes(root, "data-machine") == ["internet", *topology.names]
    assert len(attributes(root, "data-wire")) == len(topology.names) + extra_uplinks(name)
    assert root.findtext(f"{SVG}title") == topology.title


def test_it_says_in_words_what_it_shows() -> None:
    root = ElementTree.fromstring(svg(load("lossy")))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == "drawing-title drawing-desc"
    assert root.findtext(f"{SVG}desc") == (
        "internet joins nyc (40 ms), home-a (5 ms) and home-b (15 ms, 5 ms jitter, 3 % loss). "
        "home-a joins node-a. home-b joins node-b."
    )


def test_narrow_boxes_have_initials_and_the_full_words_as_their_title() -> None:
    root = ElementTree.fromstring(svg(load("office")))
    [box] = [each for each in root.iter() if each.get("data-machine") == "ei-apd"]
    assert [each.text for each in box.iter(f"{SVG}text")] == [
        "ei-apd",
        "EI mapping",
        "APD filtering",
    ]
    full = "ei-apd, endpoint-independent mapping, address-and-port-dependent filtering"
    assert box.findtext(f"{SVG}title") == full


def test_it_is_light_or_dark_as_the_reader_and_fetches_nothing() -> None:
    text = svg(load("nat-pair"))
    assert "@media (prefers-color-scheme: dark)" in text
    assert [word for word in ("<script", "<image", "href", "url(", "@import") if word in text] == []


def test_what_people_write_cannot_break_it() -> None:
    text = 'title = "<b> & \\"c\\""\n[host.web]\nruns = "command"\nargv = ["</svg>", "&"]\n'
    root = ElementTree.fromstring(svg(loads(text, "x.toml")))
    assert root.findtext(f"{SVG}title") == '<b> & "c"'
    assert "</svg> &" in [each.text for each in root.iter(f"{SVG}text")]


def attributes(root: ElementTree.Element, name: str) -> list[str]:
    return [each.attrib[name] for each in root.iter() if name in each.attrib]


def extra_uplinks(name: str) -> int:
    return sum(max(len(host.on) - 1, 0) for host in load(name).hosts)
