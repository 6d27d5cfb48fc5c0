"""What the kernel is told, and what is said when it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.client import Lab, doctor
from lab.errors import BuildFailed, CannotHere
from lab.model.link import LinkQuality
from lab.model.plan import Interface, Machine, Plan, Route, Wire
from lab.world import links
from lab.world.namespaces import Visitor
from lab.world.netlink import NetlinkError
from tests.lab.conftest import Up
from tests.lab.plans import PING, A, B, two_hosts

HERE = Path(__file__).parent.parent.parent


def test_hosts_on_one_bridge_reach_each_other_in_both_families(up: Up) -> None:
    lab = up(_one_lan())

    assert lab.run(A, [*PING, "192.168.1.11"]).returncode == 0
    assert lab.run(A, [*PING, "fd00::1"]).returncode == 0  # at once: no waiting for DAD
    assert lab.run(A, [*PING, "fd00::11"]).returncode == 0


def test_a_plugged_bridge_port_is_back_at_once(up: Up) -> None:
    lab = up(_one_lan())

    lab.unplug(B)
    assert lab.run(A, [*PING, "192.168.1.11"]).returncode == 1
    lab.plug(B)
    lab.run(A, ["ip", "neigh", "flush", "all"])  # who asked in vain asks again after a second
    assert lab.run(A, [*PING, "192.168.1.11"]).returncode == 0


def test_machines_leave_the_low_descriptors_to_others(up: Up) -> None:
    """libnftables calls select(), which ends a process that shows it one above 1023."""
    named = up(two_hosts()).run(A, ["readlink", f"/run/netns/{A}"]).stdout

    folder, _, number = named.rpartition("/")
    assert folder == "/proc/1/fd"
    assert int(number) >= 1024


def test_links_make_no_addresses_of_their_own(up: Up) -> None:
    shown = up(two_hosts()).run(A, ["ip", "-j", "address", "show", "eth0"]).stdout

    [link] = json.loads(shown)
    assert [(each["family"], each["local"]) for each in link["addr_info"]] == [("inet", "10.0.1.2")]


def test_a_wires_mtu_holds_at_both_ends(up: Up) -> None:
    plan = two_hosts()
    wires = tuple(replace(wire, quality=LinkQuality(mtu=1400)) for wire in plan.wires)

    lab = up(replace(plan, wires=wires))

    assert _mtu(lab, A, "eth0") == _mtu(lab, "middle", A) == 1400


def test_sysctls_are_set_in_the_machine_alone(up: Up) -> None:
    timeout = "net.netfilter.nf_conntrack_udp_timeout"
    lab = up(two_hosts(sysctls=((timeout, "7"), ("net.bridge.bridge-nf-call-iptables", "0"))))

    assert lab.run("middle", ["sysctl", "-n", timeout]).stdout == "7\n"
    assert lab.run("middle", ["sysctl", "-n", "net.ipv4.ip_forward"]).stdout == "1\n"
    assert lab.run(A, ["sysctl", "-n", timeout]).stdout != "7\n"
    assert lab.run(A, ["sysctl", "-n", "net.ipv4.ip_forward"]).stdout == "0\n"


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (
            two_hosts(routes=(Route("10.9.0.0/16", "eth0", via="10.200.0.1"),)),
            "node-a: the route to 10.9.0.0/16 via 10.200.0.1 on eth0: Network is unreachable "
            "(Nexthop has invalid gateway)",
        ),
        (
            two_hosts(sysctls=(("net.no.such", "1"),)),
            "middle: this kernel has no sysctl net.no.such",
        ),
        (
            two_hosts(sysctls=(("net.ipv4.ip_forward", "x"),)),
            "middle: sysctl net.ipv4.ip_forward = x: Invalid argument",
        ),
    ],
    ids=["route", "unknown sysctl", "sysctl's value"],
)
def test_what_the_kernel_refuses_is_named(state: Path, plan: Plan, words: str) -> None:
    with pytest.raises(BuildFailed) as failure:
        Lab.up(plan)

    assert failure.value.problem == words
    assert list(state.iterdir()) == []


def test_the_first_failure_of_a_batch_is_the_one_reported() -> None:
    [namespace] = Visitor().new_namespaces(1)
    requests = [
        links.link("m", "lo", links.LOOPBACK, up=True),
        links.link("m", "x", 42, up=True),  # no such link
        *(links.link("m", f"y{n}", 43 + n, up=True) for n in range(100)),
    ]

    with pytest.raises(NetlinkError, match="m: setting x up: No such device"):
        namespace.rtnetlink.send(requests)


def test_a_machine_without_namespaces_says_so(state: Path) -> None:
    script = (
        "import sys; from tests.lab.plans import *; from lab.client import Lab\n"
        "from lab.errors import LabError\n"
        "try: Lab.up(two_hosts())\n"
        "except LabError as error: print(error); sys.exit(error.exit_status)\n"
    )
    no_more = 'echo 0 > /proc/sys/user/max_net_namespaces; exec "$@"'
    argv = ["unshare", "--user", "--map-root-user", "sh", "-c", no_more, "sh", sys.executable]

    done = subprocess.run(
        [*argv, "-c", script], cwd=HERE, capture_output=True, text=True, check=False
    )

    assert done.returncode == CannotHere.exit_status
    assert done.stdout.startswith("namespaces cannot be made here: unshare: unshare failed: ")
    assert list(state.iterdir()) == []


def test_the_doctor_tries_everything_and_knows_a_way() -> None:
    found = {one["name"]: one for one in doctor()}

    assert found["veth"]["ok"]  # this test process makes labs, so it can
    assert found["iptables NAT"]["ok"]
    assert [name for name, one in found.items() if not one["hint"]] == []


def test_the_doctor_sees_what_is_not_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab.world.preflight", "--json"],
        env={"PATH": "/nonexistent", "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=True,
    )

    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert not found["unshare"]["ok"]
    assert found["unshare"]["needed"]
    assert found["unshare"]["hint"] == "apt-get install util-linux"
    assert not found["veth"]["ok"]


def _one_lan() -> Plan:
    router = Machine(
        "router",
        "router",
        (
            Interface("lan0", ("192.168.1.1/24", "fd00::1/64"), kind="bridge"),
            Interface(A, master="lan0"),
            Interface(B, master="lan0"),
        ),
    )
    hosts = tuple(
        Machine(name, "host", (Interface("eth0", (f"192.168.1.{n}/24", f"fd00::{n}/64")),))
        for name, n in ((A, 10), (B, 11))
    )
    wires = tuple(Wire(name, (name, "eth0"), ("router", name)) for name in (A, B))
    return Plan("lan", "one LAN", "", (router, *hosts), wires, (), {})


def _mtu(lab: Lab, machine: str, interface: str) -> int:
    shown = lab.run(machine, ["ip", "-j", "link", "show", interface]).stdout
    [link] = json.loads(shown)
    mtu: int = link["mtu"]
    return mtu
