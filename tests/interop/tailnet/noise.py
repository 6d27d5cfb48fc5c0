"""How a Tailscale client and its control plane speak in secret: the control plane's side.

Noise_IK_25519_ChaChaPoly_BLAKE2s (the Noise protocol framework, revision 34, sections 5 and 7.5), in the
frames of Tailscale's control/controlbase.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

from node.core.noise import hash_of, kdf

NAME = b"Noise_IK_25519_ChaChaPoly_BLAKE2s"
KEY, TAG = 32, 16  # bytes
RESPONSE, RECORD = 2, 4  # types of frames
HEAD = struct.Struct(">BH")  # type, length of what follows; an initiation has its version before it
MOST = 4096 - HEAD.size - TAG  # bytes of text in a record


class _State:
    """The symmetric state of section 5.2."""

    def __init__(self, version: int, responder: bytes) -> None:
        self.chain = self._hash = hash_of(NAME)
        self.mix(f"Tailscale Control Protocol v{version}".encode())
        self.mix(responder)

    def mix(self, data: bytes) -> None:
        self._hash = hash_of(self._hash, data)

    def key(self, private: bytes, public: bytes) -> ChaCha20Poly1305:
        self.chain, key = kdf(2, self.chain, crypto_scalarmult(private, public))
        return ChaCha20Poly1305(key)

    def open(self, key: ChaCha20Poly1305, sealed: bytes) -> bytes:
        text = key.decrypt(bytes(12), sealed, self._hash)
        self.mix(sealed)
        return text

    def seal(self, key: ChaCha20Poly1305, text: bytes) -> bytes:
        sealed = key.encrypt(bytes(12), text, self._hash)
        self.mix(sealed)
        return sealed


@dataclass
class Records:
    """What both sides say from then on; each record is numbered."""

    receiving: ChaCha20Poly1305
    sending: ChaCha20Poly1305
    received: int = 0
    sent: int = 0

    def read(self, stream: BufferedIOBase) -> bytes:
        """One record's text; nothing at the end of the stream."""
        head = stream.read(HEAD.size)
        if len(head) < HEAD.size:
            return b""
        sealed = stream.read(HEAD.unpack(head)[1])
        text = self.receiving.decrypt(_nonce(self.received), sealed, None)
        self.received += 1
        return text

    def seal(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), MOST):
            sealed = self.sending.encrypt(_nonce(self.sent), data[at : at + MOST], None)
            self.sent += 1
            yield HEAD.pack(RECORD, len(sealed)) + sealed


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def answer(private: bytes, initiation: bytes) -> tuple[bytes, Records, bytes]:
    """To a client's first message: ours, what to speak in from then on, and the client's machine key."""
    version, body = int.from_bytes(initiation[:2], "big"), initiation[2 + HEAD.size :]
    theirs, machine, tag = body[:KEY], body[KEY : 2 * KEY + TAG], body[2 * KEY + TAG :]
    state = _State(version, crypto_scalarmult_base(private))
    state.mix(theirs)
    machine = state.open(state.key(private, theirs), machine)
    state.open(state.key(private, machine), tag)

    once = os.urandom(KEY)
    ours = crypto_scalarmult_base(once)
    state.mix(ours)
    state.key(once, theirs)
    sealed = state.seal(state.key(once, machine), b"")
    receiving, sending = map(ChaCha20Poly1305, kdf(2, state.chain, b""))
    frame = ours + sealed
    return HEAD.pack(RESPONSE, len(frame)) + frame, Records(receiving, sending), machine
