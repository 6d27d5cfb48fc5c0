"""The handshake, Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (WireGuard paper §5.4.1-5.4.5), as functions.

    initiator                                        responder
    create_initiation   -- e, es, s, ss, {time} -->  read_static, read_timestamp
    consume_response    <-- e, ee, se, psk, {} ----  create_response

Each step turns what is known so far (chaining key and hash) into what is known next. None means that
the message was not made for us by who it says. Keys and random bytes come in as arguments.
"""

from __future__ import annotations

import hashlib
from hmac import digest as hmac_digest
from typing import ClassVar

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
from nacl.exceptions import CryptoError

from node.core.aead import open_with, seal_with
from node.keys import NodePrivate, NodePublic
from node.veiled import Veiled
from node.wire.wireguard import Initiation, Response

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"


class TransportKeys(Veiled, frozen=True):
    """Of one handshake, 32 bytes each, as seen from our end."""

    veiled: ClassVar = ("send", "receive")
    send: bytes
    receive: bytes


class Initiated(Veiled, frozen=True):
    """What an initiator keeps until the response comes."""

    veiled: ClassVar = ("ephemeral", "chain_key", "transcript")
    index: int
    ephemeral: bytes
    chain_key: bytes
    transcript: bytes


class Claimed(Veiled, frozen=True):
    """An initiation whose sealed static key was read: who it says it is from, not yet proven."""

    veiled: ClassVar = ("chain_key", "transcript")
    initiator: NodePublic
    message: Initiation
    chain_key: bytes
    transcript: bytes


class Received(Veiled, frozen=True):
    """A proven initiation, which may be answered."""

    veiled: ClassVar = ("chain_key", "transcript")
    initiator: NodePublic
    sender: int
    ephemeral: bytes
    timestamp: bytes
    chain_key: bytes
    transcript: bytes


def hash_of(*parts: bytes) -> bytes:
    return hashlib.blake2s(b"".join(parts)).digest()


def mac(key: bytes, message: bytes) -> bytes:
    """Keyed BLAKE2s with 16 bytes of output."""
    return hashlib.blake2s(message, key=key, digest_size=16).digest()


def kdf(count: int, key: bytes, material: bytes) -> tuple[bytes, ...]:
    """`count` keys of 32 bytes: HKDF over BLAKE2s (RFC 5869)."""
    root = hmac_digest(key, material, "blake2s")
    keys: list[bytes] = []
    last = b""
    for number in range(1, count + 1):
        last = hmac_digest(root, last + bytes([number]), "blake2s")
        keys.append(last)
    return tuple(keys)


INITIAL_CHAIN_KEY = hash_of(CONSTRUCTION)
INITIAL_HASH = hash_of(INITIAL_CHAIN_KEY, IDENTIFIER)


def shared_secret(private: bytes, public: bytes) -> bytes | None:
    """X25519, without the degenerate keys whose result is known to everybody."""
    try:
        secret: bytes = crypto_scalarmult(private, public)
    except (CryptoError, RuntimeError):
        return None
    return secret if any(secret) else None


def create_initiation(
    static: NodePrivate, responder: NodePublic, *, ephemeral: bytes, index: int, timestamp: bytes
) -> tuple[Initiated, Initiation] | None:
    ephemeral_public = crypto_scalarmult_base(ephemeral)
    (chain_key,) = kdf(1, INITIAL_CHAIN_KEY, ephemeral_public)
    transcript = hash_of(hash_of(INITIAL_HASH, responder.raw), ephemeral_public)

    first = shared_secret(ephemeral, responder.raw)
    second = shared_secret(static.raw, responder.raw)
    if first is None or second is None:
        return None
    chain_key, key = kdf(2, chain_key, first)
    sealed_static = seal_with(key, 0, static.public.raw, transcript)
    transcript = hash_of(transcript, sealed_static)
    chain_key, key = kdf(2, chain_key, second)
    sealed_timestamp = seal_with(key, 0, timestamp, transcript)
    transcript = hash_of(transcript, sealed_timestamp)

    message = Initiation(index, ephemeral_public, sealed_static, sealed_timestamp)
    return Initiated(index, ephemeral, chain_key, transcript), message


def read_static(static: NodePrivate, public: NodePublic, message: Initiation) -> Claimed | None:
    """The responder's first half: enough to look the initiator up."""
    (chain_key,) = kdf(1, INITIAL_CHAIN_KEY, message.ephemeral)
    transcript = hash_of(hash_of(INITIAL_HASH, public.raw), message.ephemeral)
    secret = shared_secret(static.raw, message.ephemeral)
    if secret is None:
        return None
    chain_key, key = kdf(2, chain_key, secret)
    initiator = open_with(key, 0, message.sealed_static, transcript)
    if initiator is None:
        return None
    transcript = hash_of(transcript, message.sealed_static)
    return Claimed(NodePublic(initiator), message, chain_key, transcript)


def read_timestamp(static: NodePrivate, claimed: Claimed) -> Received | None:
    """The second half: only who holds the claimed private key could have sealed the timestamp."""
    secret = shared_secret(static.raw, claimed.initiator.raw)
    if secret is None:
        return None
    message = claimed.message
    chain_key, key = kdf(2, claimed.chain_key, secret)
    timestamp = open_with(key, 0, message.sealed_timestamp, claimed.transcript)
    if timestamp is None:
        return None
    transcript = hash_of(claimed.transcript, message.sealed_timestamp)
    return Received(
        claimed.initiator, message.sender, message.ephemeral, timestamp, chain_key, transcript
    )


def create_response(
    received: Received, *, preshared_key: bytes, ephemeral: bytes, index: int
) -> tuple[TransportKeys, Response] | None:
    ephemeral_public = crypto_scalarmult_base(ephemeral)
    first = shared_secret(ephemeral, received.ephemeral)
    second = shared_secret(ephemeral, received.initiator.raw)
    if first is None or second is None:
        return None
    chain_key, key, transcript = _mix_response(
        received.chain_key, received.transcript, ephemeral_public, (first, second), preshared_key
    )
    sealed_nothing = seal_with(key, 0, b"", transcript)
    receive, send = kdf(2, chain_key, b"")
    message = Response(index, received.sender, ephemeral_public, sealed_nothing)
    return TransportKeys(send=send, receive=receive), message


def consume_response(
    static: NodePrivate, initiated: Initiated, message: Response, *, preshared_key: bytes
) -> TransportKeys | None:
    first = shared_secret(initiated.ephemeral, message.ephemeral)
    second = shared_secret(static.raw, message.ephemeral)
    if first is None or second is None:
        return None
    chain_key, key, transcript = _mix_response(
        initiated.chain_key,
        initiated.transcript,
        message.ephemeral,
        (first, second),
        preshared_key,
    )
    if open_with(key, 0, message.sealed_nothing, transcript) is None:
        return None
    send, receive = kdf(2, chain_key, b"")
    return TransportKeys(send=send, receive=receive)


def _mix_response(
    chain_key: bytes,
    transcript: bytes,
    ephemeral_public: bytes,
    secrets: tuple[bytes, bytes],
    preshared_key: bytes,
) -> tuple[bytes, bytes, bytes]:
    """Both ends walk this alike: chaining key, the key that seals nothing, and the hash."""
    (chain_key,) = kdf(1, chain_key, ephemeral_public)
    for secret in secrets:
        (chain_key,) = kdf(1, chain_key, secret)
    chain_key, tau, key = kdf(3, chain_key, preshared_key)
    transcript = hash_of(hash_of(transcript, ephemeral_public), tau)
    return chain_key, key, transcript
