"""A node connects to the relay that its authority vouches for, and to no other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.pytest_plugin import Net, StartLab
from node.io.certificates import self_signed

THE_RELAY = "nyc.derp.example"
ITS_ADDRESS = "198.51.100.10"  # which its certificate does not name


@pytest.mark.parametrize(
    ("authority", "name", "why"),
    [
        ("another", THE_RELAY, "certificate"),
        ("the lab's", ITS_ADDRESS, "certificate"),
    ],
)
def test_a_relay_that_is_not_vouched_for_is_not_used(
    lab: StartLab, tmp_path: Path, authority: str, name: str, why: str
) -> None:
    net = lab("nat-pair")

    event = first_about_relays(second_node(net, tmp_path, authority, name))

    assert event["event"] == "relay_lost"
    assert why in event["why"], event


def test_the_right_relay_is_used(lab: StartLab, tmp_path: Path) -> None:
    net = lab("nat-pair")

    event = first_about_relays(second_node(net, tmp_path, "the lab's", THE_RELAY))

    assert (event["event"], event["region"]) == ("relay_connected", "nyc")


def second_node(net: Net, folder: Path, authority: str, name: str) -> subprocess.Popen[str]:
    """Another node beside node-a's own, which looks for its relay under this name."""
    files = net.lab.folder / "hosts" / "node-a"
    netmap = json.loads((files / "netmap.json").read_text())
    [region] = netmap["derp_map"]["Regions"].values()
    region["Nodes"][0]["HostName"] = name
    netmap["addresses"] = ["100.64.9.9"]
    (folder / "netmap.json").write_text(json.dumps(netmap))
    (folder / "other.pem").write_text(self_signed(THE_RELAY)[0])
    trusted = files / "ca.pem" if authority == "the lab's" else folder / "other.pem"
    genkey = net.run("node-a", sys.executable, "-m", "node", "genkey")
    (folder / "node.key").write_text(genkey.stdout)
    (folder / "node.key").chmod(0o600)
    argv = [sys.executable, "-m", "node", "up", "--tun", "ts1", "--listen-port", "41642"]
    argv += ["--netmap", str(folder / "netmap.json"), "--key", str(folder / "node.key")]
    argv += ["--ca", str(trusted)]
    return net.lab.popen("node-a", argv, stdout=subprocess.PIPE, text=True)


def first_about_relays(process: subprocess.Popen[str]) -> dict[str, Any]:
    with process:
        assert process.stdout is not None
        events = map(json.loads, process.stdout)
        found = next(e for e in events if e["event"] in ("relay_connected", "relay_lost"))
        process.terminate()
    return dict(found)
