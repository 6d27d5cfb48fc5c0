"""A node's own interface: what the netmap gives it and takes from it, and what it does not take."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest

from lab.pytest_plugin import Net, NoReply, StartLab
from lab.state import INSIDE
from tests.e2e.asked import counter, netmap_of, node
from tests.e2e.netmaps import Netmap, change_netmap

pytestmark = pytest.mark.xdist_group("own-interface")
ANOTHER = "100.64.1.99"


@pytest.fixture(scope="module")
def net(module_lab: StartLab) -> Net:
    return module_lab("nat-pair")


def addresses(net: Net) -> list[str]:
    shown = net.run("node-a", "ip", "-4", "-o", "addr", "show", "dev", "ts0").stdout
    return sorted(line.split()[3] for line in shown.splitlines())


def with_addresses(*more: str) -> Callable[[Netmap], Netmap]:
    return lambda netmap: netmap | {"addresses": [netmap["addresses"][0], *more]}


def test_an_address_that_leaves_the_netmap_leaves_the_interface(net: Net) -> None:
    before = addresses(net)
    change_netmap(net, "node-a", with_addresses(ANOTHER))
    assert addresses(net) == sorted([*before, f"{ANOTHER}/32"])
    change_netmap(net, "node-a", with_addresses())
    assert addresses(net) == before


def test_another_mtu_takes_a_restart_and_changes_nothing(net: Net) -> None:
    file = netmap_of(net, "node-a")
    text = file.read_text()
    file.write_text(json.dumps(json.loads(text) | {"mtu": 1300}))
    control = str(net.lab.folder / "hosts" / "node-a" / "control.sock")
    argv = [sys.executable, "-m", "node", "reload", "--control", control]

    done = net.run("node-a", *argv)

    assert done.returncode == 2
    seen_inside = INSIDE / net.lab.name / "hosts" / "node-a" / "netmap.json"
    assert done.stderr == f"reload: {seen_inside}: mtu: 1300 takes a restart; it is 1280\n"
    assert "mtu 1280" in net.run("node-a", "ip", "link", "show", "ts0").stdout
    file.write_text(text)
    node(net, "node-a", "reload")


def test_what_the_interface_does_not_take_is_counted(net: Net) -> None:
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)
    assert counter(net, "node-b", "tun_write_EIO") == 0
    net.run("node-b", "ip", "link", "set", "ts0", "down")
    with pytest.raises(NoReply):
        a.ping(b, patience=1)
    assert counter(net, "node-b", "tun_write_EIO") > 0
