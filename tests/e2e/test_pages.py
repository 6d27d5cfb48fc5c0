"""What the pages show is what happens: their commands are run, and print what stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.parser import Parser

from tasks import namespace
from tests.e2e.pages import PAGES, ROOT, Shown, mentioned, shown

pytestmark = pytest.mark.needs_lab


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Labs of our own, and the environment that these tests run in."""
    own = {"PUNCHLAB_STATE": str(tmp_path / "labs"), "PUNCHLAB_VENV": sys.prefix, "TERM": "dumb"}
    words = {**os.environ, **own, "COLUMNS": "100"}
    words["PATH"] = f"{sys.prefix}/bin:{words['PATH']}"
    yield words
    run("./punchlab lab.down all", words)


@pytest.mark.parametrize("page", PAGES)
def test_each_command_prints_what_the_page_shows(page: str, environment: dict[str, str]) -> None:
    for each in shown(page):
        printed = run(each.command, environment)
        assert each.agrees(printed), f"$ {each.command}\n{printed}"


@pytest.mark.parametrize("page", PAGES)
def test_each_command_that_a_page_mentions_is_one(page: str) -> None:
    parser = Parser(contexts=namespace.to_contexts())
    for words in mentioned(page):
        own = words[: words.index("--")] if "--" in words else words
        parser.parse_argv([word for word in own if not re.match(r"^[|&;]", word)])


def test_the_table_of_commands_is_whole() -> None:
    table = (ROOT / "README.md").read_text().partition("| command | does |")[2].partition("\n\n")[0]
    said = set(re.findall(r"\blab\.[a-z]+|\b(?:test|check|bench)\b(?=[ `])", table))
    assert {name for name in namespace.task_names if name not in said} == set()


def test_an_output_that_is_not_so_is_noticed() -> None:
    told = Shown("x", ("pong in 3 ms", "...", "pid 7"))
    assert told.agrees("pong in 41.8 ms\nany\nthing\npid 1234\n")
    assert not told.agrees("ping in 41.8 ms\nany\nthing\npid 1234\n")
    assert not told.agrees("pong in 41.8 ms\n")


def run(command: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout or done.stderr  # progress goes to stderr, and so do errors
