"""TCP through the tunnel over a link that loses and reorders, beside wireguard-go on the same link.

Each pair of hosts is joined by the internet of a lab, where each end loses 1 % and delays by 10 ms, give or
take 2.5, so that 2 % are lost and what follows closely is overtaken. What TCP makes of that is its own
congestion control's matter; a tunnel can only make it worse. One stream has more or less luck with
its losses than a tunnel could make up for; of eight at once it averages out.
"""

from __future__ import annotations

from collections import defaultdict

from lab.client import Lab
from lab.model.topology import loads
from tests.bench.figures import Table, median
from tests.bench.iperf import received

SECONDS, STREAMS = 5, 8
WAYS = {"wireguard-go": "g", "plain": "p", "numpy": "n", "c": "c"}
LINK = 'delay = "10ms"\njitter = "2.5ms"\nloss = "1%"\nreorder = "2%"\n'
PATIENCE = 30.0


def topology() -> str:
    lines = ['title = "a link that loses"', "[relay.nyc]", 'hostname = "nyc.derp.example"']
    for number, (way, letter) in enumerate(WAYS.items(), 1):
        for end in (1, 2):
            lines += [f"[host.{letter}{end}]", f'overlay = "100.64.{number}.{end}"']
            if way == "wireguard-go":
                lines += ['runs = "wireguard-go"', "listen_port = 51820"]
            else:
                lines += ['runs = "node"', f'args = ["--data-path", "{way}"]']
            lines += [f"[link.{letter}{end}]", LINK]
    return "\n".join(lines)


def measure(rounds: int) -> Table:
    found: dict[str, list[float]] = defaultdict(list)
    lab = Lab.up(loads(topology(), "lossy.toml"), "lossy", tied=True)
    try:
        for letter in WAYS.values():
            lab.popen(f"{letter}2", ["iperf3", "-s", "-D"]).wait()
            lab.run(f"{letter}1", ["ping", "-c5", "-i0.2", overlay(letter)], timeout=PATIENCE)
            if letter != WAYS["wireguard-go"]:
                lab.wait_for_path(f"{letter}1", f"{letter}2", "direct", within=PATIENCE)
        for _ in range(rounds):
            for way, letter in WAYS.items():
                found[way].append(stream(lab, letter))
    finally:
        lab.down()
    table = Table(
        f"TCP over a link of 20 ms, with 2 % lost and some overtaken, {STREAMS} streams (medians)",
        ["way", "Mb/s", "from - to", "x wireguard-go"],
    )
    base = median(found["wireguard-go"])
    for way, rates in found.items():
        middle, reach = median(rates), f"{min(rates):.2f} - {max(rates):.2f}"
        table.add([way, f"{middle:.2f}", reach, f"{middle / base:.2f}"])
        if way != "wireguard-go":
            what = f"TCP over a link that loses, {way}: of wireguard-go"
            table.at_least(1.0, "x", what, middle / base)
    return table


def overlay(letter: str) -> str:
    return f"100.64.{list(WAYS.values()).index(letter) + 1}.2"


def stream(lab: Lab, letter: str) -> float:
    """Mb/s, as received."""
    argv = ["iperf3", "-J", "-C", "cubic", "-t", str(SECONDS), "-P", str(STREAMS)]
    done = lab.run(f"{letter}1", [*argv, "-c", overlay(letter)], timeout=PATIENCE)
    return received(done.stdout) / 1e6
