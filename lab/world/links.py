"""What is said to the kernel about links, addresses and routes: one function, one request.

Every index is ours to choose (lo is 1), so nothing is ever looked up; the far end of a veth is born in its
own namespace, so nothing is ever moved. Moving a link between namespaces costs thirty times its making.

What a request is in bytes is in `lab.world.bodies`.
"""

from __future__ import annotations

from hashlib import blake2b

from lab.model.plan import Interface, Route
from lab.world import bodies
from lab.world.netlink import Request

LOOPBACK = 1

_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 20, 24
_DELETE_ADDRESS, _DELETE_ROUTE = 21, 25
_CREATE = 0x400 | 0x200  # NLM_F_CREATE | NLM_F_EXCL
_REPLACE = 0x400 | 0x100  # NLM_F_CREATE | NLM_F_REPLACE


def bridge(machine: str, interface: Interface, index: int) -> Request:
    """With an address of its own: else it has the lowest of its ports', which changes as they come and
    go, and its neighbours would not know."""
    body = bodies.bridge(interface.name, index, _mac_of(machine, interface.name))
    return Request(body, _NEW_LINK, _CREATE, f"{machine}: the bridge {interface.name}")


def _mac_of(machine: str, name: str) -> str:
    """Locally administered, and the same in every lab (RFC 7042 §2.1)."""
    return (b"\x02" + blake2b(f"{machine} {name}".encode(), digest_size=5).digest()).hex(":")


def veth(near: tuple[str, str, int], far: tuple[str, str, int], far_namespace: int) -> Request:
    """Both ends are (machine, interface, index); sent in the near end's namespace."""
    body = bodies.veth(near[1:], far[1:], far_namespace)
    does = f"{near[0]}: the wire from {near[1]} to {far[1]} of {far[0]}"
    return Request(body, _NEW_LINK, _CREATE, does)


def no_link_local(machine: str, name: str, index: int) -> Request:
    """No IPv6 address of its own making; it has to be said before the link is up."""
    does = f"{machine}: {name} without link-local addresses"
    return Request(bodies.no_link_local(index), _NEW_LINK, 0, does)


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
    body = bodies.link(index, up, mtu, master)
    return Request(body, _NEW_LINK, 0, f"{machine}: setting {name}{state}")


def move(machine: str, name: str, index: int, to: str, namespace: int, new_index: int) -> Request:
    """The interface leaves for another namespace, down and without addresses, under a number chosen there."""
    attributes = [("IFLA_NET_NS_FD", namespace), ("IFLA_NEW_IFINDEX", new_index)]
    body = bodies.of_link(attributes, index=index)
    return Request(body, _NEW_LINK, 0, f"{machine}: moving {name} to {to}")


def super_packets(machine: str, name: str, index: int, most: int) -> Request:
    """How many packets may leave as one. With 1 each is by itself, also for who counts or loses them."""
    body = bodies.of_link([("IFLA_GSO_MAX_SEGS", most)], index=index)
    return Request(body, _NEW_LINK, 0, f"{machine}: super-packets of {name}")


def address(machine: str, name: str, index: int, text: str) -> Request:
    does = f"{machine}: the address {text} of {name}"
    return Request(bodies.address(index, text), _NEW_ADDRESS, _REPLACE, does)


def without_address(machine: str, name: str, index: int, text: str) -> Request:
    does = f"{machine}: {name} without the address {text}"
    return Request(bodies.address(index, text), _DELETE_ADDRESS, 0, does)


def without_route(machine: str, gone: Route, index: int) -> Request:
    does = f"{machine}: no route to {gone.to} on {gone.dev}"
    return Request(bodies.route(gone, index), _DELETE_ROUTE, 0, does)


def route(machine: str, wanted: Route, index: int) -> Request:
    through = f" via {wanted.via}" if wanted.via else ""
    does = f"{machine}: the route to {wanted.to}{through} on {wanted.dev}"
    return Request(bodies.route(wanted, index), _NEW_ROUTE, _REPLACE, does)
