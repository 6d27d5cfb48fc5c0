"""The page's state diagrams are what the cores do."""

from __future__ import annotations

import pytest

from tests.node.lives import PathLife
from tests.node.state_diagrams import CORES, PAGE, changes, diagram


@pytest.mark.parametrize("name", CORES)
def test_the_page_shows_what_the_core_does(name: str) -> None:
    assert diagram(CORES[name]) in PAGE.read_text(), "python -m tests.node.state_diagrams"


def test_a_path_is_made_by_a_pong_and_by_nothing_else() -> None:
    arrows = changes(PathLife)
    assert arrows["relay", "direct"] == {"pong"}
    assert arrows["relay", "peer-relay"] == {"pong through a third node"}
