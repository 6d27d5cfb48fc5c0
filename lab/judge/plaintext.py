"""Is anything from inside a tunnel to be seen outside of it? Every link is searched for it.

What is searched for is what went through the tunnels, by the same capture, or any given bytes. The tunnels'
own interfaces are the control: there it has to be found, or the search has proven nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.capture.reading import Packet
from lab.judge.recording import Recording

MOST = 64  # payloads that are searched for, evenly spread over the capture
SHORTEST = 16  # bytes: shorter ones are found anywhere by chance
LEAST_VARIED = 6  # different bytes, as zeros are found everywhere


@dataclass(frozen=True, slots=True)
class Plaintext:
    searched_for: int
    links: int  # interfaces that were searched
    found_on_links: dict[str, int]  # packets by interface: none, or it is proven
    found_in_tunnels: dict[str, int]  # the control

    @property
    def is_proof(self) -> bool:
        """That it was there to be found, and was found nowhere outside."""
        return bool(self.found_in_tunnels) and not self.found_on_links


def search(recording: Recording, words: Sequence[bytes] = ()) -> Plaintext:
    wanted = list(words) or payloads(recording.in_tunnels)
    return Plaintext(
        len(wanted),
        len(recording.links),
        _found(recording.on_links, wanted),
        _found(recording.in_tunnels, wanted),
    )


def payloads(packets: Sequence[Packet]) -> list[bytes]:
    """What is behind the headers, where it is long and varied enough to be known again."""
    distinct = dict.fromkeys(_payload(packet.data)[:256] for packet in packets)
    told = [each for each in distinct if len(each) >= SHORTEST and len(set(each)) >= LEAST_VARIED]
    step = max(1, -(-len(told) // MOST))
    return told[::step]


def _payload(ip: bytes) -> bytes:
    start = (ip[0] & 15) * 4 if ip[:1] and ip[0] >> 4 == 4 else 40
    return ip[start + 8 :]  # UDP's and ICMP's headers; of TCP's the rest varies


def _found(packets: Iterable[Packet], wanted: Sequence[bytes]) -> dict[str, int]:
    by_interface: dict[str, list[bytes]] = defaultdict(list)
    for packet in packets:
        by_interface[packet.interface.name].append(packet.data)
    found = {}
    for name, frames in sorted(by_interface.items()):
        together = b"\n".join(frames)  # one search for each word, not for each packet
        there = [word for word in wanted if word in together]
        if count := sum(any(word in frame for word in there) for frame in frames):
            found[name] = count
    return found
