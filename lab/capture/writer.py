"""What is in a capture's file: interfaces, keys, packets, events and repeated handshakes."""

from __future__ import annotations

import itertools
from collections import Counter

from lab.capture import events, pcapng, superpackets
from lab.capture.repeats import COMMENT, Repeats
from lab.capture.ring import Frame
from lab.capture.sinks import Sink
from lab.capture.taps import Interface, Tap

SECOND = 1_000_000_000
EVENTS, HANDSHAKES = "lab/events", "lab/handshakes"  # interfaces of our own
CLOCKS = (
    "Times are CLOCK_MONOTONIC, as `at` in the lab's event log, plus {whole} whole seconds (if_tsoffset); "
    "the wall clock was {exact:.6f} s ahead of CLOCK_MONOTONIC when this capture began."
)
DROPS = "packets that found no room, on all interfaces of {machine}"


class Writer:
    def __init__(self, sink: Sink, wall_clock: int) -> None:
        """`wall_clock`: nanoseconds that it is ahead of CLOCK_MONOTONIC."""
        self._sink = sink
        self._seconds = round(wall_clock / SECOND)
        self._repeats = Repeats()
        self._numbers = itertools.count()
        self.counts: Counter[int] = Counter()  # packets by interface
        clocks = CLOCKS.format(whole=self._seconds, exact=wall_clock / SECOND)
        sink.keep(pcapng.section(clocks))
        self._events = self._new(EVENTS, "the lab's event log", pcapng.UPPER_PDU)
        self._handshakes = self._new(HANDSHAKES, "not packets: see the comments", pcapng.RAW_IP)

    def interface(self, tap: Tap, index: int) -> Interface | None:
        """Declared when it is first seen. None: it is not wanted, or of a kind that is not for packets."""
        if index not in tap.interfaces:
            name = tap.name(index)
            link_type = tap.link_type(name)
            wanted = link_type is not None and tap.only in ("", name)
            tap.interfaces[index] = None
            if wanted and link_type is not None:
                full = f"{tap.machine}/{name}"
                number = self._new(full, f"{name} of {tap.machine}", link_type)
                tap.interfaces[index] = Interface(number, name, link_type)
        return tap.interfaces[index]

    def keys(self, kind: int, lines: bytes) -> None:
        if kind == pcapng.WIREGUARD_KEYS:
            self._repeats.learn(lines)
        self._sink.keep(pcapng.secrets(kind, lines))

    def event(self, at: int, event: events.Event) -> None:
        data = events.payload(event)
        block = pcapng.packet(self._events, at, data, len(data), comment=events.comment(event))
        self._sink.add(block)

    def frame(self, tap: Tap, frame: Frame) -> None:
        interface = self.interface(tap, frame.interface)
        if interface is None:
            return
        has_ethernet = interface.link_type == pcapng.ETHERNET
        if frame.gso_type and superpackets.is_udp(frame.gso_type):
            for part in superpackets.datagrams(frame.data, frame.gso_size, has_ethernet):
                self._packet(interface, frame, part, len(part))
        else:
            self._packet(interface, frame, frame.data, frame.length)

    def _packet(self, interface: Interface, frame: Frame, data: bytes, length: int) -> None:
        ip = data[14:] if interface.link_type == pcapng.ETHERNET else data
        for repeated in self._repeats.before(ip) or ():
            block = pcapng.packet(
                self._handshakes, frame.at, repeated, len(repeated), comment=COMMENT
            )
            self._sink.add(block)
        direction = pcapng.OUTBOUND if frame.is_outgoing else pcapng.INBOUND
        self._sink.add(pcapng.packet(interface.number, frame.at, data, length, direction))
        self.counts[interface.number] += 1

    def statistics(self, tap: Tap, at: int) -> None:
        """What was taken; and what a machine's ring had no room for, which is told at its first interface."""
        dropped, comment = tap.ring.count_drops(), DROPS.format(machine=tap.machine)
        for each in tap.interfaces.values():
            if each is not None:
                received = self.counts[each.number]
                self._sink.keep(pcapng.statistics(each.number, at, received, dropped, comment))
                dropped, comment = 0, ""

    def _new(self, name: str, about: str, link_type: int) -> int:
        self._sink.keep(pcapng.interface(name, about, link_type, self._seconds))
        return next(self._numbers)
