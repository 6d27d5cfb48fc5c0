"""TOML tables to a `Topology`: types, units and unknown keys. What spans tables is in `validate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, cast, get_args

from lab.model.bending import LEAST_MTU, MOST_BURST, MOST_MTU, Nonsense, check, parse_icmp
from lab.model.blocks import LINK_LOCAL, NAT64_PREFIX
from lab.model.errors import TopologyError, nearest
from lab.model.link import LinkQuality, Shape
from lab.model.names import parse_hostname, parse_machine_name
from lab.model.nat import PRESETS, Nat, NatError, parse_nat
from lab.model.network import (
    LISTEN_PORT,
    Address,
    Host,
    IPv6Kind,
    Relay,
    Router,
    Topology,
)
from lab.model.overlay import OVERLAY4, OVERLAY6, parse_overlay
from lab.model.port_mapping import parse_protocol
from lab.model.quantity import parse_chance, parse_duration, parse_rate
from lab.model.toml import Table

RUNS = ("node", "wireguard-go", "coturn", "command")  # or "package.module:Class"
KINDS6 = get_args(IPv6Kind)
NO_NAT = PRESETS["open"]
NAT_HINT = 'say which NAT it is: nat = "port-restricted-cone", or nat = "open" for none'


def read(raw: dict[str, Any], file: str, name: str, drawing: str) -> Topology:
    top = Table(file, "", raw)
    topology = Topology(
        file=file,
        name=name,
        title=top.text("title") or name,
        drawing=drawing,
        relays=tuple(_relay(key, table) for key, table in _machines(top, "relay")),
        routers=tuple(_router(key, table) for key, table in _machines(top, "router")),
        hosts=tuple(_host(key, table) for key, table in _machines(top, "host")),
        links={key: _link(table) for key, table in top.tables("link")},
    )
    top.done()
    return topology


def _machines(top: Table, kind: str) -> Iterator[tuple[str, Table]]:
    for name, table in top.tables(kind):
        try:
            yield parse_machine_name(name), table
        except ValueError as error:
            raise TopologyError(top.file, table.key, str(error)) from None


def _relay(name: str, table: Table) -> Relay:
    ipv4, ipv6 = _families(table)
    relay = Relay(
        name=name,
        hostname=table.parsed("hostname", parse_hostname) or f"{name}.derp.example",
        addresses=table.all_parsed("addresses", parse_address),
        args=table.argv("args"),
        ipv4=ipv4,
        ipv6=ipv6,
    )
    table.done()
    for version in (4, 6):
        if (count := sum(each.version == version for each in relay.addresses)) > 1:
            family = f"IPv{version} " if version == 6 else ""
            raise table.error("addresses", f"a relay has one {family}address, not {count}")
    return relay


def _families(table: Table) -> tuple[bool, bool | None]:
    """Which of IPv4 and IPv6 a relay or a host is to have."""
    ipv4, ipv6 = table.boolean("ipv4") is not False, table.boolean("ipv6")
    if not ipv4 and ipv6 is False:
        raise table.error("ipv6", "there is no IPv4 either", "leave one of them")
    return ipv4, ipv6


def _router(name: str, table: Table) -> Router:
    router = Router(
        name=name,
        nat=NO_NAT,
        upstream=table.text("upstream"),
        lan=table.parsed("lan", parse_network),
        addresses=table.all_parsed("addresses", parse_address),
        ipv4=table.boolean("ipv4") is not False,
        ipv6=table.parsed("ipv6", parse_kind6),
        lan6=table.parsed("lan6", parse_network6),
        nat64=table.boolean("nat64") or False,
        port_mapping=table.all_parsed("port_mapping", parse_protocol),
    )
    nat = table.value("nat")
    table.done()  # a misspelt `nat` is told as such
    if router.ipv4:
        router = replace(router, nat=_nat(table, nat))
    if router.port_mapping and router.nat.mapping in ("none", "one-to-one"):
        raise table.error("port_mapping", "does nothing where ports are not translated")
    _check_families(router, table)
    return router


def _nat(table: Table, value: object) -> Nat:
    if value is None:
        raise table.error("nat", "missing", NAT_HINT)
    try:
        return parse_nat(value)
    except NatError as error:
        key = f"{table.key}.{error.key}"
        raise TopologyError(table.file, key, error.problem, error.hint) from None


def _check_families(router: Router, table: Table) -> None:
    if not router.ipv4:
        for name in ("nat", "lan"):
            if name in table.raw:
                raise table.error(name, "does nothing without IPv4")
        if router.ipv6 is None:
            hint = f"say what it does with IPv6: {', '.join(KINDS6)}"
            raise table.error("ipv6", "missing, and there is no IPv4 either", hint)
    if router.ipv6 is None and router.lan6 is not None:
        raise table.error("lan6", "does nothing without IPv6", 'add ipv6 = "firewall"')
    if router.nat64:
        _check_nat64(router, table)


def _check_nat64(router: Router, table: Table) -> None:
    if router.ipv6 is None:
        raise table.error("nat64", "does nothing without IPv6", 'add ipv6 = "firewall"')
    if not router.ipv4:
        raise table.error("nat64", "needs IPv4 on the outside")
    if router.nat.mapping in ("none", "one-to-one"):
        problem = "needs a NAT behind it: the hosts inside share the router's IPv4 address"
        raise table.error("nat64", problem, 'take nat = "port-restricted-cone"')
    if router.port_mapping:
        hint = "put one of the two on a router above"
        raise table.error("nat64", "a router runs one daemon, and port_mapping needs one", hint)


def _host(name: str, table: Table) -> Host:
    ipv4, ipv6 = _families(table)
    host = Host(
        name=name,
        on=table.texts("on"),
        addresses=table.all_parsed("addresses", parse_address),
        runs=_runs(table),
        argv=table.argv("argv"),
        ready=table.text("ready"),
        overlay=table.all_parsed("overlay", parse_overlay),
        listen_port=table.integer("listen_port", 1, 65535) or LISTEN_PORT,
        home=table.text("home"),
        peer_relay=table.boolean("peer_relay") or False,
        args=table.argv("args"),
        ipv4=ipv4,
        ipv6=ipv6,
    )
    table.done()
    if "on" in table.raw and not host.on:
        raise table.error("on", "is empty", "leave it out for a host on the internet")
    _check_daemon(host, table)
    return host


def _runs(table: Table) -> str | None:
    runs = table.text("runs")
    if runs is None or runs in RUNS or all(runs.partition(":")):
        return runs
    raise table.error("runs", f'no daemon is called "{runs}"', nearest(runs, RUNS))


def _check_daemon(host: Host, table: Table) -> None:
    """Keys that would do nothing are mistakes, and so are those that a daemon cannot do without."""
    if host.runs == "command" and not host.argv:
        raise table.error("argv", "missing", 'say what to run: argv = ["iperf3", "-s"]')
    for name in ("argv", "ready"):
        if host.runs != "command" and name in table.raw:
            raise table.error(name, "does nothing here", 'it belongs to runs = "command"')
    if host.runs in ("node", "wireguard-go") and not host.overlay:
        raise table.error("overlay", "missing", 'a node needs one, as in "100.64.1.10"')
    if host.runs != "node" and host.peer_relay:
        raise table.error("peer_relay", "does nothing here", 'it belongs to runs = "node"')
    if host.runs is None:
        for name in ("overlay", "listen_port", "home", "args"):
            if name in table.raw:
                raise table.error(name, "does nothing on a plain host", 'add runs = "node"')


def _link(table: Table) -> LinkQuality:
    both = _shape(table, Shape())
    up, down = (
        _direction(inner, both) if (inner := table.table(way)) else both for way in ("up", "down")
    )
    mtu = table.integer("mtu", LEAST_MTU, MOST_MTU)
    table.done()
    return LinkQuality(up, down, mtu)


def _direction(table: Table, both: Shape) -> Shape:
    shape = _shape(table, both)
    table.done()
    return shape


def _shape(table: Table, base: Shape) -> Shape:
    given: dict[str, Any] = {
        "delay": table.parsed("delay", parse_duration),
        "jitter": table.parsed("jitter", parse_duration),
        "loss": table.parsed("loss", parse_chance),
        "burst": table.integer("burst", 1, MOST_BURST),
        "rate": table.parsed("rate", parse_rate),
        "reorder": table.parsed("reorder", parse_chance),
        "duplicate": table.parsed("duplicate", parse_chance),
        "icmp": table.parsed("icmp", parse_icmp),
    }
    shape = replace(base, **{key: value for key, value in given.items() if value is not None})
    try:
        check(shape)
    except Nonsense as error:
        raise table.error(error.key, error.problem, error.hint) from None
    return shape


def parse_address(text: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f'"{text}" is not an address') from None
    if address.is_multicast or address.is_loopback or address.is_unspecified:
        raise ValueError(f"{address} is not the address of a machine")
    if address.is_link_local or (address.version == 4 and address.is_reserved):
        raise ValueError(f"{address} is not the address of a machine")
    for block in (OVERLAY4, OVERLAY6):
        if address in block:
            raise ValueError(f"{address} lies in the overlay's {block}")
    if address in NAT64_PREFIX:
        raise ValueError(f"{address} lies in {NAT64_PREFIX}, where NAT64 shows IPv4 addresses")
    return address


def parse_network(text: str) -> IPv4Network:
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError(f'"{text}" is not a network such as "192.168.1.0/24"') from None
    if str(network) != text:
        raise ValueError(f'"{text}" is not a network; did you mean "{network}"?')
    if not 8 <= network.prefixlen <= 29:
        raise ValueError(f"{network} has the wrong size; take /8 to /29")
    if network.overlaps(OVERLAY4):
        raise ValueError(f"{network} overlaps the overlay's {OVERLAY4}")
    parse_address(str(network.network_address))
    return network


def parse_network6(text: str) -> IPv6Network:
    try:
        network = IPv6Network(text, strict=False)
    except ValueError:
        raise ValueError(f'"{text}" is not a network such as "2001:db8:1:1::/64"') from None
    if str(network) != text:
        raise ValueError(f'"{text}" is not a network; did you mean "{network}"?')
    if network.prefixlen != 64:
        raise ValueError(f"{network} has the wrong size; a LAN has a /64")
    if network.overlaps(OVERLAY6):
        raise ValueError(f"{network} overlaps the overlay's {OVERLAY6}")
    if network.overlaps(NAT64_PREFIX) or network.overlaps(LINK_LOCAL):
        raise ValueError(f"{network} is not a LAN's: it has a meaning of its own")
    parse_address(str(network.network_address))
    return network


def parse_kind6(text: str) -> IPv6Kind:
    if text not in KINDS6:
        raise ValueError(f'"{text}" is no word for it; {nearest(text, KINDS6)}')
    return cast(IPv6Kind, text)
