"""A running lab in a test's words, where what is asked for is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.client import Lab
from lab.errors import BadRequest
from lab.model.layout import plan_of
from lab.model.plan import Plan
from lab.model.topology import load
from lab.pytest_plugin.net import Net

COMMAND = {"host.node-b.runs": "command", "host.node-b.argv": '["true"]'}
NO_OVERLAY = {"host.node-b.overlay": "[]"}


@pytest.mark.parametrize("name", ["node-x", "nyc", "home-a", "node-b"])
def test_who_is_no_node_is_told_with_those_that_are(tmp_path: Path, name: str) -> None:
    plan = plan_of(load("nat-pair", COMMAND | NO_OVERLAY))

    with pytest.raises(BadRequest) as error:
        net_of(plan, tmp_path).node(name)

    assert str(error.value) == f"{name} has no overlay address\nwho has one: node-a"


def test_a_lab_without_any_node_says_so(tmp_path: Path) -> None:
    plan = replace(plan_of(load("nat-pair")), daemons=())

    with pytest.raises(BadRequest, match="node-a has no overlay address\nwho has one: nobody"):
        net_of(plan, tmp_path).node("node-a")


def net_of(plan: Plan, folder: Path) -> Net:
    """A lab that is only its folder: what a plan tells needs nobody to run."""
    (folder / "plan.json").write_text(plan.to_json())
    return Net(Lab(plan.topology, folder))
