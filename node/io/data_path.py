"""Which of the ways through the data path this process can go: C, numpy, or plain Python.

Chosen once data flows, because numpy takes 90 ms to import and a node has to be at its relay by then.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from msgspec import Struct

from node.core.lane import Track
from node.core.rows import GATHERED
from node.core.segments import PlainSegments, Segments
from node.core.tun_features import TunFeatures
from node.io.loop import READ, Loop
from node.io.offload import ORDINARY, Gather, Receive
from node.io.settings import WAYS
from node.io.tun import Tun
from node.io.udp import UdpPort


def fastest(mtu: int, features: TunFeatures, ways: tuple[str, ...] = WAYS) -> Segments:
    """The first of these that is there; its `name` says which it is."""
    for way in ways:
        with contextlib.suppress(ImportError):
            return _way(way, mtu, features)
    return PlainSegments(mtu, features)


def _way(way: str, mtu: int, features: TunFeatures) -> Segments:
    match way:
        case "c":
            from node.accel.segments import AcceleratedSegments

            return AcceleratedSegments(mtu, features)
        case "numpy":
            from node.core.numpy_segments import NumpySegments

            return NumpySegments(mtu, features)
        case "plain":
            return PlainSegments(mtu, features)
    raise ValueError(f"{way!r} is no way through the data path")


class Reads(Struct, frozen=True):
    """How the two interfaces are read, and where packets may go from there without us."""

    gather: Gather
    receive: Receive
    at_once: int  # receives that are worked on as one: more only pays where they are merged in C
    track: Track


def reads_for(segments: Segments, mtu: int, tun: Tun, udp: UdpPort) -> Reads:
    if way_of(segments) == "c":
        from node.accel.segments import AcceleratedSegments
        from node.accel.track import AcceleratedTrack, Gatherer, Receiver

        assert isinstance(segments, AcceleratedSegments)
        track = AcceleratedTrack(segments, mtu, tun.features, tun.fd, udp.by_family)
        return Reads(Gatherer(track, ORDINARY), Receiver(track), GATHERED, track)
    from node.core.plain_track import PlainTrack
    from node.io.gather import Gatherer as PlainGatherer
    from node.io.gather import Receiver as PlainReceiver

    plain = PlainTrack(mtu)
    gather = PlainGatherer(ORDINARY, plain, udp.send)
    return Reads(gather, PlainReceiver(plain, tun.write), 1, plain)


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
