"""What is said to the kernel about links, addresses and routes: one function, one request.

Every index is ours to choose (lo is 1), so nothing is ever looked up; the far end of a veth is born in its
own namespace, so nothing is ever moved. Moving a link between namespaces costs thirty times its making.

The machines of a lab are much alike, so most bodies are encoded once and said many times.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from ipaddress import ip_interface, ip_network
from typing import Any

from lab.model.plan import Interface, Route
from lab.world.codecs import ifaddrmsg, ifinfmsg, rtmsg
from lab.world.netlink import HEADER_SIZE, Request

LOOPBACK = 1

_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 20, 24
_DELETE_ADDRESS, _DELETE_ROUTE = 21, 25
_CREATE = 0x400 | 0x200  # NLM_F_CREATE | NLM_F_EXCL
_REPLACE = 0x400 | 0x100  # NLM_F_CREATE | NLM_F_REPLACE
_UP = 0x1
_NO_LINK_LOCAL = 1  # IN6_ADDR_GEN_MODE_NONE
_NO_DAD = 0x02  # duplicate address detection would hold an address back for a second
_ONLINK = 0x4
_MAIN_TABLE, _STATIC, _UNIVERSE, _LINK, _UNICAST = 254, 4, 0, 253, 1
_KEPT = 4096  # encoded bodies


def bridge(machine: str, interface: Interface, index: int) -> Request:
    body = _bridge(interface.name, index)
    return Request(body, _NEW_LINK, _CREATE, f"{machine}: the bridge {interface.name}")


def veth(near: tuple[str, str, int], far: tuple[str, str, int], far_namespace: int) -> Request:
    """Both ends are (machine, interface, index); sent in the near end's namespace."""
    peer = {
        "index": far[2],
        "attrs": [("IFLA_IFNAME", far[1]), ("IFLA_NET_NS_FD", far_namespace)],
    }
    data = {"attrs": [("VETH_INFO_PEER", peer)]}
    about = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}
    body = _encoded(ifinfmsg(), [("IFLA_IFNAME", near[1]), ("IFLA_LINKINFO", about)], index=near[2])
    does = f"{near[0]}: the wire from {near[1]} to {far[1]} of {far[0]}"
    return Request(body, _NEW_LINK, _CREATE, does)


def no_link_local(machine: str, name: str, index: int) -> Request:
    """No IPv6 address of its own making; it has to be said before the link is up."""
    does = f"{machine}: {name} without link-local addresses"
    return Request(_no_link_local(index), _NEW_LINK, 0, does)


def link(
    machine: str,
    name: str,
    index: int,
    *,
    up: bool | None = None,
    mtu: int | None = None,
    master: int | None = None,
) -> Request:
    state = "" if up is None else " up" if up else " down"
    body = _link(index, up, mtu, master)
    return Request(body, _NEW_LINK, 0, f"{machine}: setting {name}{state}")


def hardware_address(machine: str, name: str, index: int, mac: bytes) -> Request:
    """A bridge whose address was set keeps it; else it has the lowest of its ports'."""
    text = mac.hex(":")
    body = _encoded(ifinfmsg(), [("IFLA_ADDRESS", text)], index=index)
    return Request(body, _NEW_LINK, 0, f"{machine}: the hardware address of {name}")


def move(machine: str, name: str, index: int, to: str, namespace: int, new_index: int) -> Request:
    """The interface leaves for another namespace, down and without addresses, under a number chosen there."""
    attributes = [("IFLA_NET_NS_FD", namespace), ("IFLA_NEW_IFINDEX", new_index)]
    body = _encoded(ifinfmsg(), attributes, index=index)
    return Request(body, _NEW_LINK, 0, f"{machine}: moving {name} to {to}")


def super_packets(machine: str, name: str, index: int, most: int) -> Request:
    """How many packets may leave as one. With 1 each is by itself, also for who counts or loses them."""
    body = _encoded(ifinfmsg(), [("IFLA_GSO_MAX_SEGS", most)], index=index)
    return Request(body, _NEW_LINK, 0, f"{machine}: super-packets of {name}")


def address(machine: str, name: str, index: int, text: str) -> Request:
    does = f"{machine}: the address {text} of {name}"
    return Request(_address(index, text), _NEW_ADDRESS, _REPLACE, does)


def without_address(machine: str, name: str, index: int, text: str) -> Request:
    does = f"{machine}: {name} without the address {text}"
    return Request(_address(index, text), _DELETE_ADDRESS, 0, does)


def without_route(machine: str, gone: Route, index: int) -> Request:
    does = f"{machine}: no route to {gone.to} on {gone.dev}"
    return Request(_route(gone, index), _DELETE_ROUTE, 0, does)


def route(machine: str, wanted: Route, index: int) -> Request:
    through = f" via {wanted.via}" if wanted.via else ""
    does = f"{machine}: the route to {wanted.to}{through} on {wanted.dev}"
    return Request(_route(wanted, index), _NEW_ROUTE, _REPLACE, does)


@lru_cache(_KEPT)
def _bridge(name: str, index: int) -> bytes:
    about = {"attrs": [("IFLA_INFO_KIND", "bridge")]}
    return _encoded(ifinfmsg(), [("IFLA_IFNAME", name), ("IFLA_LINKINFO", about)], index=index)


@lru_cache(_KEPT)
def _no_link_local(index: int) -> bytes:
    mode = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _NO_LINK_LOCAL)]}
    return _encoded(ifinfmsg(), [("IFLA_AF_SPEC", {"attrs": [("AF_INET6", mode)]})], index=index)


@lru_cache(_KEPT)
def _link(index: int, up: bool | None, mtu: int | None, master: int | None) -> bytes:
    attributes = [("IFLA_MTU", mtu), ("IFLA_MASTER", master)]
    return _encoded(
        ifinfmsg(),
        [(name, value) for name, value in attributes if value is not None],
        index=index,
        flags=_UP if up else 0,
        change=0 if up is None else _UP,
    )


@lru_cache(_KEPT)
def _address(index: int, text: str) -> bytes:
    parsed = ip_interface(text)
    own = str(parsed.ip)
    attributes: list[tuple[str, Any]] = [("IFA_LOCAL", own), ("IFA_ADDRESS", own)]
    if parsed.version == 6:
        attributes = [("IFA_ADDRESS", own), ("IFA_FLAGS", _NO_DAD)]
    return _encoded(
        ifaddrmsg(),
        attributes,
        family=_family(parsed.version),
        prefixlen=parsed.network.prefixlen,
        index=index,
    )


@lru_cache(_KEPT)
def _route(wanted: Route, index: int) -> bytes:
    version, destination, prefix = _destination(wanted)
    attributes: list[tuple[str, Any]] = [("RTA_OIF", index)]
    if prefix:
        attributes.append(("RTA_DST", destination))
    if wanted.via is not None:
        attributes.append(("RTA_GATEWAY", wanted.via))
    if wanted.metric is not None:
        attributes.append(("RTA_PRIORITY", wanted.metric))
    return _encoded(
        rtmsg(),
        attributes,
        family=_family(version),
        dst_len=prefix,
        table=_MAIN_TABLE,
        proto=_STATIC,
        type=_UNICAST,
        scope=_UNIVERSE if wanted.via or version == 6 else _LINK,
        flags=_ONLINK if wanted.onlink else 0,
    )


def _encoded(message: Any, attributes: list[tuple[str, Any]], **fields: int) -> bytes:
    """The message without its header, which is the sender's business."""
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = attributes
    message.encode()
    return bytes(message.data[HEADER_SIZE:])


def _destination(wanted: Route) -> tuple[int, str, int]:
    if wanted.to == "default":
        version = 6 if wanted.via and ":" in wanted.via else 4
        return version, "", 0
    network = ip_network(wanted.to)
    return network.version, str(network.network_address), network.prefixlen


def _family(version: int) -> int:
    return socket.AF_INET6 if version == 6 else socket.AF_INET
