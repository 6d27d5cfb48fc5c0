"""A Tailscale client in a lab, with a control plane of ours, in one mesh with a node of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.pytest_plugin import Net
from lab.pytest_plugin.net import Node
from tests.e2e.asked import netmap_of
from tests.e2e.netmaps import Netmap, change_netmap

ROOT = Path(__file__).parent.parent.parent
ADDRESS = "100.64.2.20"
PORT = 8080
PATIENCE = 60.0  # seconds for it to come up


@dataclass(frozen=True)
class Client:
    """`tailscaled` on the host `tail`."""

    net: Net
    socket: Path

    def command(self, *words: str) -> str:
        """What `tailscale WORDS` says."""
        argv = ["tailscale", f"--socket={self.socket}", *words]
        done = self.net.run("tail", *argv, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ways(self, address: str, count: int = 3) -> set[str]:
        """By which its own pings were answered: "DERP(nyc)", or an endpoint."""
        said = self.command("ping", "--until-direct=false", f"--c={count}", address)
        return {line.split(" via ")[1].split(" in ")[0] for line in said.splitlines()}


@contextmanager
def tailscale(net: Net, folder: Path) -> Iterator[tuple[Node, Node, Client]]:
    """The node, the client as its peer, and the client; both know each other's keys, as of a tailnet."""
    with ExitStack() as daemons:
        control, login = _control(net, folder)
        daemons.enter_context(ended(control))
        client = Client(net, folder / "tailscaled.sock")
        daemons.enter_context(ended(_daemon(net, folder, client.socket)))
        client.command("up", f"--login-server={login}", "--accept-dns=false", "--timeout=50s")
        add = with_member(_found(control))
        for ready in _nodes(net):
            change_netmap(net, ready["host"], add)
        yield net.node("node-a"), Node(net.lab, "tail", ADDRESS), client


@contextmanager
def ended(process: subprocess.Popen[Any]) -> Iterator[None]:
    with process:
        try:
            yield
        finally:
            process.terminate()


def _control(net: Net, folder: Path) -> tuple[subprocess.Popen[str], str]:
    relays = json.loads(netmap_of(net, "node-a").read_text())["derp_map"]
    derp_map = folder / "derp_map.json"
    derp_map.write_text(json.dumps(relays | {"OmitDefaultRegions": True}))
    argv = [sys.executable, "-m", "tests.interop.tailnet.control", "--derp-map", str(derp_map)]
    argv += ["--address", ADDRESS]
    for ready in _nodes(net):
        argv += ["--member", json.dumps(as_member(ready))]
    control = net.lab.popen("control", argv, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert control.stdout is not None
    assert json.loads(control.stdout.readline()) == {"ready": PORT}
    return control, f"http://{net.lab.plan().underlay['control']}:{PORT}"


def _nodes(net: Net) -> list[dict[str, Any]]:
    """What each node of ours said when it was ready; relays say so, too."""
    return [each for each in net.events(event="ready") if "node_key" in each]


def as_member(ready: dict[str, Any]) -> dict[str, Any]:
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
        "HomeDERP": 900,
        "Cap": 130,  # what it can do, by the number of a client's version: peer relays, too
        "MachineAuthorized": True,
        "Online": True,
        "Hostinfo": {"Hostname": ready["host"], "OS": "linux"},
    }


def _daemon(net: Net, folder: Path, socket: Path) -> subprocess.Popen[Any]:
    authority = net.lab.folder / "hosts" / "nyc" / "ca.pem"
    env = os.environ | {"SSL_CERT_FILE": str(authority), "TS_NO_LOGS_NO_SUPPORT": "true"}
    argv = ["tailscaled", "--tun=tailscale0", "--state=mem:", f"--statedir={folder}"]
    argv += [f"--socket={socket}", "--port=41641"]
    with (folder / "tailscaled.log").open("wb") as log:
        daemon = net.lab.popen("tail", argv, env=env, stdout=log, stderr=log)
    until = time.monotonic() + PATIENCE
    while not socket.exists():
        assert daemon.poll() is None, (folder / "tailscaled.log").read_text()
        assert time.monotonic() < until
        time.sleep(0.05)
    return daemon


def _found(control: subprocess.Popen[str]) -> dict[str, Any]:
    """As the client tells of itself once it knows its home and where it can be found."""
    assert control.stdout is not None
    for line in control.stdout:
        member: dict[str, Any] = json.loads(line)
        if member["HomeDERP"] and member["Endpoints"]:
            return member
    raise AssertionError("the control plane ended")


def with_member(member: dict[str, Any]) -> Callable[[Netmap], Netmap]:
    peer = {
        "name": "tail",
        "node_key": member["Key"],
        "disco_key": member["DiscoKey"],
        "addresses": [ADDRESS],
        "allowed_ips": member["AllowedIPs"],
        "home_region": member["HomeDERP"],
        "endpoints": member["Endpoints"],
    }

    return lambda netmap: netmap | {"peers": [*netmap["peers"], peer]}
