"""The wall clock of a node is set by an hour, back and on, while it runs or while it does not."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from lab.pytest_plugin import Net, NoReply, StartLab
from tests.e2e.asked import counter
from tests.e2e.pairs import reaches
from tests.e2e.wall_clock import WallClock

HOUR = 3600
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: apt install gcc")


@pytest.mark.parametrize("first", ["node-a", "node-b"])
def test_a_node_that_was_restarted_an_hour_earlier_is_reached_again(
    lab: StartLab, tmp_path: Path, first: str
) -> None:
    """node-b has not restarted, and takes no initiation that is older than node-a's last."""
    net, clock = lab("nat-pair"), WallClock(tmp_path)
    a, b = net.node("node-a"), net.node("node-b")
    one, other = (a, b) if first == "node-a" else (b, a)
    a.ping(b)
    net.daemon("node-a", "stop")
    stamps(net).unlink()  # so that the clock is all it goes by

    clock.set(-HOUR)
    assert clock.says(net, "node-a") == pytest.approx(time.time() - HOUR, abs=60)
    with clock.node(net, "node-a"):
        reaches(one, other)
        reaches(other, one)

    assert (
        counter(net, "node-b", "replayed_initiation") > 0
    )  # so the clock was what stood in the way


@pytest.mark.skipif(shutil.which("wireguard-go") is None, reason="apt install wireguard-go")
@pytest.mark.parametrize("remembers", [True, False])
def test_wireguard_go_takes_a_restarted_node_that_remembers_its_stamps(
    lab: StartLab, tmp_path: Path, remembers: bool
) -> None:
    net, clock = lab("plain-wireguard"), WallClock(tmp_path)
    node, other = net.node("node-a"), net.node("wg-out")
    node.ping(other)
    net.daemon("node-a", "stop")
    if not remembers:
        stamps(net).unlink()

    clock.set(-HOUR)
    with clock.node(net, "node-a"):
        if remembers:
            node.ping(other)
        else:
            with pytest.raises(NoReply):
                node.ping(other, patience=2)


@pytest.mark.skipif(shutil.which("wireguard-go") is None, reason="apt install wireguard-go")
def test_a_clock_that_is_set_while_the_node_runs_changes_nothing_for_wireguard_go(
    lab: StartLab, tmp_path: Path
) -> None:
    """It refuses any initiation that is not later than the one before; so each of these was."""
    net, clock = lab("plain-wireguard"), WallClock(tmp_path)
    node, other = net.node("node-a"), net.node("wg-out")
    net.daemon("node-a", "stop")

    with clock.node(net, "node-a", "--rekey-after", "1") as events:
        node.ping(other)
        next(each for each in events if each["event"] == "handshake")
        for ahead in (-HOUR, HOUR):
            clock.set(ahead)
            stream = node.stream(other, count=60, interval=0.1, lasting=True)
            next(each for each in events if each["event"] == "handshake")
            assert stream.finish().lost == 0


# --- what the node keeps


def stamps(net: Net) -> Path:
    return net.lab.folder / "hosts" / "node-a" / "node.key.time"
