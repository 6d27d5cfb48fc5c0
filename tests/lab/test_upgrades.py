"""How paths went, as lines on one axis, and the page of a run that shows them."""

from __future__ import annotations

from xml.etree import ElementTree

from lab.model.events import CallMeMaybe, PathMoved
from lab.view.tests_html import Drawn, Ran, html
from lab.view.upgrades import Stretch, Upgrades, svg, upgrades
from tests.fetched import fetched


def moved(at: float, kind: str, via: str = "nyc") -> PathMoved:
    return PathMoved(at=at, host="a", peer="b", kind=kind, via=via)  # type: ignore[arg-type]


LOG = [moved(10.0, "relay"), moved(12.0, "direct", "203.0.113.20:1"), moved(15.0, "relay")]


def test_each_path_lasts_until_the_next_and_the_last_until_the_end() -> None:
    found = upgrades(LOG, begin=10.0, end=16.0)
    assert found.pairs == {
        "a to b": (
            Stretch("relay", "nyc", 0.0, 2.0),
            Stretch("direct", "203.0.113.20:1", 2.0, 5.0),
            Stretch("relay", "nyc", 5.0, 6.0),
        )
    }


def test_what_was_the_case_at_the_begin_counts_from_there() -> None:
    found = upgrades(LOG, begin=13.0, end=14.0)
    assert found.pairs == {"a to b": (Stretch("direct", "203.0.113.20:1", 0.0, 1.0),)}


def test_a_pair_without_a_path_has_a_row_and_no_bar() -> None:
    found = upgrades([moved(10.0, "none")], begin=10.0, end=11.0)
    assert found.pairs == {"a to b": ()}


def test_the_story_is_that_of_the_span_and_knows_what_was_before() -> None:
    found = upgrades([*LOG, CallMeMaybe(at=15.5, host="a", peer="b", direction="sent")], 11.0, 15.6)
    assert [(round(each.at, 1), each.text) for each in found.story] == [
        (1.0, "the path from a to b moved to direct via 203.0.113.20:1 after 2.00 s"),
        (4.0, "a fell back to nyc for b"),
        (4.5, "a told b its endpoints through the relay"),
    ]


def test_the_drawing_is_well_formed_and_says_in_words_what_it_shows() -> None:
    drawing = ElementTree.fromstring(svg(upgrades(LOG, 10.0, 16.0)))
    assert drawing.findtext("title") == (
        "a to b: relay from 0.00 s, then direct from 2.00 s, then relay from 5.00 s"
    )
    assert [bar.get("class") for bar in drawing.findall("rect")] == ["relay", "direct", "relay"]


def test_a_span_of_nothing_can_be_drawn() -> None:
    assert ElementTree.fromstring(svg(upgrades([], 1.0, 1.0))).findtext("title") == "no path"


def test_what_others_wrote_is_text_on_the_page() -> None:
    lab = Drawn("<x1>", Upgrades(1.0, {"<x2>": (Stretch("direct", "<x3>", 0.0, 1.0),)}, ()))
    page = html([Ran("<x4>", "failed", 0.1, "<x5>", [lab])], 1.0)
    assert [f"&lt;x{n}&gt;" in page for n in range(1, 6)] == [True] * 5
    assert "<x" not in page
    assert fetched(page) == []
