"""How the commands feel, all of them alike: the table of contents, help, completion, and bad input."""

from __future__ import annotations

import ast
import inspect
import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.parser import Parser

from lab import commands, program
from lab.commands.contents import Entry
from lab.completion import completions
from lab.model.network import Topology
from lab.model.topology import load
from lab.view.diagrams.dot import dot
from lab.view.diagrams.svg import svg
from tasks import namespace
from tests.lab.conftest import Up
from tests.lab.plans import two_hosts

ROOT = Path(__file__).parent.parent.parent
TASKS = {name: namespace[name] for name in namespace.task_names}
BIN = Path(sys.executable).parent
CONTEXTS = namespace.to_contexts()
BY_NAME = {str(each.name): each for each in CONTEXTS}
NOT_OURS = ("--", ">")  # from there on the words are somebody else's
HELP_UP = "punchlab --help lab.up shows what it takes"
FOR_TERMINAL = " is for the terminal, and --web for the browser"
WIDTH = 80  # columns
NAME_COLUMN = 2 + len("lab.topologies") + 3
BLANK = "BLANK"  # for what a text is filled in with
NAMED = re.compile(rf"lab\.[a-z]+(?: +(?:--[a-z-]+|[^\s-]*{BLANK}\S*|\d+%?)(?!\S))*")


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_one_line_of_the_contents(name: str) -> None:
    summary = paragraphs(name)[0]

    assert summary.endswith(".")
    assert "\n" not in summary
    assert NAME_COLUMN + len(summary) <= WIDTH


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_an_example_that_can_be_typed(name: str) -> None:
    [example] = [each for each in paragraphs(name) if each.startswith("Example: ")]
    binary, *words = shlex.split(example.removeprefix("Example: "))
    typed = itertools.takewhile(lambda word: word not in NOT_OURS, words)

    [context] = Parser(contexts=CONTEXTS).parse_argv(list(typed))

    assert binary == "invoke"
    assert context.name == name


@pytest.mark.parametrize("name", TASKS)
def test_every_option_is_explained(name: str) -> None:
    [context] = [each for each in CONTEXTS if each.name == name]
    assert [option for option, each in context.args.items() if not each.help] == []


def test_the_contents_begin_with_what_people_do_first() -> None:
    listed = re.findall(r"^  (lab\.\S+)", said("invoke", "--list").stdout, re.MULTILINE)

    assert listed[:4] == ["lab.up", "lab.demo", "lab.status", "lab.list"]
    assert listed[-1] == "lab.doctor"
    assert set(listed) == {name for name in TASKS if name.startswith("lab.")}
    assert listed == re.findall(r"^  (lab\.\S+)", said("punchlab", "--list").stdout, re.MULTILINE)


@pytest.mark.parametrize(
    "words", [["--help", "lab.demo"], ["lab.demo", "--help"], ["lab.demo", "-h"]]
)
def test_help_is_found_wherever_it_is_typed(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        program.run(Collection(lab=commands.collection()), ["punchlab", *words])

    assert "Watch a path move from relay to direct, and break it." in capsys.readouterr().out


def test_an_entry_is_its_name() -> None:
    assert Entry("up", 3) == "up"
    assert "up" in {Entry("up", 3)}
    assert sorted([Entry("a", 2), Entry("b", 1)]) == ["b", "a"]


def test_every_command_that_a_text_names_can_be_typed() -> None:
    texts = [each for file in (ROOT / "lab").rglob("*.py") for each in texts_of(file)]
    named = {found for text in texts for found in NAMED.findall(text) if BLANK in found}

    assert f"lab.logs {BLANK} --host {BLANK}" in named
    assert [each for each in named if not can_be_typed(each)] == []


# --- completion


@pytest.mark.parametrize("name", ["invoke", "punchlab"])
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("lab.lin", ["lab.link", "lab.links"]),
        ("lab.nat double-nat home-a --pro", ["--profile"]),
    ],
)
def test_bash_completes_commands_and_options(name: str, typed: str, completed: list[str]) -> None:
    script = said(name, "--print-completion-script", "bash").stdout
    words = [name, *typed.split(" ")]
    press_tab = f"""
        {script}
        COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}
        $(complete -p {name} | sed 's/.* -F \\([^ ]*\\) .*/\\1/') {name} {words[-1]}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """

    done = run(["bash", "-c", press_tab])

    assert done.stdout.split() == completed


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("lab.up", {"double-nat", "office"}),
        ("lab.up dou", {"double-nat"}),
        ("lab.up topology = dou", {"double-nat"}),
        ("lab.nat x home-a --profile", {"symmetric", "full-cone"}),
        ("lab.nat x home-a --profile sym", {"symmetric"}),
        ("lab.wait x a b --path", {"direct", "relay"}),
        ("lab.link", {"lab.link", "lab.links"}),
    ],
)
def test_punchlab_completes_values_too(typed: str, completed: set[str]) -> None:
    assert completed <= set(completions(typed.split(), BY_NAME))


@pytest.mark.parametrize("typed", ["lab.stat", "", "lab.nat x home-a --pro", "lab.down nowhere"])
def test_what_is_no_value_is_left_to_invoke(typed: str, state: Path) -> None:
    assert completions(typed.split(), BY_NAME) == []


@pytest.mark.needs_lab
def test_names_of_a_running_lab_are_completed(up: Up) -> None:
    lab = up(two_hosts())

    assert completions(["lab.status"], BY_NAME) == [lab.name]
    assert completions(["lab.cut", lab.name, "node"], BY_NAME) == ["middle", "node-a", "node-b"] * 2
    assert completions(["lab.link", lab.name], BY_NAME) == [lab.name, "node-a", "node-b"]


# --- bad input


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lab.upp", "nat-pair"], "there is no command lab.upp\ndid you mean lab.up?"),
        (["--help", "lab.upp"], "there is no command lab.upp\ndid you mean lab.up?"),
        (["lab.up", "x", "--nmae", "y"], "lab.up: no idea what '--nmae' is!\n" + HELP_UP),
        (["lab.up"], "lab.up: it takes topology\npunchlab --help lab.up shows what it takes"),
        (["lab.cut", "x", "a"], "lab.cut: it takes b\npunchlab --help lab.cut shows what it takes"),
        (["lab.wait", "x", "a", "b", "--within", "soon"], "soon: expected a number, like 2.5"),
        (["lab.wait", "x", "a", "b", "--within=-1"], "-1: expected a number from 0 to 1000000000"),
        (
            ["lab.wait", "x", "a", "b", "--within", "nan"],
            "nan: expected a number from 0 to 1000000000",
        ),
        (["lab.ping", "x", "a", "b", "--count", "1.5"], "1.5: expected a whole number, like 3"),
        (
            ["lab.plan", "nat-pair", "--set", "x"],
            "--set x: expected KEY=VALUE, like router.home-a.nat=symmetric",
        ),
        (["bench", "--rounds", "abc"], "abc: expected a whole number, like 3"),
        (["bench", "--rounds=-3"], "-3: expected a whole number from 0 to 1000000000"),
        (["lab.status", "x"], "there is no lab named x\nno lab is running; lab.up starts one"),
        (["lab.demo", "x", "--web", "--plain"], "--plain" + FOR_TERMINAL),
        (["lab.demo", "x", "--web", "--record", "x.cast"], "--record" + FOR_TERMINAL),
        (["lab.demo", "x", "--web", "--seconds", "5"], "--seconds" + FOR_TERMINAL),
        (["lab.demo", "x", "--host", "0.0.0.0"], "--host is where a page is served; add --web"),
        (["lab.demo", "x", "--port", "0"], "--port is where a page is served; add --web"),
    ],
)
def test_bad_input_is_told_in_one_way(
    state: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        program.run(namespace, ["punchlab", *words])

    assert capsys.readouterr() == ("", f"{told}\n")


@pytest.mark.parametrize(
    "words", [["--list"], ["lab.plan", "office"], ["lab.topologies"], ["--help", "lab.up"]]
)
def test_a_reader_that_has_seen_enough_is_no_error(words: list[str]) -> None:
    line = shlex.join([str(BIN / "punchlab"), *words])

    done = run(["bash", "-c", f"{line} | true; exit ${{PIPESTATUS[0]}}"])

    assert done.stderr == ""
    assert done.returncode in (0, 141)


@pytest.mark.parametrize("made", [svg, dot])
def test_a_diagram_is_printed_in_the_form_that_is_asked_for(
    made: Callable[[Topology], str],
) -> None:
    done = said("punchlab", "lab.graph", "nat-pair", "--format", made.__name__)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == made(load("nat-pair"))


def paragraphs(name: str) -> list[str]:
    return (inspect.getdoc(TASKS[name]) or "").split("\n\n")


def texts_of(file: Path) -> list[str]:
    """Those that are filled in."""
    found = [
        each for each in ast.walk(ast.parse(file.read_text())) if isinstance(each, ast.JoinedStr)
    ]
    return [
        "".join(
            str(part.value) if isinstance(part, ast.Constant) else BLANK for part in text.values
        )
        for text in found
    ]


def can_be_typed(line: str) -> bool:
    try:
        Parser(contexts=CONTEXTS).parse_argv(line.split())
    except ParseError:
        return False
    return True


def said(name: str, *words: str) -> Any:
    return run([str(BIN / name), *words])


def run(argv: Sequence[str]) -> Any:
    return subprocess.run(
        argv,
        cwd=ROOT,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
