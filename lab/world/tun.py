"""A TUN interface that is there before the daemon that will serve it, and stays when that ends.

Its index is ours to choose, as every other's, and rtnetlink configures it like the rest.
"""

from __future__ import annotations

import fcntl
import os
import struct

from lab.errors import BuildFailed, CannotHere

_DEVICE = "/dev/net/tun"
_SET_INTERFACE, _SET_PERSISTENT, _SET_INDEX = 0x400454CA, 0x400454CB, 0x400454DA  # TUNSETIFF, ...
_TUN = 0x1  # IFF_TUN
_REQUEST = struct.Struct("16sH22x")  # struct ifreq


def make(machine: str, name: str, index: int) -> None:
    """In the network namespace that the calling thread is in."""
    try:
        fd = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        problem = f"{machine}: {_DEVICE}: {error.strerror}"
        raise CannotHere(problem, "lab.doctor says how to get it") from None
    try:
        fcntl.ioctl(fd, _SET_INDEX, struct.pack("I", index))
        fcntl.ioctl(fd, _SET_INTERFACE, _REQUEST.pack(name.encode(), _TUN))
        fcntl.ioctl(fd, _SET_PERSISTENT, 1)
    except OSError as error:
        raise BuildFailed(f"{machine}: the TUN interface {name}: {error.strerror}") from None
    finally:
        os.close(fd)
