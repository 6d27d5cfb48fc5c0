"""A Tailscale client on the host `tail`, in one mesh with the nodes of ours in a lab."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.model.layout import FIRST_REGION
from lab.pytest_plugin import Net
from lab.pytest_plugin.net import Node
from tests.e2e.netmaps import Netmap, change_netmap
from tests.interop.tailnet.client import Client, client, plane
from tests.interop.tailnet.members import Json

HOST, ADDRESS = "tail", "100.64.2.20"


@contextmanager
def tailscale(net: Net, folder: Path) -> Iterator[tuple[Node, Node, Client]]:
    """node-a, the client as a peer of it, and the client: all know each other's keys, as in a tailnet."""
    nodes = [each for each in net.events(event="ready") if "node_key" in each]
    members = [as_member(each) for each in nodes]
    with (
        plane(net.lab, folder, [ADDRESS], members) as control,
        client(net.lab, HOST, folder, control) as there,
    ):
        for each in nodes:
            change_netmap(net, each["host"], with_member(control.member(HOST)))
        yield net.node("node-a"), Node(net.lab, HOST, ADDRESS), there


def as_member(ready: Json) -> Json:
    """A node of ours, from what it said of itself, as Tailscale describes one."""
    networks = [f"{address}/32" for address in ready["addresses"]]
    return {
        "ID": 1000 + int(networks[0].split(".")[2]),
        "StableID": ready["host"],
        "Name": f"{ready['host']}.tailnet.example.",
        "User": 1,
        "Key": ready["node_key"],
        "DiscoKey": ready["disco_key"],
        "Addresses": networks,
        "AllowedIPs": networks,
        "HomeDERP": FIRST_REGION,
        "Cap": 130,  # what it can do, by the number of a client's version: peer relays, too
        "MachineAuthorized": True,
        "Online": True,
        "Hostinfo": {"Hostname": ready["host"], "OS": "linux"},
    }


def with_member(member: Json) -> Callable[[Netmap], Netmap]:
    peer = {
        "name": HOST,
        "node_key": member["Key"],
        "disco_key": member["DiscoKey"],
        "addresses": [ADDRESS],
        "allowed_ips": member["AllowedIPs"],
        "home_region": member["HomeDERP"],
        "endpoints": member["Endpoints"],
    }
    return lambda netmap: netmap | {"peers": [*netmap["peers"], peer]}
