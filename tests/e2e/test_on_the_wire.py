"""What is to be seen on the wires, and in the routers' tables: whole packets, and no flow too many."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from subprocess import PIPE

import pytest

from lab.pytest_plugin import Net, StartLab
from tests.e2e.captures import captured
from tests.e2e.pairs import BACK, direct_pair, reaches

GOOD = re.compile(r"\(correct\)|sum ok")
BAD = re.compile(r"incorrect ->|bad \w+ cksum|wrong \w+ cksum")
# Checksums are the sender's own work from now on, as on a card that cannot do it: ETHTOOL_STXCSUM.
FINISH = """
import ctypes, fcntl, socket, struct, sys
value = ctypes.create_string_buffer(struct.pack("II", 0x17, 0))
for name in sys.argv[1:]:
    request = struct.pack("16sP", name.encode(), ctypes.addressof(value))
    fcntl.ioctl(socket.socket(), 0x8946, request)
"""
TAKE = """
import socket, sys
server = socket.create_server((sys.argv[1], 7))
print("ready", flush=True)
connection = server.accept()[0]
while connection.recv(65536): pass
"""
GIVEN = 500_000  # bytes
GIVE = f"import socket, sys; socket.create_connection((sys.argv[1], 7)).sendall(bytes({GIVEN}))"
BATCH = 65536  # bytes that may be one packet on a wire


@pytest.mark.scenario(101)
def test_no_packet_has_a_bad_checksum(lab: StartLab, tmp_path: Path) -> None:
    net, _a, _b = direct_pair(lab)

    good, bad = checksums(net, tmp_path)
    assert bad > 0  # the control: what the kernel leaves to a card is seen as bad

    for host, interfaces in (
        ("node-a", ["eth0", "ts0"]),
        ("node-b", ["eth0", "ts0"]),
        ("nyc", ["eth0"]),
    ):
        assert net.run(host, sys.executable, "-c", FINISH, *interfaces).returncode == 0
    good, bad = checksums(net, tmp_path)
    assert bad == 0
    assert good > 4 * GIVEN / BATCH  # two interfaces at each end


@pytest.mark.scenario(102)
def test_there_is_one_flow_to_the_relay_and_one_to_the_peer(lab: StartLab) -> None:
    net, a, b = direct_pair(lab)
    wanted = {("tcp", "198.51.100.10", "443"): 1, ("udp", "198.51.100.10", "3478"): 1}
    wanted |= {("udp", "203.0.113.20", "41641"): 1}

    assert a.stream(b, count=100, interval=0.01).finish().lost == 0
    assert flows(net, "home-a") == wanted

    began = time.monotonic()  # at the start it may have knocked before the relay was open
    net.daemon("nyc", "kill")
    lost = net.wait_for_event("node-a", "relay_lost", since=began)
    assert ("tcp", "198.51.100.10", "443") not in flows(net, "home-a")  # the control
    net.daemon("nyc", "start")
    net.wait_for_event("node-a", "relay_connected", within=BACK, since=lost["at"])
    reaches(a, b)
    assert flows(net, "home-a") == wanted


def flows(net: Net, router: str) -> Counter[tuple[str, str, str]]:
    """Out of its LAN, that were answered and are not closed: by protocol, and where to."""
    found: Counter[tuple[str, str, str]] = Counter()
    for line in net.run(router, "cat", "/proc/net/nf_conntrack").stdout.splitlines():
        words = line.split()
        there = dict(word.split("=") for word in reversed(words) if "=" in word)  # the first counts
        if there["src"].startswith("192.168.") and not there["dst"].startswith("192.168."):
            is_open = words[2] != "tcp" or "ESTABLISHED" in words
            if is_open and "[UNREPLIED]" not in words and "dport" in there:
                found[words[2], there["dst"], there["dport"]] += 1
    return found


def checksums(net: Net, folder: Path) -> tuple[int, int]:
    """Good ones and bad ones, of all that is said while `GIVEN` goes from node to node."""
    to = net.node("node-b").overlay
    with (
        captured(net, ["internet", "node-a", "node-b"], folder) as captures,
        net.lab.popen("node-b", [sys.executable, "-c", TAKE, to], stdout=PIPE) as server,
    ):
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        assert net.run("node-a", sys.executable, "-c", GIVE, to).returncode == 0
    text = "".join(map(read, captures.files.values()))
    return len(GOOD.findall(text)), len(BAD.findall(text))


def read(file: Path) -> str:
    return subprocess.run(
        ["tcpdump", "-nvv", "-r", str(file)], capture_output=True, text=True, check=True
    ).stdout
