"""What waits for one slow reader: bounded, and the oldest packet is the first to go.

A stream cannot lose half a frame, so once the socket has taken the first byte of a frame the rest
must follow; TLS moreover may hold a sealed record and wants the very same bytes again. Both sit in
`_begun`. Behind it wait control frames (never dropped), then two queues of whole packet frames, disco
and other, of 32 each. When one is full its head is dropped: old packets are the least useful ones.

A reader that takes nothing for the write timeout is given up: `deadline` says when.
"""

from __future__ import annotations

from collections import deque

from node.core.relay_drops import Drops
from node.wire.derp_framing import (
    FORWARD_HEADER_SIZE,
    FORWARD_PACKET,
    HEADER,
    HEADER_SIZE,
    PACKET_HEADER_SIZE,
    split_frames,
)

DEPTH = 32  # packets of each kind: about one batch; more only adds delay
WRITE_TIMEOUT = 2.0  # seconds without a byte taken; a living TCP peer takes some sooner
MESH_WRITE_TIMEOUT = 30.0  # a relay of our mesh may be far and busy, and is trusted
TLS_RECORD = 16_384  # bytes that TLS may have sealed already when it says "later"
CHUNK = 65_536  # bytes handed to one write

DISCO_MAGIC = "TS💬".encode()
MIN_DISCO = 62  # magic 6, key 32, nonce 24

_NOTHING = memoryview(b"")


def looks_like_disco(packet: bytes | memoryview) -> bool:
    return len(packet) >= MIN_DISCO and packet[:6] == DISCO_MAGIC


class Outbox:
    __slots__ = (
        "_begun", "_blocked_since", "_control", "_disco", "_other", "drops", "timeout",
    )  # fmt: skip

    def __init__(self) -> None:
        self.timeout = WRITE_TIMEOUT
        self.drops: Drops | None = None  # made at the first one
        self._begun = _NOTHING
        self._blocked_since: float | None = None
        # Made when needed: thousands of idle clients never need them.
        self._control: deque[bytes] | None = None
        self._disco: deque[bytes] | None = None
        self._other: deque[bytes] | None = None

    @property
    def empty(self) -> bool:
        return not (self._begun or self._control or self._disco or self._other)

    @property
    def idle(self) -> bool:
        """Whether the reader took all it was given before now."""
        return self._blocked_since is None

    @property
    def deadline(self) -> float | None:
        """When a reader that still takes nothing is to be given up."""
        return None if self._blocked_since is None else self._blocked_since + self.timeout

    def put(self, frame: bytes) -> None:
        """A control frame, or bytes before the first frame."""
        if self._control is None:
            self._control = deque()
        self._control.append(frame)

    def push(self, frames: bytes | memoryview) -> None:
        """Packet frames, whole ones."""
        for frame in split_frames(frames):
            self._push_one(frame)

    def hold(self, frames: bytes | memoryview, sent: int, now: float) -> None:
        """The rest of a write of packet frames: the socket took `sent` bytes and no more."""
        view = memoryview(frames)
        must = min(len(view), sent + TLS_RECORD)
        end = 0
        while end < must:
            end += HEADER_SIZE + HEADER.unpack_from(view, end)[1]
        self._begun = memoryview(bytes(view[sent:end]))
        self._blocked_since = now
        self.push(view[end:])

    def chunk(self) -> memoryview:
        """What to write next, the same bytes until `sent` says they went; empty when all is done."""
        if not self._begun:
            self._begun = memoryview(b"".join(self._take()))
        return self._begun

    def sent(self, size: int) -> None:
        self._begun = self._begun[size:]
        if size:
            self._blocked_since = None

    def blocked(self, now: float) -> None:
        """The socket takes no more; the timeout runs from the first such answer in a row."""
        if self._blocked_since is None:
            self._blocked_since = now

    def drain(self, reason: str) -> None:
        """The reader is gone: everything that waits is lost, and counted."""
        for frame in (*(self._disco or ()), *(self._other or ())):
            self._drop(reason, frame)
        self._begun, self._blocked_since = _NOTHING, None
        self._control = self._disco = self._other = None

    def lose(self, reason: str, frames: bytes | memoryview) -> None:
        """Packet frames, whole ones, that could not be written."""
        for frame in split_frames(frames):
            self._drop(reason, frame)

    def _take(self) -> list[bytes]:
        taken: list[bytes] = []
        size = 0
        for queue in (self._control, self._disco, self._other):
            while queue and size < CHUNK:
                taken.append(queue.popleft())
                size += len(taken[-1])
        return taken

    def _push_one(self, frame: memoryview) -> None:
        if looks_like_disco(_packet(frame)):
            self._disco = queue = self._disco if self._disco is not None else deque()
        else:
            self._other = queue = self._other if self._other is not None else deque()
        if len(queue) >= DEPTH:
            self._drop("queue_head", queue.popleft())
        queue.append(bytes(frame))

    def _drop(self, reason: str, frame: bytes | memoryview) -> None:
        if self.drops is None:
            self.drops = Drops()
        packet = _packet(memoryview(frame))
        self.drops.count(reason, "disco" if looks_like_disco(packet) else "other", len(packet))


def _packet(frame: memoryview) -> memoryview:
    return frame[FORWARD_HEADER_SIZE if frame[0] == FORWARD_PACKET else PACKET_HEADER_SIZE :]
