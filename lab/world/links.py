"""What is said to the kernel about links, addresses and routes: one function, one request.

Every index is ours to choose (lo is 1), so nothing is ever looked up; the far end of a veth is born in its
own namespace, so nothing is ever moved. Moving a link between namespaces costs thirty times its making.
"""

from __future__ import annotations

import socket
from ipaddress import ip_interface, ip_network

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from lab.model.plan import Interface, Route
from lab.world.netlink import Request

LOOPBACK = 1

_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 20, 24
_CREATE = 0x400 | 0x200  # NLM_F_CREATE | NLM_F_EXCL
_REPLACE = 0x400 | 0x100  # NLM_F_CREATE | NLM_F_REPLACE
_UP = 0x1
_NO_LINK_LOCAL = 1  # IN6_ADDR_GEN_MODE_NONE
_NO_DAD = 0x02  # duplicate address detection would hold an address back for a second
_ONLINK = 0x4
_MAIN_TABLE, _STATIC, _UNIVERSE, _LINK, _UNICAST = 254, 4, 0, 253, 1


def bridge(machine: str, interface: Interface, index: int) -> Request:
    message = ifinfmsg()
    message["index"] = index
    message["attrs"] = [
        ("IFLA_IFNAME", interface.name),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]}),
    ]
    return Request(message, _NEW_LINK, _CREATE, f"{machine}: the bridge {interface.name}")


def veth(near: tuple[str, str, int], far: tuple[str, str, int], far_namespace: int) -> Request:
    """Both ends are (machine, interface, index); sent in the near end's namespace."""
    peer = {
        "index": far[2],
        "attrs": [("IFLA_IFNAME", far[1]), ("IFLA_NET_NS_FD", far_namespace)],
    }
    message = ifinfmsg()
    message["index"] = near[2]
    message["attrs"] = [
        ("IFLA_IFNAME", near[1]),
        (
            "IFLA_LINKINFO",
            {
                "attrs": [
                    ("IFLA_INFO_KIND", "veth"),
                    ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", peer)]}),
                ]
            },
        ),
    ]
    does = f"{near[0]}: the wire from {near[1]} to {far[1]} of {far[0]}"
    return Request(message, _NEW_LINK, _CREATE, does)


def no_link_local(machine: str, name: str, index: int) -> Request:
    """No IPv6 address of its own making; it has to be said before the link is up."""
    message = ifinfmsg()
    message["index"] = index
    mode = ("IFLA_INET6_ADDR_GEN_MODE", _NO_LINK_LOCAL)
    message["attrs"] = [("IFLA_AF_SPEC", {"attrs": [("AF_INET6", {"attrs": [mode]})]})]
    return Request(message, _NEW_LINK, 0, f"{machine}: {name} without link-local addresses")


def link(
    machine: str,
    name: str,
    index: int,
    *,
    up: bool | None = None,
    mtu: int | None = None,
    master: int | None = None,
) -> Request:
    message = ifinfmsg()
    message["index"] = index
    if up is not None:
        message["flags"] = _UP if up else 0
        message["change"] = _UP
    attributes: list[tuple[str, int]] = []
    if mtu is not None:
        attributes.append(("IFLA_MTU", mtu))
    if master is not None:
        attributes.append(("IFLA_MASTER", master))
    message["attrs"] = attributes
    state = "" if up is None else " up" if up else " down"
    return Request(message, _NEW_LINK, 0, f"{machine}: setting {name}{state}")


def address(machine: str, name: str, index: int, text: str) -> Request:
    parsed = ip_interface(text)
    message = ifaddrmsg()
    message["family"] = _family(parsed.version)
    message["prefixlen"] = parsed.network.prefixlen
    message["index"] = index
    own = str(parsed.ip)
    message["attrs"] = [("IFA_LOCAL", own), ("IFA_ADDRESS", own)]
    if parsed.version == 6:
        message["attrs"] = [("IFA_ADDRESS", own), ("IFA_FLAGS", _NO_DAD)]
        message["flags"] = _NO_DAD
    return Request(message, _NEW_ADDRESS, _REPLACE, f"{machine}: the address {text} of {name}")


def route(machine: str, wanted: Route, index: int) -> Request:
    version, destination, prefix = _destination(wanted)
    message = rtmsg()
    message["family"] = _family(version)
    message["dst_len"] = prefix
    message["table"] = _MAIN_TABLE
    message["proto"] = _STATIC
    message["type"] = _UNICAST
    message["scope"] = _UNIVERSE if wanted.via or version == 6 else _LINK
    message["flags"] = _ONLINK if wanted.onlink else 0
    attributes: list[tuple[str, str | int]] = [("RTA_OIF", index)]
    if prefix:
        attributes.append(("RTA_DST", destination))
    if wanted.via is not None:
        attributes.append(("RTA_GATEWAY", wanted.via))
    if wanted.metric is not None:
        attributes.append(("RTA_PRIORITY", wanted.metric))
    message["attrs"] = attributes
    through = f" via {wanted.via}" if wanted.via else ""
    does = f"{machine}: the route to {wanted.to}{through} on {wanted.dev}"
    return Request(message, _NEW_ROUTE, _REPLACE, does)


def _destination(wanted: Route) -> tuple[int, str, int]:
    if wanted.to == "default":
        version = 6 if wanted.via and ":" in wanted.via else 4
        return version, "", 0
    network = ip_network(wanted.to)
    return network.version, str(network.network_address), network.prefixlen


def _family(version: int) -> int:
    return socket.AF_INET6 if version == 6 else socket.AF_INET
