"""Which of the ways through the data path this process can go: C, numpy, or plain Python.

Chosen once data flows, because numpy takes 90 ms to import and a node has to be at its relay by then.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from node.core.rows import GATHERED
from node.core.segments import PlainSegments, Segments
from node.core.tun_features import TunFeatures
from node.io.loop import READ, Loop
from node.io.offload import ORDINARY, Gather
from node.io.settings import WAYS


def fastest(mtu: int, features: TunFeatures, ways: tuple[str, ...] = WAYS) -> Segments:
    """The first of these that is there; its `name` says which it is."""
    for way in ways:
        with contextlib.suppress(ImportError):
            return _way(way, mtu, features)
    return PlainSegments(mtu, features)


def _way(way: str, mtu: int, features: TunFeatures) -> Segments:
    if way == "c":
        from node.accel.segments import AcceleratedSegments

        return AcceleratedSegments(mtu, features)
    if way == "numpy":
        from node.core.numpy_segments import NumpySegments

        return NumpySegments(mtu, features)
    return PlainSegments(mtu, features)


def gatherer(segments: Segments) -> Gather | None:
    """What reads the TUN interface in the same way."""
    if way_of(segments) == "c":
        from node.accel import reader

        return reader.Gatherer(ORDINARY)
    if way_of(segments) == "numpy":
        from node.io import gather

        return gather.Gatherer(ORDINARY)
    return None


def receives_at_once(segments: Segments) -> int:
    """How many receives from a UDP socket are worked on as one: more only pays where they are merged in C."""
    return GATHERED if way_of(segments) == "c" else 1


def way_of(segments: Segments) -> str:
    """c, numpy or plain."""
    return segments.name.split()[0]


def load(
    loop: Loop,
    mtu: int,
    features: TunFeatures,
    ways: tuple[str, ...],
    done: Callable[[Segments], None],
) -> None:
    """The same in a thread, so that packets are not kept waiting; `done` is called from the loop."""
    from threading import Thread

    found: list[Segments] = []
    wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def look() -> None:
        found.append(fastest(mtu, features, ways))
        os.eventfd_write(wake, 1)

    def loaded(_events: int) -> None:
        loop.forget(wake)
        os.close(wake)
        done(found[0])

    loop.watch(wake, READ, loaded)
    Thread(target=look, daemon=True).start()
