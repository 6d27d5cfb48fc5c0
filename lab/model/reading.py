"""TOML tables to a `Topology`: types, units and unknown keys. What spans tables is in `validate`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from lab.model.errors import TopologyError, nearest
from lab.model.link import LinkQuality, Shape
from lab.model.names import parse_hostname, parse_machine_name
from lab.model.nat import Nat, NatError, parse_nat
from lab.model.network import LISTEN_PORT, Host, Relay, Router, Topology
from lab.model.overlay import OVERLAY4, parse_overlay
from lab.model.port_mapping import parse_protocol
from lab.model.quantity import parse_chance, parse_duration, parse_rate
from lab.model.toml import Table

RUNS = ("node", "command")  # or "package.module:Class"
NAT_HINT = 'say which NAT it is: nat = "port-restricted-cone", or nat = "open" for none'
MOST_BURST = 1000  # packets: beyond that it is an outage, not loss
LEAST_MTU, MOST_MTU = 576, 65535  # RFC 791 §3.2: the least that every host takes


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
    addresses = table.all_parsed("addresses", parse_address)
    if len(addresses) > 1:
        raise table.error("addresses", f"a relay has one address, not {len(addresses)}")
    relay = Relay(
        name=name,
        hostname=table.parsed("hostname", parse_hostname) or f"{name}.derp.example",
        address=addresses[0] if addresses else None,
        args=table.argv("args"),
    )
    table.done()
    return relay


def _router(name: str, table: Table) -> Router:
    router = Router(
        name=name,
        nat=_nat(table),
        upstream=table.text("upstream"),
        lan=table.parsed("lan", parse_network),
        addresses=table.all_parsed("addresses", parse_address),
        port_mapping=table.all_parsed("port_mapping", parse_protocol),
    )
    table.done()
    if router.port_mapping and router.nat.mapping in ("none", "one-to-one"):
        raise table.error("port_mapping", "does nothing where ports are not translated")
    return router


def _nat(table: Table) -> Nat:
    value = table.value("nat")
    if value is None:
        table.done()  # a misspelt `nat` is told as such
        raise table.error("nat", "missing", NAT_HINT)
    try:
        return parse_nat(value)
    except NatError as error:
        key = f"{table.key}.{error.key}"
        raise TopologyError(table.file, key, error.problem, error.hint) from None


def _host(name: str, table: Table) -> Host:
    host = Host(
        name=name,
        on=table.texts("on"),
        addresses=table.all_parsed("addresses", parse_address),
        runs=_runs(table),
        argv=table.argv("argv"),
        overlay=table.all_parsed("overlay", parse_overlay),
        listen_port=table.integer("listen_port", 1, 65535) or LISTEN_PORT,
        home=table.text("home"),
        args=table.argv("args"),
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
    if host.runs != "command" and host.argv:
        raise table.error("argv", "does nothing here", 'it belongs to runs = "command"')
    if host.runs == "node" and not host.overlay:
        raise table.error("overlay", "missing", 'a node needs one, as in "100.64.1.10"')
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
    }
    shape = replace(base, **{key: value for key, value in given.items() if value is not None})
    if shape.jitter > shape.delay:
        raise table.error("jitter", "is longer than the delay that it varies")
    if shape.burst > 1 and not shape.loss:
        raise table.error("burst", "does nothing without loss")
    if shape.reorder and not shape.delay:
        raise table.error("reorder", "does nothing without a delay")
    return shape


def parse_address(text: str) -> IPv4Address:
    try:
        address = IPv4Address(text)
    except ValueError:
        raise ValueError(f'"{text}" is not an IPv4 address') from None
    if address.is_multicast or address.is_loopback or address.is_unspecified:
        raise ValueError(f"{address} is not the address of a machine")
    if address.is_link_local or address.is_reserved:
        raise ValueError(f"{address} is not the address of a machine")
    if address in OVERLAY4:
        raise ValueError(f"{address} lies in the overlay's {OVERLAY4}")
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
