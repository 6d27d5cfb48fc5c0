"""Packets through a tunnel: when each went in, when it came out, how often, and what way it took.

Both ends are seen on one clock, on the hosts' TUN interfaces, so nothing has to be guessed: a packet that
went in and never came out is lost. TCP is left out: it repairs its own losses, and its segments are cut and
joined on the way. The way is told from outside as well: a direct packet leaves its host in a WireGuard data
message of the padded size (§5.4.6); if there was none before it arrived, it went inside the relay's TLS.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import pairwise
from statistics import fmean

from lab.capture import pcapng
from lab.capture.reading import Packet
from lab.judge.packets import classify
from lab.judge.recording import Recording
from lab.model.overlay import OVERLAY4, OVERLAY6
from lab.model.path import PathKind

GRACE = 0.5  # seconds before the end in which a packet may still be on its way
LONGEST_INSIDE = 1.0  # seconds that a packet, lost later, may have waited in its own host
TCP, UDP = 6, 17
_BLOCK, _OVERHEAD = 16, 32  # WireGuard §5.4.6: padding, and header with tag
_OUTSIDE = {(4, False): 28, (6, False): 48, (4, True): 36, (6, True): 56}  # with Geneve's 8


@dataclass(frozen=True, slots=True)
class Transit:
    source: str  # the host that it went in at
    target: str  # the host that has its address; the address itself, if none was seen to have it
    sent: float
    received: tuple[float, ...]  # each time that it came out
    size: int
    route: PathKind = "none"


@dataclass(frozen=True, slots=True)
class Counts:
    sent: int
    lost: int
    duplicated: int
    reordered: int  # RFC 4737 §3.3: arrived after one that was sent later
    longest_silence: float  # seconds between two that arrived
    longest_pause: float  # seconds between two that were sent: what of the silence was the sender's
    delay: float  # seconds, on average


def transits(recording: Recording) -> tuple[Transit, ...]:
    """In order of their sending."""
    went_in: dict[bytes, list[tuple[str, float]]] = defaultdict(list)
    came_out: dict[bytes, list[float]] = defaultdict(list)
    owners: dict[bytes, str] = {}
    for packet in recording.in_tunnels:
        ends = _ends(packet.data)
        if ends is None or packet.data[9 if len(ends[0]) == 4 else 6] == TCP:
            continue
        host = packet.interface.machine
        if packet.direction == pcapng.OUTBOUND:
            went_in[_key(packet.data)].append((host, packet.at))
            owners.setdefault(ends[0], host)
        else:
            came_out[_key(packet.data)].append(packet.at)
            owners.setdefault(ends[1], host)
    found: list[Transit] = []
    for key, entries in went_in.items():
        [_, target] = _ends(key) or (b"", b"")
        name = owners.get(target) or str(ip_address(target))
        found += _paired(entries, came_out.get(key, []), name, len(key))
    last = recording.ends - GRACE
    seen = [each for each in found if each.received or each.sent <= last]
    return _routed(recording, sorted(seen, key=lambda transit: transit.sent))


def counted(some: Sequence[Transit]) -> Counts:
    """In order of their sending."""
    arrivals = sorted(each.received[0] for each in some if each.received)
    latest, reordered = 0.0, 0
    for each in some:
        if each.received:
            reordered += each.received[0] < latest
            latest = max(latest, each.received[0])
    return Counts(
        sent=len(some),
        lost=sum(not each.received for each in some),
        duplicated=sum(max(0, len(each.received) - 1) for each in some),
        reordered=reordered,
        longest_silence=_longest_gap(arrivals),
        longest_pause=_longest_gap([each.sent for each in some]),
        delay=fmean([e.received[0] - e.sent for e in some if e.received]) if arrivals else 0.0,
    )


def _longest_gap(times: Sequence[float]) -> float:
    return max((b - a for a, b in pairwise(times)), default=0.0)


def _paired(
    entries: Sequence[tuple[str, float]], arrivals: Sequence[float], target: str, size: int
) -> Iterator[Transit]:
    """Equal packets come out in the order in which they went in; what is left over is the last one's."""
    for n, (source, sent) in enumerate(entries):
        is_last = n == len(entries) - 1
        yield Transit(
            source, target, sent, tuple(arrivals[n:] if is_last else arrivals[n : n + 1]), size
        )


def _ends(ip: bytes) -> tuple[bytes, bytes] | None:
    """The addresses of a packet between two members of the overlay."""
    version = ip[0] >> 4 if ip else 0
    if version == 4 and len(ip) >= 20:
        ends = ip[12:16], ip[16:20]
        inside = all(ip_address(each) in OVERLAY4 for each in ends)
    elif version == 6 and len(ip) >= 40:
        ends = ip[8:24], ip[24:40]
        inside = all(ip_address(each) in OVERLAY6 for each in ends)
    else:
        return None
    return ends if inside and ends[0] != ends[1] else None


def _key(ip: bytes) -> bytes:
    """What is the same at both ends: all but UDP's checksum, which is finished on the way."""
    start = (ip[0] & 15) * 4 if ip[0] >> 4 == 4 else 40
    protocol = ip[9] if ip[0] >> 4 == 4 else ip[6]
    return ip[: start + 6] + bytes(2) + ip[start + 8 :] if protocol == UDP else ip


# --- the way


def _routed(recording: Recording, some: Sequence[Transit]) -> tuple[Transit, ...]:
    messages = defaultdict(list)
    for packet in recording.on_links:
        if packet.direction == pcapng.OUTBOUND and (found := _data_message(packet)):
            messages[packet.interface.machine].append((packet.at, *found))
    by_host: dict[str, list[int]] = defaultdict(list)
    for n, each in enumerate(some):
        by_host[each.source].append(n)
    routes: dict[int, PathKind] = {}
    for host, numbers in by_host.items():
        routes |= _matched([(n, some[n]) for n in numbers], messages[host])
    return tuple(
        replace(each, route=routes.get(n, "relay" if each.received else "none"))
        for n, each in enumerate(some)
    )


def _data_message(packet: Packet) -> tuple[int, PathKind] | None:
    """The padded size of what is in a WireGuard data message, and what kind of path it is on."""
    ip = packet.ip
    kind = classify(ip, len(ip))
    if kind is None or kind.kind != "data":
        return None
    size = len(ip) - _OUTSIDE[ip[0] >> 4, kind.by_peer_relay] - _OVERHEAD
    return size, "peer-relay" if kind.by_peer_relay else "direct"


def _matched(
    some: Iterable[tuple[int, Transit]], messages: Iterable[tuple[float, int, PathKind]]
) -> dict[int, PathKind]:
    """Each message carries the latest packet of its size that went in before it and has not arrived yet."""
    coming = sorted(some, key=lambda one: one[1].sent, reverse=True)
    open_ones: dict[int, list[tuple[int, Transit]]] = defaultdict(list)
    routes: dict[int, PathKind] = {}
    for at, size, kind in messages:
        while coming and coming[-1][1].sent <= at:
            n, transit = coming.pop()
            open_ones[-(-transit.size // _BLOCK) * _BLOCK].append((n, transit))
        candidates = open_ones[size]
        while candidates:
            n, transit = candidates.pop()
            until = transit.received[0] if transit.received else transit.sent + LONGEST_INSIDE
            if at <= until:
                routes[n] = kind
                break
    return routes
