"""Figures, goals, and the picture of them."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.bench.figures import Goal, Table, goals_of
from tests.bench.picture import score, svg
from tests.bench.report import html

FAST = Goal("TCP", 4.2, 4.0, "x")
SLOW = Goal("ping", 2.6, 1.3, "x", at_least=False)


def test_a_goal_says_whether_it_is_met() -> None:
    assert FAST.cells == ["TCP", "4.2x", "at least 4x", "yes"]
    assert SLOW.cells == ["ping", "2.6x", "at most 1.3x", "no"]
    assert Goal("loss", 0, 0, at_least=False).met


def test_all_goals_stand_in_one_table_and_in_one_picture() -> None:
    table = Table("a", ["b"], goals=[FAST, SLOW])
    assert goals_of([table]).rows == [FAST.cells, SLOW.cells]
    assert table.json()["goals"][1] == {
        "what": "ping", "value": 2.6, "unit": "x", "at most": 1.3, "met": False,
    }  # fmt: skip
    picture = ElementTree.fromstring(svg([table]))
    bars = [each.get("class") for each in picture.iter("{http://www.w3.org/2000/svg}rect")]
    assert bars == ["met", "missed"]


def test_a_bar_is_as_long_as_the_figure_is_good() -> None:
    assert score(FAST) == 4.2 / 4.0
    assert score(SLOW) == 0.5
    assert score(Goal("loss", 0, 0, at_least=False)) == 1.0


def test_the_page_has_the_picture_and_every_table_as_text() -> None:
    table = Table("Start-up", ["what", "ms"], [["<node>", "5"]], ["a note"])
    table.at_most(10, "ms", "start-up", 5)
    shown = html([table])
    assert "1 of 1 goals met" in shown
    assert "<td>&lt;node&gt;</td><td>5</td>" in shown
    assert "<p>a note</p>" in shown
