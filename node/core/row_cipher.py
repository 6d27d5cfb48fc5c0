"""The cipher on rows: from one buffer into the same places of another, a call for each row.

A call takes a `Place`, made once and kept: a row's nonce, its text, and where the result goes. The nonce is
in the source row, from its fourth byte on: 4 zeros where the receiver index will be or was, then the
counter. Two libraries can do it. OpenSSL by `cryptography` (releases that have `encrypt_into`) is the
faster on packets; libsodium by PyNaCl's private pointers is there with every release of either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from node.core import libsodium
from node.core.rows import HEADER

NONCE = 4
TAG = 16
MAX_KEYS = 64  # of sessions in use; the objects are cheap to make again

Place = tuple[Any, ...]


class RowCipher(Protocol):
    def sealing(self, at: int, text: int) -> Place:
        """For the row at `at` with a text of so many bytes; the tag comes behind it."""

    def opening(self, at: int, text: int) -> Place:
        """For a sealed text that will have so many bytes."""

    def seal(self, key: bytes, places: Sequence[Place]) -> None: ...

    def open(self, key: bytes, places: Sequence[Place]) -> tuple[int, ...]:
        """Which of them failed; nothing readable is left of these."""


class OpensslCipher:
    def __init__(self, source: bytearray, target: bytearray) -> None:
        self._source, self._target = memoryview(source), memoryview(target)
        self._keys: dict[bytes, Any] = {}

    def sealing(self, at: int, text: int) -> Place:
        return self._place(at, text, text + TAG)

    def opening(self, at: int, text: int) -> Place:
        return self._place(at, text + TAG, text)

    def _place(self, at: int, before: int, after: int) -> Place:
        begin = at + HEADER
        nonce, text = self._source[at + NONCE : begin], self._source[begin : begin + before]
        return nonce, text, self._target[begin : begin + after]

    def seal(self, key: bytes, places: Sequence[Place]) -> None:
        encrypt = self._key(key).encrypt_into
        for nonce, text, result in places:
            encrypt(nonce, text, None, result)

    def open(self, key: bytes, places: Sequence[Place]) -> tuple[int, ...]:
        decrypt = self._key(key).decrypt_into
        failed: list[int] = []
        for i, (nonce, text, result) in enumerate(places):
            try:
                decrypt(nonce, text, None, result)
            except InvalidTag:
                result[:] = bytes(len(result))
                failed.append(i)
        return tuple(failed)

    def _key(self, key: bytes) -> Any:
        made = self._keys.get(key)
        if made is None:
            if len(self._keys) >= MAX_KEYS:
                self._keys.clear()
            made = self._keys[key] = ChaCha20Poly1305(key)
        return made


class LibsodiumCipher:
    def __init__(self, source: bytearray, target: bytearray) -> None:
        ffi = libsodium.ffi
        self._owners = [ffi.from_buffer("unsigned char[]", each) for each in (source, target)]
        self._source, self._target = (owner + 0 for owner in self._owners)

    def sealing(self, at: int, text: int) -> Place:
        source = self._source + at
        return source + NONCE, source + HEADER, text, self._target + (at + HEADER)

    def opening(self, at: int, text: int) -> Place:
        return self.sealing(at, text + TAG)

    def seal(self, key: bytes, places: Sequence[Place]) -> None:
        encrypt, null, secret = (
            libsodium.encrypt,
            libsodium.ffi.NULL,
            libsodium.ffi.from_buffer(key),
        )
        for nonce, text, length, result in places:
            encrypt(result, null, text, length, null, 0, null, nonce, secret)

    def open(self, key: bytes, places: Sequence[Place]) -> tuple[int, ...]:
        decrypt, null, secret = (
            libsodium.decrypt,
            libsodium.ffi.NULL,
            libsodium.ffi.from_buffer(key),
        )
        verdicts = [
            decrypt(result, null, null, text, length, null, 0, nonce, secret)
            for nonce, text, length, result in places
        ]
        return tuple(i for i, bad in enumerate(verdicts) if bad) if any(verdicts) else ()


CIPHERS: dict[str, type[OpensslCipher] | type[LibsodiumCipher]] = {}
if hasattr(ChaCha20Poly1305, "encrypt_into"):
    CIPHERS["openssl"] = OpensslCipher
if libsodium.available:
    CIPHERS["libsodium"] = LibsodiumCipher
