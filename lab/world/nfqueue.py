"""NFQUEUE, the bytes: the kernel holds the packets, we are told their numbers and say when they may go.

No packet's content crosses (copy mode META) and 64 kB super-packets stay whole (F_GSO). The numbers of
one queue ascend, and one message frees all up to a number.
"""

from __future__ import annotations

import contextlib
import socket
import struct

from lab.world.attributes import attribute

NETFILTER = 12  # NETLINK_NETFILTER
_SO_RCVBUFFORCE = 33
_SOL_NETLINK, _NO_ENOBUFS = 270, 5
_SUBSYSTEM = 3 << 8  # NFNL_SUBSYS_QUEUE
PACKET, _VERDICT, _CONFIG, _VERDICT_BATCH = (_SUBSYSTEM | each for each in (0, 1, 2, 3))
_REQUEST, _ACK = 0x1, 0x4
_ERROR = 2
_COMMAND, _PARAMETERS, _MAX_LENGTH, _MASK, _FLAGS = 1, 2, 3, 4, 5
_VERDICT_HEADER = 2
_BIND, _META, _GSO = 1, 1, 4
_DROP, _ACCEPT = 0, 1
_LONGEST = 200_000  # packets held: 2 s of 100 kpps
_RECEIVE_BUFFER = 16 << 20
_MESSAGE = struct.Struct("=IHHII")
_NF_MESSAGE = struct.Struct(">BBH")

# Where a packet's message has its kind and the packet's number.
KIND = struct.Struct("=4xH")
NUMBER = struct.Struct(">24xI")


def open_queue(number: int) -> socket.socket:
    """A socket that is told of the packets of this queue, in the calling thread's namespace."""
    queue = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
    try:
        with contextlib.suppress(PermissionError):  # in a user namespace the system's limit holds
            queue.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        queue.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
        _ask(queue, number, attribute(_COMMAND, struct.pack(">BxH", _BIND, 0)))
        _ask(queue, number, attribute(_PARAMETERS, struct.pack(">IB", 0, _META)))
        _ask(queue, number, attribute(_MAX_LENGTH, struct.pack(">I", _LONGEST)))
        flags = struct.pack(">I", _GSO)
        _ask(queue, number, attribute(_FLAGS, flags) + attribute(_MASK, flags))
    except OSError:
        queue.close()
        raise
    queue.setblocking(False)
    return queue


def free_up_to(number: int, packet: int) -> bytes:
    """Lets the packet go, and all that came before it."""
    return _verdict(_VERDICT_BATCH, number, _ACCEPT, packet)


def free(number: int, packet: int) -> bytes:
    return _verdict(_VERDICT, number, _ACCEPT, packet)


def lose(number: int, packet: int) -> bytes:
    return _verdict(_VERDICT, number, _DROP, packet)


def _verdict(kind: int, queue: int, verdict: int, packet: int) -> bytes:
    # Lengths and kinds are in the machine's order, the rest in the network's.
    return (
        _MESSAGE.pack(32, kind, _REQUEST, 0, 0)
        + _NF_MESSAGE.pack(0, 0, queue)
        + struct.pack("=HH", 12, _VERDICT_HEADER)
        + struct.pack(">II", verdict, packet)
    )


def _ask(queue: socket.socket, number: int, body: bytes) -> None:
    body = _NF_MESSAGE.pack(0, 0, number) + body
    header = _MESSAGE.pack(_MESSAGE.size + len(body), _CONFIG, _REQUEST | _ACK, 1, 0)
    queue.send(header + body)
    while True:
        data = queue.recv(4096)
        _, kind, _, _, _ = _MESSAGE.unpack_from(data)
        if kind == _ERROR:
            (code,) = struct.unpack_from("=i", data, _MESSAGE.size)
            if code:
                raise OSError(-code, "NFQUEUE")
            return
