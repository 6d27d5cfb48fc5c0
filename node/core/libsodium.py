"""PyNaCl's libsodium by pointer: the AEAD without a copy, in place in a buffer of ours.

`nacl.bindings` copies and allocates at each call, which costs three times the cipher itself on a packet.
The names below are private to PyNaCl, so whoever uses this asks `available` first. Importing
`nacl.bindings` matters: it calls `sodium_init()`, without which libsodium silently stays with its portable
code and is 2.6 times slower.
"""

from __future__ import annotations

from typing import Any

import nacl.bindings  # noqa: F401

ffi: Any
lib: Any
try:
    from nacl import _sodium

    ffi, lib = _sodium.ffi, _sodium.lib
    encrypt: Any = lib.crypto_aead_chacha20poly1305_ietf_encrypt
    decrypt: Any = lib.crypto_aead_chacha20poly1305_ietf_decrypt
    available = True
except (ImportError, AttributeError):  # another build of PyNaCl
    ffi = lib = encrypt = decrypt = None
    available = False


def address(function: str) -> int:
    """Where a function of libsodium is, for code that was not linked with it."""
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, function)))
