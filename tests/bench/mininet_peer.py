"""Run by Debian's own Python: mininet builds core, site routers and hosts with plain routes, and says
how long that took. Its limits on the whole machine are left alone."""

import json
import sys
import time
from typing import Any

import mininet.util

mininet.util.fixLimits = lambda: None

import mininet.net  # noqa: E402  (after fixLimits is out of the way)
from mininet.node import Node  # noqa: E402

mininet.net.fixLimits = lambda: None


class Router(Node):  # type: ignore[misc]  # mininet is untyped
    def config(self, **params: Any) -> None:
        super().config(**params)
        self.cmd("sysctl -w net.ipv4.ip_forward=1")


def build(hosts: int, hosts_a_site: int) -> Any:
    net = mininet.net.Mininet(build=False, controller=None)
    core = net.addHost("core", cls=Router, ip=None)
    routes = []
    for site in range(hosts // hosts_a_site):
        router = net.addHost(f"r{site}", cls=Router, ip=None)
        a, b = site // 64, 4 * (site % 64)
        net.addLink(
            core,
            router,
            params1={"ip": f"10.200.{a}.{b + 1}/30"},
            params2={"ip": f"10.200.{a}.{b + 2}/30"},
        )
        routes.append((core, f"ip route add 10.{site}.0.0/16 via 10.200.{a}.{b + 2}"))
        routes.append((router, f"ip route add default via 10.200.{a}.{b + 1}"))
        for n in range(hosts_a_site):
            host = net.addHost(
                f"h{site}x{n}", ip=f"10.{site}.{n}.2/24", defaultRoute=f"via 10.{site}.{n}.1"
            )
            net.addLink(
                router,
                host,
                params1={"ip": f"10.{site}.{n}.1/24"},
                params2={"ip": f"10.{site}.{n}.2/24"},
            )
    net.build()
    for node, command in routes:
        node.cmd(command)
    return net


def main() -> None:
    hosts, hosts_a_site = map(int, sys.argv[1:])
    start = time.monotonic()
    net = build(hosts, hosts_a_site)
    up = time.monotonic() - start
    last = net.hosts[-1]
    first = net.get("h0x0")
    if "1 received" not in last.cmd(f"ping -c1 -W5 {first.IP()}"):
        sys.exit("mininet: the last host does not reach the first")
    start = time.monotonic()
    net.stop()
    print(json.dumps({"up": 1000 * up, "down": 1000 * (time.monotonic() - start)}))


main()
