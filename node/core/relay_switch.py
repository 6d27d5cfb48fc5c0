"""The relay's hot path: SendPacket in, RecvPacket out, in the same bytes.

Both frames have the same length; only the type and the key differ. So a frame is turned into what
its receiver gets by writing 37 bytes over its head, and a run of frames for one destination is one
piece of the receive buffer, handed on as one write. A read with many destinations mixed yields one
list of pieces for each. A lone frame finds cold caches, where each step costs ten times what it does
in a run: one that is like the frame before it is patched as that one was.
"""

from __future__ import annotations

from collections import Counter

from node.core.relay_drops import Drops
from node.core.relay_link import Forward, Link, Output, Patch, Relay, Send
from node.core.relay_outbox import DISCO_MAGIC, MIN_DISCO, looks_like_disco
from node.core.relay_registry import Registry
from node.core.token_bucket import TokenBucket
from node.keys import NodePublic
from node.wire import derp, derp_framing
from node.wire.derp_framing import HEADER_SIZE, PACKET_HEADER_SIZE

# "You sent to somebody who is not here": 3 at once, then one a second for each sender.
NOT_HERE_RATE, NOT_HERE_BURST = 1.0, 3.0


class Switch:
    def __init__(self, registry: Registry) -> None:
        self.counters: Counter[str] = Counter()
        self.drops = Drops()
        self._registry = registry

    def run(
        self, link: Link, buffer: bytearray, at: int, end: int, size: int,
        runs: list[tuple[Link, int, int]], outputs: list[Output], now: float,
    ) -> int:  # fmt: skip
        """Takes the run of frames like the one at `at`, of `size` bytes each; says where it ends."""
        head = bytes(buffer[at : at + PACKET_HEADER_SIZE])
        patch = link.patch
        if patch is None or patch.head != head or patch.epoch != self._registry.epoch:
            patch = link.patch = self._find_patch(link, head, size)
        becomes, packet_size = patch.becomes, size - PACKET_HEADER_SIZE
        start, last = at, end - size
        while at <= last and buffer.startswith(head, at):
            buffer[at : at + PACKET_HEADER_SIZE] = becomes
            at += size
        packets = (at - start) // size
        self.counters["packets_received"] += packets
        self.counters["bytes_received"] += packets * packet_size
        first = start + PACKET_HEADER_SIZE
        # Few runs have one, and most of those that have none are known by one look.
        if packet_size >= MIN_DISCO and DISCO_MAGIC[0] in buffer[first:at:size]:
            magics = (buffer.startswith(DISCO_MAGIC, each) for each in range(first, at, size))
            self.counters["disco_received"] += sum(magics)
        target = patch.target
        if target is None:
            frames = memoryview(buffer)[start:at]
            self._send_away(link, head[HEADER_SIZE:], frames, outputs, now)
            return at
        self.counters["packets_sent"] += packets
        self.counters["bytes_sent"] += packets * packet_size
        if runs and runs[-1][0] is target and runs[-1][2] == start:
            runs[-1] = (target, runs[-1][1], at)
        else:
            runs.append((target, start, at))
        return at

    def lone(self, link: Link, buffer: bytearray, size: int) -> Link | None:
        """Whose `buffer[:size]` is now, where it was one frame like the last; else None, and nothing has
        changed."""
        patch = link.patch
        if (
            patch is None
            or patch.target is None
            or patch.size != size
            or patch.epoch != self._registry.epoch
            or not buffer.startswith(patch.head)
        ):
            return None
        buffer[:PACKET_HEADER_SIZE] = patch.becomes
        packet_size = size - PACKET_HEADER_SIZE
        counters = self.counters
        counters["packets_received"] += 1
        counters["packets_sent"] += 1
        counters["bytes_received"] += packet_size
        counters["bytes_sent"] += packet_size
        if packet_size >= MIN_DISCO and buffer.startswith(DISCO_MAGIC, PACKET_HEADER_SIZE):
            counters["disco_received"] += 1
        return patch.target

    def forwarded(self, frame: derp.ForwardPacket, outputs: list[Output]) -> None:
        """A packet from another relay: to a client of ours or nowhere, never on to a third relay."""
        self.counters["packets_forwarded_in"] += 1
        client = self._registry.clients.get(frame.destination.raw)
        if client is None:
            self._drop("unknown_dest_on_fwd", frame.packet)
            return
        self._registry.heard(client.active, frame.source.raw)
        self.counters["packets_sent"] += 1
        self.counters["bytes_sent"] += len(frame.packet)
        packet = derp.RecvPacket(frame.source, frame.packet).pack()
        outputs.append(Relay(client.active, [packet]))

    def _find_patch(self, link: Link, head: bytes, size: int) -> Patch:
        client = self._registry.clients.get(head[HEADER_SIZE:])
        target = None if client is None else client.active
        if target is not None:
            self._registry.heard(target, link.raw_key)
        becomes = derp_framing.packet_header(
            derp_framing.RECV_PACKET, link.raw_key, size - PACKET_HEADER_SIZE
        )
        return Patch(head, becomes, size, target, self._registry.epoch)

    def _send_away(
        self, link: Link, destination: bytes, frames: memoryview, outputs: list[Output], now: float
    ) -> None:
        """Nobody here has this key: another relay does, or the packets are lost."""
        forwarder = self._registry.forwarder(destination)
        packets = [frame[PACKET_HEADER_SIZE:] for frame in derp_framing.split_frames(frames)]
        if forwarder is not None:
            self.counters["packets_forwarded_out"] += len(packets)
            outputs.append(
                Forward(
                    forwarder,
                    b"".join(
                        derp_framing.pack_frame(
                            derp_framing.FORWARD_PACKET,
                            b"".join((link.raw_key, destination, packet)),
                        )
                        for packet in packets
                    ),
                )
            )
            return
        for packet in packets:
            if self._drop("unknown_dest", packet) == "disco":
                self._say_not_here(link, destination, outputs, now)

    def _say_not_here(
        self, link: Link, destination: bytes, outputs: list[Output], now: float
    ) -> None:
        if link.not_here is None:
            link.not_here = TokenBucket(NOT_HERE_RATE, NOT_HERE_BURST, now)
        if link.not_here.take(1, now):
            self.counters["peer_gone_not_here_frames"] += 1
            gone = derp.PeerGone(NodePublic(destination), derp.GoneReason.NOT_HERE)
            outputs.append(Send(link, gone.pack()))

    def _drop(self, reason: str, packet: bytes | memoryview) -> str:
        kind = "disco" if looks_like_disco(packet) else "other"
        self.drops.count(reason, kind, len(packet))
        return kind


def gather(runs: list[tuple[Link, int, int]], buffer: memoryview) -> list[Output]:
    """One output a destination, its runs in the order they came."""
    views: dict[Link, list[memoryview]] = {}
    for target, start, end in runs:
        views.setdefault(target, []).append(buffer[start:end])
    return [Relay(target, pieces) for target, pieces in views.items()]
