"""Two relays of one mesh, and two nodes of which each reaches only one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.pytest_plugin import Net, NoReply, StartLab
from tests.e2e.asked import gauge, via
from tests.e2e.netmaps import change_netmap, with_peer
from tests.e2e.pairs import reaches


@pytest.mark.scenario(39, 100)
def test_meshed_relays_pass_on_what_is_for_a_client_of_the_other(
    lab: StartLab, tmp_path: Path
) -> None:
    net = lab("two-regions", set=mesh(tmp_path))
    net.wait_for_event("nyc", "mesh_connected", within=20, relay="fra.derp.example:443")
    net.wait_for_event("fra", "mesh_connected", within=20, relay="nyc.derp.example:443")
    apart(net)

    reaches(net.node("node-a"), net.node("node-b"))
    reaches(net.node("node-b"), net.node("node-a"))

    assert (via(net, "node-a", "node-b"), via(net, "node-b", "node-a")) == ("nyc", "fra")
    assert gauge(net, "nyc", "packets_forwarded_out") > 0
    assert gauge(net, "fra", "packets_forwarded_out") > 0


@pytest.mark.scenario(39, 100)
def test_without_a_mesh_they_do_not_meet(lab: StartLab) -> None:
    net = lab("two-regions")
    apart(net)

    with pytest.raises(NoReply):
        reaches(net.node("node-a"), net.node("node-b"), tries=4)


def mesh(folder: Path) -> dict[str, Any]:
    key = folder / "mesh.key"
    key.write_text("0123456789abcdef" * 4 + "\n")
    others = {"nyc": "fra.derp.example", "fra": "nyc.derp.example"}
    return {
        f"relay.{relay}.args": ["--mesh-key", str(key), "--mesh-with", other]
        for relay, other in others.items()
    }


def apart(net: Net) -> None:
    """Each at its own relay, where it looks for the other too: as within one region."""
    regions = {"node-a": ("nyc", "fra", 900), "node-b": ("fra", "nyc", 901)}
    for host, (_own, other, _region) in regions.items():
        net.daemon(host, "stop")
        net.cut(host, other, reset=True)
        net.daemon(host, "start")
    for host, peer in (("node-a", "node-b"), ("node-b", "node-a")):
        change_netmap(net, host, with_peer(peer, home_region=regions[host][2]))
