"""The live demo as somebody in front of a terminal sees it, and as a log has it."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.pseudo_terminal import COLUMNS, ROWS, PseudoTerminal
from tests.lab.cluster import wait_until

pytestmark = pytest.mark.needs_lab
ROOT = str(Path(__file__).parent.parent.parent)
# Rows of the screen: to the relay, between the ends, the path from a to b, round trips and losses.
LEGS, WAY, PATH, TRIP = 2, 4, 6, 8
BY_RELAY = 2 * (15 + 30 + 30 + 15)  # ms: no round trip by the relay takes less, such are the delays


def test_the_three_styles_come_in_order_and_a_cut_is_seen_to_heal(env: dict[str, str]) -> None:
    with demo(env, "double-nat") as terminal:
        seen: list[str] = []
        terminal.until(lambda rows: note_styles(rows, seen) and "double" in seen)
        assert seen == ["solid", "dashed", "double"]
        terminal.until(lambda rows: rows[PATH].startswith(" node-a to node-b: direct via 203.0"))
        assert "delays made for the demo: 30ms to nyc" in terminal.rows[-2]
        terminal.until(lambda rows: ms(rows[TRIP]) < BY_RELAY)  # the newest bar
        assert ms(terminal.rows[TRIP + 1]) >= BY_RELAY  # the highest one
        terminal.until(lambda rows: any("^direct" in row for row in rows))  # where it dropped
        assert re.search(r"packets lost so far: 0 of [1-9]", terminal.rows[TRIP])

        terminal.press("c")
        terminal.until(lambda rows: " cut " in rows[WAY])
        terminal.until(lambda rows: rows[PATH].startswith(" node-a to node-b: relay via nyc"))
        terminal.until(lambda rows: "─" in rows[LEGS] and "c restore direct" in rows[-1])

        terminal.press("c")
        terminal.until(lambda rows: rows[PATH].startswith(" node-a to node-b: direct via 203.0"))
        terminal.until(lambda rows: "═ direct ═" in rows[WAY])
        assert terminal.colours() != set()

        terminal.press("q")
        assert terminal.finish(within=30) == 0
        assert terminal.settings() == terminal.before
        assert terminal.raw.rindex("\x1b[?1049l") > terminal.raw.rindex("\x1b[?1049h")
        assert "double-nat is down" in terminal.raw
    assert running(env) == []


def test_keys_break_and_mend_what_they_name_and_ctrl_c_leaves_nothing(
    env: dict[str, str],
) -> None:
    with demo(env | {"NO_COLOR": "1"}, "nat-pair") as terminal:
        terminal.until(lambda rows: "direct via" in rows[PATH])

        terminal.press("u")
        terminal.until(lambda rows: is_done(rows, "node-b✗" in rows[WAY], "u plug node-b"))
        terminal.press("u")
        terminal.until(
            lambda rows: (
                is_done(rows, "node-b✗" not in rows[WAY], "u unplug") and "direct via" in rows[PATH]
            )
        )

        terminal.press("r")
        terminal.until(lambda rows: is_done(rows, "nyc✗ (DERP)" in rows[LEGS], "r start nyc"))
        terminal.press("r")
        terminal.until(lambda rows: is_done(rows, "nyc (DERP)" in rows[LEGS], "r kill nyc"))

        terminal.press("n")
        terminal.until(lambda rows: "n home-a its own NAT" in rows[-1])
        assert any("home-a forgot" in row for row in terminal.rows)
        terminal.until(lambda rows: "relay via nyc" in rows[PATH])
        terminal.press("n")
        terminal.until(lambda rows: "n home-a symmetric" in rows[-1] and "direct" in rows[PATH])

        terminal.press("\x03")
        assert terminal.finish(within=30) == 0
        assert terminal.settings() == terminal.before
        assert terminal.colours() == set()
    assert running(env) == []


def test_without_a_terminal_there_are_lines_and_a_recording_plays(
    env: dict[str, str], tmp_path: Path
) -> None:
    cast = tmp_path / "nat-pair.cast"
    argv = [sys.executable, "-m", "invoke", "lab.demo", "nat-pair", "--record", str(cast)]

    with subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        moved = "the path from node-a to node-b moved to direct"
        lines = list(until_all((moved, "ends: direct data"), process.stdout))
        process.terminate()
        *_, last = process.stdout

    assert (process.returncode, any("\x1b" in line for line in lines)) == (0, False)
    told = "".join(lines)
    assert "packets from node-a to node-b go through nyc\n" in told
    assert "the path from node-a to node-b moved to direct via 203.0.113.20:41641" in told
    assert last.startswith("node-a to node-b: relay -> direct; 0 of ")
    header, *pieces = [json.loads(line) for line in cast.read_text().splitlines()]
    assert (header["version"], header["width"], header["height"]) == (2, 80, 24)
    assert [kind for _, kind, _ in pieces] == ["o"] * len(pieces)
    assert sorted(at for at, _, _ in pieces) == [at for at, _, _ in pieces]
    assert any("direct via 203.0.113.20:41641" in text for _, _, text in pieces)


def test_plain_lines_are_had_on_a_terminal_too_and_it_ends_after_its_seconds(
    env: dict[str, str],
) -> None:
    with demo(env, "public", "--plain", "--seconds", "1") as terminal:
        assert terminal.finish(within=60) == 0
        assert "\x1b[?1049h" not in terminal.raw  # no screen
        assert re.search(r"^ +before  the lab is up", terminal.raw, re.M)
        assert re.search(r"^node-a to node-b: .* packets lost\r\n", terminal.raw, re.M)
    assert running(env) == []


def test_a_terminal_that_can_do_nothing_gets_lines_until_somebody_ends_it(
    env: dict[str, str],
) -> None:
    with demo(env | {"TERM": "dumb"}, "public") as terminal:
        terminal.until(lambda rows: any("the lab is up" in row for row in rows))
        terminal.process.terminate()
        assert terminal.finish(within=60) == 0
        assert "\x1b" not in terminal.raw
        assert "public is down" in terminal.raw
    assert running(env) == []


def test_a_killed_demo_leaves_no_lab(env: dict[str, str]) -> None:
    with demo(env, "public", "--plain") as terminal:
        terminal.until(lambda rows: any("the lab is up" in row for row in rows))
        terminal.process.kill()
        terminal.process.wait()
    wait_until(lambda: running(env) == [])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["double-nap"], "double-nat"),
        (["nat-pair", "--pair", "node-a"], "--pair node-a,node-b"),
        (["nat-pair", "--pair", "node-a,nyc"], "nyc has no overlay address"),
        (["nat-pair", "--record", "/nowhere/x.cast", "--plain"], "/nowhere/x.cast"),
    ],
)
def test_bad_input_is_told_and_nothing_is_left(
    env: dict[str, str], words: list[str], told: str
) -> None:
    done = invoke(env, "lab.demo", *words)

    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert told in done.stderr
    assert running(env) == []


# --- helpers


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    own = {"PUNCHLAB_STATE": str(tmp_path / "labs"), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    return {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | own


def demo(env: Mapping[str, str], *words: str) -> PseudoTerminal:
    return PseudoTerminal([sys.executable, "-m", "invoke", "lab.demo", *words], env, ROOT)


def invoke(env: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "invoke", *words]
    return subprocess.run(
        argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=170, check=False
    )


def running(env: Mapping[str, str]) -> list[object]:
    return json.loads(invoke(env, "lab.list", "--json").stdout or "[]")  # type: ignore[no-any-return]


def is_done(rows: list[str], is_seen: bool, next_key: str) -> bool:
    """And whoever did it is ready for the next key: until then the line above says what is being done."""
    return is_seen and next_key in rows[-1] and not rows[-2].endswith(" ...")


def until_all(words: Iterable[str], lines: Iterable[str]) -> Iterator[str]:
    """What the ends say of their paths and what is seen on the wires come in any order."""
    missing = set(words)
    for line in lines:
        yield line
        missing -= {each for each in missing if each in line}
        if not missing:
            return


def ms(row: str) -> float:
    found = re.search(r"(\d+) ms", row)
    return float(found[1]) if found else math.inf


def note_styles(rows: list[str], seen: list[str]) -> bool:
    """Each style when it is there first, in its own place; and no row is ever wider than the terminal."""
    assert max(map(len, rows)) <= COLUMNS
    assert len(rows) == ROWS
    for style, is_there in (
        ("solid", "─┤" in rows[LEGS]),
        ("dashed", "╌ trying ╌" in rows[WAY]),
        ("double", "═ direct ═" in rows[WAY]),
    ):
        if is_there and style not in seen:
            seen.append(style)
    return True
