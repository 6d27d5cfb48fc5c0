"""Requests about links, addresses and routes in bytes, without their headers: pyroute2 encodes them.

The machines of a lab are much alike, so what is said often is encoded once a form (`lab.world.forms`), and
then only filled in.
"""

from __future__ import annotations

import socket
from functools import cache
from ipaddress import ip_interface, ip_network
from typing import Any

from lab.model.plan import Route
from lab.world.attributes import text
from lab.world.codecs import ifaddrmsg, ifinfmsg, rtmsg
from lab.world.forms import MARKS, Form, mark_address, native
from lab.world.netlink import HEADER_SIZE

_IFNAME = 3  # IFLA_IFNAME
_UP = 0x1
_NO_LINK_LOCAL = 1  # IN6_ADDR_GEN_MODE_NONE
_NO_DAD = 0x02  # duplicate address detection would hold an address back for a second
_ONLINK = 0x4
_MAIN_TABLE, _STATIC, _UNIVERSE, _LINK, _UNICAST = 254, 4, 0, 253, 1
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_OWN, _VIA = 1, 2  # marked addresses


def of_link(attributes: list[tuple[str, Any]], **fields: int) -> bytes:
    return _encoded(ifinfmsg(), attributes, **fields)


def bridge(name: str, index: int, mac: str) -> bytes:
    about = {"attrs": [("IFLA_INFO_KIND", "bridge")]}
    attributes = [("IFLA_IFNAME", name), ("IFLA_ADDRESS", mac), ("IFLA_LINKINFO", about)]
    return of_link(attributes, index=index)


def veth(near: tuple[str, int], far: tuple[str, int], far_namespace: int) -> bytes:
    """Both ends are (interface, index)."""
    form = _veth(len(near[0]), len(far[0]))
    numbers = native(near[1]), native(far[1]), native(far_namespace)
    return form.filled(text(_IFNAME, near[0]), text(_IFNAME, far[0]), *numbers)


def no_link_local(index: int) -> bytes:
    return _no_link_local().filled(native(index))


def link(index: int, up: bool | None, mtu: int | None, master: int | None) -> bytes:
    numbers = [native(value) for value in (index, mtu, master) if value is not None]
    return _link(up, mtu is not None, master is not None).filled(*numbers)


def address(index: int, cidr: str) -> bytes:
    parsed = ip_interface(cidr)
    form = _address(parsed.version, parsed.network.prefixlen)
    return form.filled(native(index), parsed.ip.packed)


def route(wanted: Route, index: int) -> bytes:
    version, destination, prefix = _destination(wanted)
    form = _route(version, prefix, wanted.via is not None, wanted.metric is not None, wanted.onlink)
    values = [native(index)]
    if prefix:
        values.append(destination)
    if wanted.via is not None:
        values.append(socket.inet_pton(_FAMILY[version], wanted.via))
    if wanted.metric is not None:
        values.append(native(wanted.metric))
    return form.filled(*values)


@cache
def _veth(near_length: int, far_length: int) -> Form:
    near, far = "n" * near_length, "f" * far_length
    one, other, namespace = MARKS
    names = [("IFLA_IFNAME", far), ("IFLA_NET_NS_FD", namespace)]
    data = {"attrs": [("VETH_INFO_PEER", {"index": other, "attrs": names})]}
    about = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}
    body = of_link([("IFLA_IFNAME", near), ("IFLA_LINKINFO", about)], index=one)
    return Form.of(body, text(_IFNAME, near), text(_IFNAME, far), *map(native, MARKS))


@cache
def _no_link_local() -> Form:
    mode = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _NO_LINK_LOCAL)]}
    body = of_link([("IFLA_AF_SPEC", {"attrs": [("AF_INET6", mode)]})], index=MARKS[0])
    return Form.of(body, native(MARKS[0]))


@cache
def _link(up: bool | None, mtu: bool, master: bool) -> Form:
    attributes = [("IFLA_MTU", MARKS[1])] * mtu + [("IFLA_MASTER", MARKS[2])] * master
    body = of_link(
        attributes, index=MARKS[0], flags=_UP if up else 0, change=0 if up is None else _UP
    )
    marks = [MARKS[0], *(value for _, value in attributes)]
    return Form.of(body, *map(native, marks))


@cache
def _address(version: int, prefix: int) -> Form:
    own, packed = mark_address(version, _OWN)
    attributes: list[tuple[str, Any]] = [("IFA_LOCAL", own), ("IFA_ADDRESS", own)]
    if version == 6:
        attributes = [("IFA_ADDRESS", own), ("IFA_FLAGS", _NO_DAD)]
    body = _encoded(
        ifaddrmsg(), attributes, family=_FAMILY[version], prefixlen=prefix, index=MARKS[0]
    )
    return Form.of(body, native(MARKS[0]), packed)


@cache
def _route(version: int, prefix: int, via: bool, metric: bool, onlink: bool) -> Form:
    (to, to_packed), (hop, hop_packed) = (mark_address(version, n) for n in (_OWN, _VIA))
    oif, priority, _ = MARKS
    parts: list[tuple[str, Any, bytes, bool]] = [
        ("RTA_OIF", oif, native(oif), True),
        ("RTA_DST", to, to_packed, prefix > 0),
        ("RTA_GATEWAY", hop, hop_packed, via),
        ("RTA_PRIORITY", priority, native(priority), metric),
    ]
    wanted = [part[:3] for part in parts if part[3]]
    body = _encoded(
        rtmsg(),
        [(name, value) for name, value, _ in wanted],
        family=_FAMILY[version],
        dst_len=prefix,
        table=_MAIN_TABLE,
        proto=_STATIC,
        type=_UNICAST,
        scope=_UNIVERSE if via or version == 6 else _LINK,
        flags=_ONLINK if onlink else 0,
    )
    return Form.of(body, *(packed for _, _, packed in wanted))


def _encoded(message: Any, attributes: list[tuple[str, Any]], **fields: int) -> bytes:
    """The message without its header, which is the sender's business."""
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data[HEADER_SIZE:])


def _destination(wanted: Route) -> tuple[int, bytes, int]:
    if wanted.to == "default":
        return 6 if wanted.via and ":" in wanted.via else 4, b"", 0
    network = ip_network(wanted.to)
    return network.version, network.network_address.packed, network.prefixlen
