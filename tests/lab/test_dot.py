"""A topology in Graphviz's language, read by Graphviz itself."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from lab.model.topology import load, loads
from lab.view.diagrams.dot import dot


@pytest.mark.parametrize("name", ["office", "two-uplinks", "lossy"])
def test_graphviz_reads_every_machine_and_every_link(name: str) -> None:
    topology = load(name)
    rows = laid_out(dot(topology))
    assert {row[1] for row in rows if row[0] == "node"} == {"internet", *topology.names}
    uplinks = [relay.name for relay in topology.relays]
    uplinks += [router.name for router in topology.routers]
    uplinks += [uplink for host in topology.hosts for uplink in host.uplinks]
    assert len([row for row in rows if row[0] == "edge"]) == len(uplinks)


def test_relays_are_on_top_and_hosts_at_the_bottom() -> None:
    rows = laid_out(dot(load("two-regions")))
    height = {row[1]: float(row[3]) for row in rows if row[0] == "node"}
    assert height["nyc"] == height["fra"] > height["internet"] > height["home-a"] > height["node-a"]


def test_quotes_and_backslashes_of_people_stay_what_they_are() -> None:
    text = "[host.web]\nruns = 'command'\nargv = ['a \"b\"', '\\N {x}']\n"
    assert r'label="web\na \"b\" \\N {x}"' in dot(loads(text, "x.toml"))
    laid_out(dot(loads(text, "x.toml")))


def laid_out(source: str) -> list[list[str]]:
    done = subprocess.run(
        ["dot", "-Tplain"], input=source, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return [shlex.split(line) for line in done.stdout.splitlines()]
