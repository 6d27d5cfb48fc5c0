"""An office with no way out but an HTTP proxy: the relay is reached through it, and is all there is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lab.pytest_plugin import Net, NoReply, StartLab

PROXY = Path(__file__).parents[1] / "node" / "connect_proxy.py"
TOPOLOGY = """
title = "An office behind a proxy"
relay.nyc.hostname = "nyc.derp.example"
router.office = { nat = { udp = false }, lan = "192.168.1.0/24" }
router.home-b = { nat = "port-restricted-cone", lan = "192.168.2.0/24" }

[host.proxy]
on = "office"
runs = "command"

[host.node-a]
on = "office"
runs = "node"
overlay = "100.64.1.10"

[host.node-b]
on = "home-b"
runs = "node"
overlay = "100.64.2.20"
"""


@pytest.mark.scenario(34)
@pytest.mark.parametrize("more", [[], ["--websocket"]], ids=["DERP", "WebSocket"])
def test_the_proxy_is_the_way_to_the_relay(lab: StartLab, tmp_path: Path, more: list[str]) -> None:
    file = tmp_path / "proxied.toml"
    file.write_text(TOPOLOGY)
    argv = [sys.executable, str(PROXY), "3128"]
    args = ["--proxy", "http://proxy:3128", *more]
    net = lab(str(file), set={"host.proxy.argv": argv, "host.node-a.args": args})
    a, b = net.node("node-a"), net.node("node-b")

    cut_off(net, "node-a")

    a.ping(b)
    b.ping(a)
    assert a.path_history(b) == ["relay"]
    net.lab.daemon("proxy", "kill")
    with pytest.raises(NoReply):  # the control: it was the only way
        a.ping(b, patience=2)


def cut_off(net: Net, host: str) -> None:
    """Nothing from this host passes the office's router any more."""
    address = net.lab.plan().underlay[host]
    done = net.run("office", "iptables", "-I", "FORWARD", "-s", address, "-j", "DROP")
    assert done.returncode == 0, done.stderr
