"""A router's memory of flows: how much there is, and forgetting all of it at once.

A flow that conntrack knows does not meet new NAT rules. Only when it is forgotten does its next packet get
a mapping by the rules of now, as after a reboot of the router.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from lab.world.netlink import NetlinkError, answers

_NETFILTER = 12
_DELETE = (1 << 8) | 2  # of NFNL_SUBSYS_CTNETLINK: IPCTNL_MSG_CT_DELETE; without a tuple, all
_REQUEST, _ACK = 0x1, 0x4
_HEADER = struct.Struct("=IHHII")
_COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")
_ANSWER_WITHIN = 5.0  # seconds


def known() -> int:
    """In the calling thread's namespace: how many flows are remembered."""
    try:
        return int(_COUNT.read_text())
    except OSError:  # no conntrack in this kernel, or not loaded: nothing is remembered
        return 0


def forget() -> int:
    """In the calling thread's namespace: forgets all flows; returns how many there were."""
    there = known()
    if not there:
        return 0
    does = "forgetting all flows"
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as connection:
        connection.settimeout(_ANSWER_WITHIN)
        body = struct.pack(">BBH", socket.AF_UNSPEC, 0, 0)
        size = _HEADER.size + len(body)
        connection.send(_HEADER.pack(size, _DELETE, _REQUEST | _ACK, 1, 0) + body)
        try:
            for _, code, words in answers(connection.recv(1 << 16)):
                if code:
                    raise NetlinkError(does, code, words)
        except TimeoutError:
            raise NetlinkError(does, 110, "conntrack does not answer") from None
    return there
