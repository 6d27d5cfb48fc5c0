"""Inside the namespaces of `startup`: one relay, and a node started again and again. A JSON line a round."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from node.keys import NodePrivate
from tests.bench.inside import come_first

RELAY, ADDRESS = "nyc.derp.example", "127.0.0.1"


def start_relay() -> tuple[IO[str], dict[str, Any]]:
    """Its events, and the DERP map that has it."""
    argv = [sys.executable, "-m", "node", "derper", "--hostname", RELAY, "--self-signed"]
    argv += ["--listen", f"{ADDRESS}:443"]
    events = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True).stdout
    assert events is not None
    ready = first(events, "ready")
    node = {"Name": "900a", "RegionID": 900, "HostName": RELAY, "IPv4": ADDRESS}
    node["CertName"] = ready["cert_name"]
    region = {"RegionID": 900, "RegionCode": "nyc", "RegionName": "nyc", "Nodes": [node]}
    return events, {"Regions": {"900": region}}


def first(events: IO[str], name: str) -> dict[str, Any]:
    for line in events:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == name:
            return event
    raise EOFError(f"the end, and no {name}")


def bare_python() -> float:
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", ""], check=True)
    return time.monotonic() - start


def one_start(folder: Path, relay: IO[str]) -> dict[str, float]:
    argv = [sys.executable, "-m", "node", "up", "--netmap", f"{folder}/netmap.json"]
    argv += ["--key", f"{folder}/key", "--tun", "ts0", "--control", f"{folder}/sock"]
    start = time.monotonic()
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as node:
        assert node.stdout is not None
        frame = first(relay, "client_connected")["at"]
        ready = first(node.stdout, "ready")["at"]
        node.terminate()
    first(relay, "client_gone")
    return {"frame": frame - start, "ready": ready - start}


def main() -> None:
    come_first()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    relay, derp_map = start_relay()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "key").write_text(NodePrivate.from_seed(os.urandom(32)).to_file_text())
        netmap = {"name": "a", "addresses": ["100.64.1.10"], "peers": [], "derp_map": derp_map}
        (folder / "netmap.json").write_text(json.dumps(netmap))
        one_start(folder, relay)  # the files are read from the disk once
        for _ in range(int(sys.argv[1])):
            times = {"python": bare_python(), **one_start(folder, relay)}
            print(json.dumps({name: 1000 * each for name, each in times.items()}), flush=True)


if __name__ == "__main__":
    main()
