"""The box that disco packets travel in: our disco key on one side, any peer's on the other.

crypto_box is a key agreement (slow) and a cipher (fast). The agreement's result is kept per peer, so
a ping costs microseconds. Nonces are random and come from the caller.
"""

from __future__ import annotations

from nacl.bindings import crypto_box_afternm, crypto_box_beforenm, crypto_box_open_afternm
from nacl.exceptions import CryptoError

from node.keys import DiscoPrivate, DiscoPublic
from node.wire.disco import MAGIC, Message, pack_body, pack_packet, parse_body, parse_packet
from node.wire.malformed import Malformed


class DiscoBox:
    def __init__(self, private: DiscoPrivate) -> None:
        self._private = private
        self.public = private.public
        self._shared: dict[DiscoPublic, bytes] = {}

    def seal(self, message: Message, to: DiscoPublic, nonce24: bytes) -> bytes:
        shared = self._shared[to] = self._agree(to)
        box = crypto_box_afternm(pack_body(message), nonce24, shared)
        return pack_packet(self.public, nonce24, box)

    def open(self, packet: bytes) -> tuple[DiscoPublic, Message]:
        """Who sent it, and what it says. Ask `parse_packet` for the sender first: opening costs."""
        sender, nonce, box = parse_packet(packet)
        shared = self._agree(sender)
        try:
            body = crypto_box_open_afternm(box, nonce, shared)
        except CryptoError:
            raise Malformed("disco: the box does not open") from None
        self._shared[sender] = shared  # kept only now, so that strangers cannot fill the memory
        return sender, parse_body(body)

    def is_ours(self, packet: bytes) -> bool:
        """What we said ourselves: it has been thrown back."""
        return packet.startswith(self.public.raw, len(MAGIC))

    def forget(self, peer: DiscoPublic) -> None:
        self._shared.pop(peer, None)

    def _agree(self, peer: DiscoPublic) -> bytes:
        shared = self._shared.get(peer)
        if shared is not None:
            return shared
        try:
            agreed: bytes = crypto_box_beforenm(peer.raw, self._private.raw)
        except CryptoError:  # a key of low order, such as all zeros
            raise Malformed("disco: not a key that one can agree with") from None
        return agreed
