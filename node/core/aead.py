"""ChaCha20-Poly1305 as WireGuard uses it: the nonce is four zero bytes and a 64-bit counter.

`seal` and `open_sealed` run once for every packet, so they call libsodium through PyNaCl's private cffi
handles where these exist: 2.5 us a packet instead of the 5 us that the checks and copies of
`nacl.bindings` cost. Importing `nacl.bindings` also runs `sodium_init`, without which libsodium stays on
its portable code, silently, at a third of the speed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_decrypt,
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

TAG_SIZE = 16

Seal: TypeAlias = Callable[[bytes, int, bytes], bytes]
OpenSealed: TypeAlias = Callable[[bytes, int, bytes], bytes | None]


def nonce_of(counter: int) -> bytes:
    return bytes(4) + counter.to_bytes(8, "little")


def seal_with(key: bytes, counter: int, plaintext: bytes, data: bytes) -> bytes:
    """With additional data, as in the handshake."""
    sealed: bytes = crypto_aead_chacha20poly1305_ietf_encrypt(
        plaintext, data, nonce_of(counter), key
    )
    return sealed


def open_with(key: bytes, counter: int, sealed: bytes, data: bytes) -> bytes | None:
    """None when it was not sealed with this key, counter and additional data."""
    if len(sealed) < TAG_SIZE:  # the bindings would raise something else for these
        return None
    try:
        plaintext: bytes = crypto_aead_chacha20poly1305_ietf_decrypt(
            sealed, data, nonce_of(counter), key
        )
    except CryptoError:
        return None
    return plaintext


def xseal(key: bytes, nonce: bytes, plaintext: bytes, data: bytes) -> bytes:
    """XChaCha20-Poly1305, whose 24-byte nonce may be random."""
    sealed: bytes = crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, data, nonce, key)
    return sealed


def xopen(key: bytes, nonce: bytes, sealed: bytes, data: bytes) -> bytes | None:
    if len(sealed) < TAG_SIZE:
        return None
    try:
        plaintext: bytes = crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, data, nonce, key)
    except CryptoError:
        return None
    return plaintext


def portable_seal(key: bytes, counter: int, plaintext: bytes) -> bytes:
    return seal_with(key, counter, plaintext, b"")


def portable_open(key: bytes, counter: int, sealed: bytes) -> bytes | None:
    return open_with(key, counter, sealed, b"")


def direct(sodium: Any) -> tuple[Seal, OpenSealed]:
    """The two calls on cffi handles. Raises AttributeError when PyNaCl has other insides."""
    encrypt = sodium.lib.crypto_aead_chacha20poly1305_ietf_encrypt
    decrypt = sodium.lib.crypto_aead_chacha20poly1305_ietf_decrypt
    null, buffer = sodium.ffi.NULL, sodium.ffi.buffer
    allocate = sodium.ffi.new_allocator(should_clear_after_alloc=False)
    octets = sodium.ffi.typeof("unsigned char[]")
    zeros = bytes(4)

    def seal(key: bytes, counter: int, plaintext: bytes) -> bytes:
        size = len(plaintext)
        out = allocate(octets, size + TAG_SIZE)
        nonce = zeros + counter.to_bytes(8, "little")
        encrypt(out, null, plaintext, size, null, 0, null, nonce, key)
        sealed: bytes = buffer(out)[:]
        return sealed

    def open_sealed(key: bytes, counter: int, sealed: bytes) -> bytes | None:
        size = len(sealed)
        if size < TAG_SIZE:
            return None
        out = allocate(octets, size)  # never empty: a keepalive has no plaintext
        nonce = zeros + counter.to_bytes(8, "little")
        if decrypt(out, null, null, sealed, size, null, 0, nonce, key):
            return None
        plaintext: bytes = buffer(out, size - TAG_SIZE)[:]
        return plaintext

    return seal, open_sealed


def _fastest() -> tuple[Seal, OpenSealed]:
    try:
        import nacl._sodium as sodium

        return direct(sodium)
    except (ImportError, AttributeError):
        return portable_seal, portable_open


seal, open_sealed = _fastest()
