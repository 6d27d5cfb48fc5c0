"""What the pages show is what happens: their commands are run, and print what stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from invoke.parser import Parser

from lab.pytest_plugin import StartLab
from tasks import namespace
from tests.e2e.pages import OTHERS, PAGES, ROOT, Shown, examples, mentioned, shown

pytestmark = pytest.mark.needs_lab
EXAMPLES = [(page, number) for page in PAGES for number in range(len(examples(page)))]


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Labs of our own, and the environment that these tests run in."""
    own = {"PUNCHLAB_STATE": str(tmp_path / "labs"), "PUNCHLAB_VENV": sys.prefix, "TERM": "dumb"}
    words = {**os.environ, **own, "COLUMNS": "100", "HOME": str(tmp_path)}
    (tmp_path / "punchlab").symlink_to(ROOT / "punchlab")
    words["PATH"] = f"{sys.prefix}/bin:{words['PATH']}"
    yield words
    run("./punchlab lab.down all", words)


@pytest.mark.parametrize("page", PAGES)
def test_each_command_prints_what_the_page_shows(page: str, environment: dict[str, str]) -> None:
    for each in shown(page):
        printed = run(each.command, environment)
        assert each.agrees(printed), f"$ {each.command}\n{printed}"


@pytest.mark.parametrize("page", [*PAGES, *OTHERS])
def test_each_command_that_a_page_mentions_is_one(page: str) -> None:
    parser = Parser(contexts=namespace.to_contexts())
    for words in mentioned(page):
        own = words[: words.index("--")] if "--" in words else words
        if words[0].partition(".")[0] in ("node", "tests"):
            assert options_unknown(words) == [], words
        else:
            parser.parse_argv([word for word in own if not re.match(r"^[|&;]", word)])


@pytest.mark.parametrize(("page", "number"), EXAMPLES)
def test_each_example_in_python_runs(page: str, number: int, lab: StartLab, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import signal\nsignal.pause()\n")
    there = {"lab": lab, "tmp_path": tmp_path, "PROGRAM": str(program)}
    exec(compile(examples(page)[number], page, "exec", dont_inherit=True), there)
    for made in [made for name, made in there.items() if name.startswith("test_")]:
        made(lab)  # type: ignore[operator]


def test_the_table_of_commands_is_whole() -> None:
    table = (ROOT / "README.md").read_text().partition("| command | does |")[2].partition("\n\n")[0]
    said = set(re.findall(r"\blab\.[a-z]+|\b(?:test|check|bench)\b(?=[ `])", table))
    assert {name for name in namespace.task_names if name not in said} == set()


def test_an_output_that_is_not_so_is_noticed() -> None:
    told = Shown("x", ("pong in 3 ms", "...", "pid 7"))
    assert told.agrees("pong in 41.8 ms\nany\nthing\npid 1234\n")
    assert not told.agrees("ping in 41.8 ms\nany\nthing\npid 1234\n")
    assert not told.agrees("pong in 41.8 ms\n")


def options_unknown(words: list[str]) -> list[str]:
    """Of a module's command: those that its help does not have."""
    assert find_spec(words[0]), words
    options = [word for word in words[1:] if word.startswith("--")]
    if not options:
        return []
    argv = [sys.executable, "-m", *words[:2], "--help"]
    told = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [option for option in options if not re.search(rf"{option}\b", told)]


def run(command: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=environment["HOME"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout or done.stderr  # progress goes to stderr, and so do errors
