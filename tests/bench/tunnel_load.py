"""Inside the namespaces of `tunnel`: builds the street, starts every way, loads them in turn.

    a --- 10.8.0.0/24 --- b          each way has its own interface, port and overlay addresses
     \\                    /
      10.8.1.x -- r -- 10.8.2.x      the relay, used when the street between a and b is shut

One JSON line a measurement. This process is the first of its PID namespace: all others end with it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.keys import NodePrivate
from tests.bench.inside import come_first
from tests.bench.iperf import NoStream, received

MTU = 1420
SECONDS = 2  # of each load; iperf3 takes whole ones
PATIENCE = 20.0
ENDS = ("a", "b")
RELAY, RELAY_ADDRESS = "nyc.derp.example", "10.8.3.1"
RELAYED = "relayed"
TICKS = os.sysconf("SC_CLK_TCK")
ANOTHER = "PUNCHLAB_BENCH_WIREGUARD_GO"  # the path of another wireguard-go, if there is one
IPERF: dict[str, list[str]] = {
    "tcp": [],
    "tcp4": ["-P", "4"],
    "both": ["--bidir"],
    "tcp6": [],
    "udp": ["-u", "-l", "1360", "-b", "2G"],  # more than any way carries, or it is this that counts
    RELAYED: [],
}


@dataclass
class Way:
    name: str
    number: int
    start: Callable[[Way, Path], None]
    pids: list[int] = field(default_factory=list)
    can_relay: bool = True

    @property
    def port(self) -> int:
        return 5500 + self.number

    def address(self, end: str, family: int = 4) -> str:
        host = ENDS.index(end) + 1
        return f"100.64.{self.number}.{host}" if family == 4 else f"fd7a::{self.number}:{host}"

    @property
    def cpu(self) -> float:
        """Seconds, of both daemons, user and system."""
        total = 0
        for pid in self.pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    @property
    def resident(self) -> float:
        """MB, of the larger one."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids]
        return max(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def sh(command: str, text: str | None = None) -> str:
    found = subprocess.run(
        command, shell=True, check=True, text=True, input=text, stdout=subprocess.PIPE
    )
    return str(found.stdout)


def inside(end: str, argv: list[str]) -> list[str]:
    return ["ip", "netns", "exec", end, *argv]


def build() -> None:
    sh("mount --make-rprivate / && mkdir -p /run/netns /run/wireguard")
    sh("mount -t tmpfs t /run/netns && mount -t tmpfs t /run/wireguard")
    for name in (*ENDS, "r"):
        sh(f"ip netns add {name} && ip -n {name} link set lo up")
    for one, other, network in (("a", "b", 0), ("a", "r", 1), ("b", "r", 2)):
        sh(f"ip -n {one} link add to-{other} type veth peer name to-{one} netns {other}")
        for host, (here, there) in enumerate(((one, other), (other, one)), 1):
            sh(f"ip -n {here} addr add 10.8.{network}.{host}/24 dev to-{there}")
            sh(f"ip -n {here} link set to-{there} up")
    sh(f"ip -n r addr add {RELAY_ADDRESS}/32 dev lo")
    for number, end in enumerate(ENDS, 1):
        sh(f"ip -n {end} route add {RELAY_ADDRESS} via 10.8.{number}.2")


def start_relay(folder: Path) -> dict[str, Any]:
    argv = [sys.executable, "-m", "node", "derper", "--hostname", RELAY, "--self-signed"]
    argv += ["--listen", f"{RELAY_ADDRESS}:443"]
    out = subprocess.Popen(inside("r", argv), stdout=subprocess.PIPE, text=True).stdout
    assert out is not None
    ready = json.loads(out.readline())
    assert ready["event"] == "ready", ready
    node = {"Name": "900a", "RegionID": 900, "HostName": RELAY, "IPv4": RELAY_ADDRESS}
    node["CertName"] = ready["cert_name"]
    region = {"RegionID": 900, "RegionCode": "nyc", "RegionName": "nyc", "Nodes": [node]}
    return {"Regions": {"900": region}}


def start_nodes(way: Way, folder: Path) -> None:
    keys = {end: NodePrivate.from_seed(os.urandom(32)) for end in ENDS}
    relays = json.loads((folder / "relays.json").read_text())
    for end, other in (ENDS, ENDS[::-1]):
        addresses = {each: [way.address(each), way.address(each, 6)] for each in ENDS}
        nets = [f"{way.address(other)}/32", f"{way.address(other, 6)}/128"]
        peer = {"name": other, "node_key": str(keys[other].public), "home_region": 900}
        peer |= {"addresses": addresses[other], "allowed_ips": nets}
        netmap = {"name": end, "addresses": addresses[end], "mtu": MTU, "peers": [peer]}
        place = folder / f"{way.number}{end}"
        place.mkdir()
        (place / "netmap.json").write_text(json.dumps({**netmap, "derp_map": relays}))
        (place / "key").write_text(keys[end].to_file_text())
        argv = [sys.executable, "-m", "node", "up", "--netmap", f"{place}/netmap.json"]
        argv += ["--key", f"{place}/key", "--tun", f"ts{way.number}", "--data-path", way.name]
        argv += ["--control", f"{place}/sock", "--listen-port", str(way.port)]
        argv += ["--events", f"{place}/events"]
        started = subprocess.Popen(inside(end, argv), stderr=(place / "errors").open("w"))
        way.pids.append(started.pid)


def start_wireguard_go(program: str) -> Callable[[Way, Path], None]:
    def start(way: Way, folder: Path) -> None:
        private = {end: sh("wg genkey").strip() for end in ENDS}
        public = {end: sh("wg pubkey", key).strip() for end, key in private.items()}
        for end, other in (ENDS, ENDS[::-1]):
            device = f"wg{way.number}{end}"
            quiet = {**os.environ, "LOG_LEVEL": "error", "WG_PROCESS_FOREGROUND": "1"}
            started = subprocess.Popen(
                inside(end, [program, "-f", device]), env=quiet, stdout=sys.stderr
            )
            way.pids.append(started.pid)
            until(lambda device=device: Path(f"/run/wireguard/{device}.sock").exists())  # type: ignore[misc]
            nets = f"{way.address(other)}/32,{way.address(other, 6)}/128"
            there = f"10.8.0.{ENDS.index(other) + 1}:{way.port}"
            settings = f"listen-port {way.port} private-key /dev/stdin peer {public[other]}"
            settings += f" allowed-ips {nets} endpoint {there}"
            sh(f"ip netns exec {end} wg set {device} {settings}", private[end])
            sh(f"ip -n {end} addr add {way.address(end)}/32 dev {device}")
            sh(f"ip -n {end} addr add {way.address(end, 6)}/128 dev {device} nodad")
            sh(f"ip -n {end} link set {device} mtu {MTU} up")
            for net in nets.split(","):
                sh(f"ip -n {end} route add {net} dev {device}")

    return start


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


def wake(way: Way, folder: Path, kind: str) -> None:
    """Until the path is of that kind, and the loop around the cipher is loaded."""

    def awake() -> bool:
        with suppress(NoStream):
            ping(way, 3, 0.01)
        if way.name.startswith("wireguard-go"):
            return True
        argv = [sys.executable, "-m", "node", "status", "--json", "--control"]
        for end in ENDS:
            ask = [*argv, f"{folder}/{way.number}{end}/sock"]
            done = subprocess.run(ask, capture_output=True, text=True, check=False)
            status = json.loads(done.stdout) if done.returncode == 0 else None
            if status is None or way.name not in status["data_path"]:
                return False
            if status["peers"][0]["kind"] != kind:
                return False
        return True

    until(awake)


def ping(way: Way, count: int, interval: float) -> float:
    """The average round trip, in ms."""
    words = ["ping", "-q", "-c", str(count), "-i", str(interval), "-W", "1", way.address("b")]
    done = subprocess.run(inside("a", words), capture_output=True, text=True, check=False)
    line = done.stdout.strip().splitlines()[-1] if done.returncode == 0 else ""
    if "/" not in line:
        raise NoStream("ping: no reply")
    return float(line.split("/")[4])


def load(way: Way, kind: str) -> dict[str, float]:
    if kind == "ping":
        return {"value": ping(way, 150, 0.02)}
    before = way.cpu
    bits = stream(way, kind)
    total = bits * (2 if kind == "both" else 1) * SECONDS / 8e9
    return {"value": bits / 1e9, "cpu": (way.cpu - before) / total}


def stream(way: Way, kind: str) -> float:
    """Bits a second. A server for each, because one whose client was given up is busy for long."""
    to = way.address("b", 6 if kind == "tcp6" else 4)
    argv = ["iperf3", "-J", "-c", to, "-t", str(SECONDS), *IPERF[kind]]
    argv += [] if kind == "udp" else ["-C", "cubic"]
    serve = inside("b", ["iperf3", "-s", "-1", "--forceflush"])
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            next(line for line in server.stdout if "listening" in line)
            done = subprocess.run(
                inside("a", argv), capture_output=True, text=True, timeout=PATIENCE
            )
            return received(done.stdout)
        except subprocess.TimeoutExpired:
            raise NoStream(f"iperf3: no answer within {PATIENCE:.0f} s") from None
        finally:
            server.kill()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", default=",".join(ways_here()))
    parser.add_argument("--loads", default=",".join([*IPERF, "ping"]))
    arguments = parser.parse_args()
    kinds = arguments.loads.split(",")
    come_first()
    build()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "relays.json").write_text(json.dumps(start_relay(folder)))
        ways = []
        for number, name in enumerate(arguments.ways.split(","), 1):
            go = name.startswith("wireguard-go")
            program = os.environ[ANOTHER] if name == "wireguard-go given" else "wireguard-go"
            start = start_wireguard_go(program) if go else start_nodes
            ways.append(Way(name, number, start, can_relay=not go))
        for way in ways:
            way.start(way, folder)
        for way in ways:
            wake(way, folder, "direct")
        for _ in range(arguments.rounds):
            for kind in kinds:
                if kind != RELAYED:
                    turn(ways, kind)
        if RELAYED in kinds:
            sh("ip -n a link set to-b down")
            relayed = [way for way in ways if way.can_relay]
            for way in relayed:
                wake(way, folder, "relay")
            for _ in range(arguments.rounds):
                turn(relayed, RELAYED)
        print(json.dumps({"rss": {way.name: way.resident for way in ways}}), flush=True)


def ways_here() -> list[str]:
    given = ["wireguard-go given"] if ANOTHER in os.environ else []
    return ["wireguard-go", *given, "numpy", "c"]


def turn(ways: list[Way], kind: str) -> None:
    for way in ways:
        try:
            found = load(way, kind)
        except NoStream as problem:
            print(f"{kind} by {way.name}: not counted: {problem}", file=sys.stderr)
        else:
            print(json.dumps({"load": kind, "way": way.name, **found}), flush=True)


if __name__ == "__main__":
    main()
