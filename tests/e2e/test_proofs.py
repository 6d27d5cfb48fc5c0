"""The words that prove a path from outside, each with its control: they can fail."""

from __future__ import annotations

import pytest

from lab.pytest_plugin import NoReply, StartLab


@pytest.mark.scenario(4)
def test_a_direct_path_is_proven_and_is_not_relayed(lab: StartLab) -> None:
    net = lab("nat-pair")
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)
    a.wait_for_path(b, "direct", within=10)

    net.prove_direct(a, b)
    with pytest.raises(AssertionError, match="node-a reaches node-b without any relay"):
        net.prove_relayed(a, b)


@pytest.mark.scenario(4)
def test_a_relayed_path_is_proven_and_is_not_direct(lab: StartLab) -> None:
    net = lab("hard-pair")
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)

    net.prove_relayed(a, b)
    with pytest.raises(NoReply):
        net.prove_direct(a, b)
    assert net.run("node-a", "ping", "-c1", "nyc.derp.example").returncode == 0  # plugged in again
