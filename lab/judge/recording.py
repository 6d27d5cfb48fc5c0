"""A capture of all hosts, sorted out: what passed links, what went into and out of tunnels, what was told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.capture import events as told
from lab.capture import pcapng
from lab.capture.reading import Counted, Interface, Item, Packet, read
from lab.model.events import BadEvent, Event, parse

OURS = "lab/"  # interfaces that are no machine's
LOOPBACK = "/lo"


@dataclass(frozen=True, slots=True)
class Recording:
    """All in order of time, which is that of the event log."""

    on_links: tuple[Packet, ...]
    in_tunnels: tuple[Packet, ...]  # on TUN interfaces: in the clear
    events: tuple[Event, ...]
    links: tuple[Interface, ...]
    tunnels: tuple[Interface, ...]
    dropped: int  # packets that the capture missed
    ended: float = 0.0  # if it says so

    @property
    def packets(self) -> int:
        return len(self.on_links) + len(self.in_tunnels)

    @property
    def begins(self) -> float:
        return min((each[0].at for each in (self.on_links, self.in_tunnels) if each), default=0.0)

    @property
    def ends(self) -> float:
        last = (each[-1].at for each in (self.on_links, self.in_tunnels) if each)
        return max(self.ended, *last, 0.0)


def recorded(file: Path) -> Recording:
    return recording(read(file))


def recording(items: Iterable[Item]) -> Recording:
    links: list[Packet] = []
    tunnels: list[Packet] = []
    events: list[Event] = []
    interfaces: list[Interface] = []
    dropped, ended = 0, 0.0
    for item in items:
        match item:
            case Interface():
                interfaces.append(item)
            case Packet() if item.interface.name.startswith(OURS):
                events += _event(item)
            case Packet():
                (tunnels if _is_tunnel(item.interface) else links).append(item)
            case Counted():
                dropped += item.dropped
                ended = max(ended, item.at)
    machines = [each for each in interfaces if not each.name.startswith(OURS)]
    return Recording(
        tuple(sorted(links, key=lambda packet: packet.at)),
        tuple(sorted(tunnels, key=lambda packet: packet.at)),
        tuple(sorted(events, key=lambda event: event.at)),
        tuple(each for each in machines if not _is_tunnel(each)),
        tuple(filter(_is_tunnel, machines)),
        dropped,
        ended,
    )


def _is_tunnel(interface: Interface) -> bool:
    return interface.link_type == pcapng.RAW_IP


def _event(packet: Packet) -> list[Event]:
    found = told.of_payload(packet.data)
    try:
        return [parse(found)] if found is not None else []
    except BadEvent:  # a daemon's own, and not as ours are
        return []
