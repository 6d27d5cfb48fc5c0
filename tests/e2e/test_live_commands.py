"""Live changes as people type them: what they print, and how they exit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Result = subprocess.CompletedProcess[str]
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def invoke(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Result]]:
    """Runs one command; the lab is up."""
    env = os.environ | {"PUNCHLAB_STATE": str(tmp_path_factory.mktemp("labs"))}

    def run(*words: str) -> Result:
        argv = [sys.executable, "-m", "invoke", *words]
        return subprocess.run(
            argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=170, check=False
        )

    assert run("lab.up", "nat-pair").returncode == 0
    yield run
    run("lab.down", "all")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lab.nat", "nat-pair", "nyc"], "nyc is a relay, not a router"),
        (["lab.nat", "nat-pair", "home-a", "--profile", "symetric"], "did you mean 'symmetric'?"),
        (["lab.nat", "nat-pair", "home-a", "--wan", "here"], '"here" is not an address'),
        (["lab.cut", "nat-pair", "node-a", "node-x"], "there is no machine node-x in this lab"),
        (["lab.restore", "nat-pair", "node-a", "node-b"], "node-a and node-b are not cut"),
        (["lab.move", "nat-pair", "node-a", "home-x"], 'there is no router "home-x"'),
        (
            ["lab.link", "nat-pair", "home-a", "--icmp-blackhole", "--no-icmp-blackhole"],
            "--icmp-blackhole and --no-icmp-blackhole at once",
        ),
        (["lab.daemon", "nat-pair", "node-a"], "say one of --stop, --start"),
        (["lab.daemon", "nat-pair", "home-a", "--stop"], "home-a runs no daemon"),
        (["lab.explain", "nat-pair", "node-a", "nyc"], "a path is between two hosts"),
        (["lab.explain", "nat-pair", "node-a", "node-c"], "nat-pair has no host node-c"),
    ],
)
def test_bad_input_is_told_in_a_line_or_two(
    invoke: Callable[..., Result], words: list[str], told: str
) -> None:
    done = invoke(*words)

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) <= 3


def test_an_explanation_is_text_for_people_and_one_document_for_programs(
    invoke: Callable[..., Result],
) -> None:
    invoke("lab.ping", "nat-pair", "node-a", "node-b", "--until-direct")

    told = invoke("lab.explain", "nat-pair", "node-a", "node-b")
    document = json.loads(invoke("lab.explain", "nat-pair", "node-a", "node-b", "--json").stdout)

    assert told.stdout.startswith("node-a -> node-b: direct via 203.0.113.20:41641, for ")
    assert (document["path"]["kind"], document["agrees"]) == ("direct", True)
    assert [each["machine"] for each in document["hops"]] == [
        *("node-a", "home-a", "internet", "home-b", "node-b")
    ]


def test_an_explanation_with_routers_measured_says_so(invoke: Callable[..., Result]) -> None:
    told = invoke("lab.explain", "nat-pair", "node-a", "node-b", "--measure")

    assert told.returncode == 0, told.stderr
    assert told.stdout.count("measured: it is what it is called") == 2
    assert told.stderr.splitlines() == ["measuring home-a", "measuring home-b"]


def test_each_change_says_what_it_did(invoke: Callable[..., Result]) -> None:
    def said(*words: str) -> list[str]:
        done = invoke(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    invoke("lab.ping", "nat-pair", "node-a", "node-b", "--until-direct")

    assert said("lab.nat", "nat-pair", "home-a")[0].startswith(
        "home-a: port-restricted-cone at 203.0.113.10, as it was"
    )
    changed, rules, in_force = said("lab.nat", "nat-pair", "home-a", "--profile", "full-cone")
    assert changed == "home-a: nat: port-restricted-cone -> full-cone"
    assert rules.startswith("rules (nftables, because ")
    assert in_force.startswith("in force: ")
    assert "0 flows forgotten" not in in_force
    told = json.loads(
        "".join(said("lab.nat", "nat-pair", "home-a", "--wan", "203.0.113.99", "--json"))
    )
    assert told["changed"] == ["wan: 203.0.113.10 -> 203.0.113.99"]

    assert said("lab.cut", "nat-pair", "node-a", "node-b")[0] == (
        "node-a <-> node-b: dropped, of open flows too"
    )
    assert said("lab.cuts", "nat-pair")[0].startswith("node-a  <->  node-b  ")
    invoke("lab.ping", "nat-pair", "node-a", "node-b", "--count", "3")
    [restored] = said("lab.restore", "nat-pair", "node-a", "node-b")
    assert restored.startswith("node-a <-> node-b: passes again; ")
    assert said("lab.cuts", "nat-pair") == ["nothing is cut"]

    assert said("lab.link", "nat-pair", "home-b", "--icmp-blackhole", "--way", "up") == [
        "home-b: icmp pass -> drop (up)",
        "in force, for open connections too; it is now: icmp drop (up)  [icmp: nf_tables]",
    ]
    assert said("lab.link", "nat-pair", "home-b", "--no-icmp-blackhole")[0] == (
        "home-b: icmp drop -> pass (up)"
    )

    assert said("lab.move", "nat-pair", "node-a", "home-b") == [
        "node-a: home-a -> home-b, 192.168.1.10 -> 192.168.2.11"
    ]
    for action, state in (("freeze", "frozen"), ("thaw", "ready"), ("kill", "exited")):
        [now] = said("lab.daemon", "nat-pair", "node-b", f"--{action}")
        assert now.startswith(f"node-b: its node is {state}, pid ")
    [now] = said("lab.daemon", "nat-pair", "node-b", "--start")
    assert now.startswith("node-b: its node is ready, pid ")
    events = [json.loads(line)["event"] for line in said("lab.events", "nat-pair")]
    assert [each for each in events if each in ("nat", "cut", "restore", "move")] == [
        *("nat", "nat", "cut", "restore", "move")
    ]

    story = [line.split(maxsplit=1)[1] for line in said("lab.events", "nat-pair", "--story")]
    assert "the direct way between node-a and node-b was cut" in story
    assert "node-a moved from home-a to home-b, as 192.168.2.11" in story
    assert "the node of node-b was ended (kill)" in story


def test_what_has_an_answer_has_it_as_json(invoke: Callable[..., Result]) -> None:
    def told(*words: str) -> object:
        done = invoke(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    cable = {"host": "nyc", "wires": ["nyc/eth0 to internet/nyc"]}
    assert told("lab.unplug", "nat-pair", "nyc") == {**cable, "is_plugged": False}
    assert told("lab.plug", "nat-pair", "nyc") == {**cable, "is_plugged": True}
    assert told("lab.wait", "nat-pair", "nyc", "home-a", "--path", "none") == {
        "from": "nyc",
        "to": "home-a",
        "kind": "none",
    }
    frozen = told("lab.daemon", "nat-pair", "nyc", "--freeze")
    assert isinstance(frozen, dict)
    assert (frozen["host"], frozen["daemon"]["state"]) == ("nyc", "frozen")
    lines = [
        json.loads(line) for line in invoke("lab.logs", "nat-pair", "--json").stdout.splitlines()
    ]
    assert {"node-a", "node-b"} <= {line["host"] for line in lines}
    assert told("lab.down", "nat-pair") == [{"lab": "nat-pair", "was_up": True}]
