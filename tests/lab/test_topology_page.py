"""topologies/README.md leaves nothing out and promises nothing more."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from lab.model.layout import plan_of
from lab.model.link import LinkQuality, Shape
from lab.model.nat import PRESETS
from lab.model.network import Host, Relay, Router
from lab.model.topology import folder, known, loads
from lab.model.words import Nat

PAGE = (folder() / "README.md").read_text()


def test_it_lists_the_topologies_with_their_stories() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (.+) \|$", PAGE.partition("## Write one")[0], re.M)
    assert sorted(rows) == known()


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("`[relay.NAME]`", [Relay]),
        ("`[router.NAME]`", [Router]),
        ("`[host.NAME]`", [Host]),
        ("`[link.NAME]`", [LinkQuality, Shape]),
        ("A NAT, in words", [Nat]),
    ],
)
def test_each_section_names_every_key_of_its_own(section: str, values: list[type]) -> None:
    [text] = re.findall(rf"^### {re.escape(section)}(.+?)^##", PAGE, re.M | re.S)
    named = set(re.findall(r"`(\w+)", text))

    assert {each.name for value in values for each in fields(value)} - {"name", "preset"} <= named


def test_it_names_every_preset() -> None:
    [said] = re.findall(r"^Presets: (.+?)\.\n\n", PAGE, re.M | re.S)
    assert set(re.findall(r"`([\w-]+)`", said)) == set(PRESETS)


def test_its_example_is_a_topology() -> None:
    [example] = re.findall(r"```toml\n(.+?)```", PAGE, re.S)
    plan = plan_of(loads(example, "at-work.toml"))
    assert len(plan.machines) == 7
