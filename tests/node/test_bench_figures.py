"""Figures, goals, and the picture of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.__main__ import LONG, NAMES, write
from tests.bench.figures import Goal, Table, goals_of
from tests.bench.picture import score, svg
from tests.bench.report import html
from tests.fetched import fetched

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
    assert fetched(shown) == []


def test_a_folder_gets_the_run_as_a_page_as_text_as_data_and_as_a_picture(tmp_path: Path) -> None:
    table = Table("Start-up", ["what", "ms"], [["node", "5"]], goals=[FAST])
    write(tmp_path / "a" / "b", [table, goals_of([table])])
    made = {file.name: file.read_text() for file in (tmp_path / "a" / "b").iterdir()}
    assert sorted(made) == ["bench.html", "bench.json", "bench.md", "bench.svg"]
    assert "| TCP | 4.2x | at least 4x | yes |" in made["bench.md"]
    assert [each["title"] for each in json.loads(made["bench.json"])] == [
        "Start-up",
        "The numbers to reach",
    ]
    assert made["bench.svg"] == svg([table])
    assert made["bench.svg"].strip() in made["bench.html"]
    assert fetched(made["bench.html"]) == fetched(made["bench.svg"]) == []


def test_what_a_page_would_fetch_is_found() -> None:
    page = '<a href="#a"><img src="data:,"><IMG SRC=x.png><style>a { b: url("y") } @import "z";'
    assert fetched(page) == ["img src=x.png", 'url("y")', '@import "z"']


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--only", "nonsense"], f"--only nonsense: there is {', '.join([*NAMES, *LONG])}\n"),
        (["--rounds", "0"], "--rounds 0: it takes one at least\n"),
        (["--rounds", "-3"], "--rounds -3: it takes one at least\n"),
    ],
)
def test_a_run_that_cannot_be_is_refused_in_a_line(words: list[str], told: str) -> None:
    argv = [sys.executable, "-m", "tests.bench", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == told
