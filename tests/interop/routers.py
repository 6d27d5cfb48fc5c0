"""A router that forgets every connection, as one does that was switched off and on."""

from __future__ import annotations

import sys

from lab.pytest_plugin import Net

FLUSH = """
import socket, struct
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)  # NETLINK_NETFILTER
delete, request_and_ack = 1 << 8 | 2, 5  # IPCTNL_MSG_CT_DELETE, without any entry: all
netlink.send(struct.pack("=IHHIIBBH", 20, delete, request_and_ack, 1, 0, 0, 0, 0))
[error] = struct.unpack_from("=i", netlink.recv(4096), 16)
assert error == 0, error
"""


def reboot(net: Net, router: str) -> None:
    done = net.run(router, sys.executable, "-c", FLUSH)
    assert done.returncode == 0, done.stderr
