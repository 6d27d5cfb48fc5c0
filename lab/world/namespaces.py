"""Network namespaces without names, and one thread that steps into them for everybody else.

A namespace lives as long as a descriptor or a process holds it, so the death of the keeper ends them
all. Which namespace a thread is in is the thread's own affair: the *visitor* goes in, does the
errand and stays there until the next one; the rest of the keeper never moves.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from lab.world.kernel import CLONE_FS, CLONE_NEWNET, CLONE_NEWNS, setns, unshare
from lab.world.netlink import Rtnetlink

T = TypeVar("T")
_FIRST_OF_OURS = (
    1024  # descriptors below are for libraries that call select(), which knows no others
)


@dataclass(slots=True)
class Namespace:
    """A machine's network: its descriptor, and a netlink socket that was opened inside."""

    fd: int
    rtnetlink: Rtnetlink
    mounts: int | None = None  # its mount namespace, made when the first process is started


class Visitor:
    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, initializer=unshare, initargs=(CLONE_FS,))
        self._home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._mounts = self._home  # where the thread's mount namespace is now

    def new_namespaces(self, count: int) -> list[Namespace]:
        return self._thread.submit(lambda: list(_make(count))).result()

    def inside(self, net: int, errand: Callable[[], T], mounts: int | None = None) -> T:
        """What `errand` returns, called in the network namespace `net`."""
        return self._thread.submit(self._visit, net, errand, mounts).result()

    def new_mounts(self, net: int, errand: Callable[[], None]) -> int:
        """A mount namespace of its own, as a copy of the keeper's, in which `errand` was called."""

        def make() -> int:
            unshare(CLONE_NEWNS)
            fd = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
            self._mounts = fd
            errand()
            return fd

        return self.inside(net, make)

    def _visit(self, net: int, errand: Callable[[], T], mounts: int | None) -> T:
        wanted = self._home if mounts is None else mounts
        if wanted != self._mounts:
            setns(wanted, CLONE_NEWNS)
            self._mounts = wanted
        setns(net, CLONE_NEWNET)
        return errand()


def _make(count: int) -> Iterator[Namespace]:
    for _ in range(count):
        unshare(CLONE_NEWNET)
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        yield Namespace(_out_of_the_way(fd), Rtnetlink(_out_of_the_way))


def _out_of_the_way(fd: int) -> int:
    with contextlib.suppress(OSError):  # few are allowed, so no lab can be large
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_OF_OURS)
        os.close(fd)
        return high
    return fd
