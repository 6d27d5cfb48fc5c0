"""rtnetlink in batches: messages encoded by pyroute2, sent many at a time on a socket of our own.

The kernel works through a batch message by message, goes on after one that fails, and answers each
failure with the message's sequence number (RFC 3549 §2.3.2). Only the last message asks for an
acknowledgement, so a batch that succeeds costs one answer. A message carries the words for what it does:
an error names the machine and the interface, not a number.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_REQUEST = 0x1
_ACK = 0x4
_ERROR = 2  # NLMSG_ERROR
_SOL_NETLINK = 270
_CAP_ACK = 10  # answer without a copy of the whole request
_EXT_ACK = 11  # answer with the kernel's own words
_CAPPED = 0x100  # flag: the request was cut from the answer
_HAS_WORDS = 0x200
_WORDS = 1  # NLMSGERR_ATTR_MSG
_BATCH_BYTES = 16 * 1024  # far below the send buffer; a batch has to fit into one datagram
_HEADER = struct.Struct("=IHHII")
HEADER_SIZE = _HEADER.size


@dataclass(frozen=True, slots=True)
class Request:
    body: bytes  # a message without its header
    kind: int
    flags: int
    does: str  # "node-a: the address 10.0.0.1/24 of eth0"


class NetlinkError(Exception):
    """The kernel said no."""

    def __init__(self, does: str, code: int, words: str) -> None:
        super().__init__(does, code, words)
        self.does = does
        self.code = code
        self.words = words

    def __str__(self) -> str:
        said = os.strerror(self.code)
        return f"{self.does}: {said} ({self.words})" if self.words else f"{self.does}: {said}"


class Rtnetlink:
    """Opened in the namespace that the calling thread is in; works on that one for ever."""

    def __init__(self, keep: Callable[[int], int] = int) -> None:
        """`keep`: the descriptor that it is to have, from the one that it got."""
        kind = (socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        got = socket.socket(*kind).detach()
        self._socket = socket.socket(*kind, fileno=keep(got))
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._sequence = itertools.count(1)

    def send(self, requests: Sequence[Request]) -> None:
        """All of them, in order; raises NetlinkError for the first that failed."""
        for batch in _batches(requests):
            self._send_batch(batch)

    def _send_batch(self, batch: Sequence[Request]) -> None:
        by_sequence = {next(self._sequence): request for request in batch}
        last = max(by_sequence)
        self._socket.send(
            b"".join(
                _encode(request, sequence, _ACK if sequence == last else 0)
                for sequence, request in by_sequence.items()
            )
        )
        failures = list(self._answers(last))
        for sequence, code, words in failures:
            if code:
                raise NetlinkError(by_sequence[sequence].does, code, words)

    def _answers(self, last: int) -> Iterator[tuple[int, int, str]]:
        """Sequence number, error (0 = done) and words of each answer, up to the last one's."""
        while True:
            data = self._socket.recv(65536)
            for sequence, code, words in answers(data):
                yield sequence, code, words
                if sequence == last:
                    return


def _batches(requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
    # A request of ours is below 256 bytes.
    size = _BATCH_BYTES // 256
    for start in range(0, len(requests), size):
        yield requests[start : start + size]


def _encode(request: Request, sequence: int, flags: int) -> bytes:
    body = request.body
    flags |= _REQUEST | request.flags
    header = _HEADER.pack(HEADER_SIZE + len(body), request.kind, flags, sequence, 0)
    return header + body + bytes(-len(body) % 4)


def answers(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Sequence number, error (0 = done) and words of each."""
    offset = 0
    while offset + HEADER_SIZE <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if kind == _ERROR:
            (code,) = struct.unpack_from("=i", data, offset + 16)
            (echoed,) = struct.unpack_from("=I", data, offset + 20)
            skip = 20 + (16 if flags & _CAPPED else echoed)
            words = _words(data[offset + skip : offset + length]) if flags & _HAS_WORDS else ""
            yield sequence, -code, words
        offset += (length + 3) & ~3


def _words(attributes: bytes) -> str:
    while len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        if length < 4:
            break
        if kind & 0x3FFF == _WORDS:
            return attributes[4:length].rstrip(b"\0").decode(errors="replace")
        attributes = attributes[(length + 3) & ~3 :]
    return ""
