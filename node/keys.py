"""Keys, as types: a node key cannot stand where a disco key belongs, and a private key has no text.

The *node key* is the WireGuard static key and the DERP address at once. The *disco key* is a second
pair, made new at each start and never stored. All are Curve25519, 32 bytes; private ones are clamped.
Text forms: `nodekey:` / `discokey:` + 64 hex digits; `privkey:` + 64 hex digits in key files only.
"""

from __future__ import annotations

from typing import ClassVar, Self

from msgspec import Struct
from nacl.bindings import crypto_scalarmult_base

from node.veiled import Veiled

KEY_SIZE = 32


class BadKey(ValueError):
    """Text or bytes that are not a key. The message says what was expected."""


def clamp(raw: bytes) -> bytes:
    """Curve25519's private form (RFC 7748 §5)."""
    return bytes([raw[0] & 248, *raw[1:31], (raw[31] & 127) | 64])


def _from_hex(text: str, prefix: str) -> bytes:
    digits = text.strip().removeprefix(prefix)
    if len(digits) != 2 * KEY_SIZE or not text.strip().startswith(prefix):
        raise BadKey(f"expected {prefix!r} and 64 hex digits")
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise BadKey(f"expected {prefix!r} and 64 hex digits") from None


class _Public(Struct, frozen=True):
    """32 bytes that anybody may see."""

    raw: bytes
    prefix: ClassVar[str]

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_SIZE:
            raise BadKey(f"a key has {KEY_SIZE} bytes, not {len(self.raw)}")

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(_from_hex(text, cls.prefix))

    def __str__(self) -> str:
        return self.prefix + self.raw.hex()


class NodePublic(_Public, frozen=True):
    """Who a node is: its WireGuard key and its DERP address."""

    prefix: ClassVar[str] = "nodekey:"


class DiscoPublic(_Public, frozen=True):
    """By what a node's disco messages are known, until it starts again."""

    prefix: ClassVar[str] = "discokey:"


class _Private(Veiled, frozen=True):
    """32 bytes that appear in no text of ours."""

    veiled: ClassVar = ("raw",)
    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != KEY_SIZE:
            raise BadKey(f"a key has {KEY_SIZE} bytes, not {len(self.raw)}")

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """A private key from 32 random bytes."""
        return cls(clamp(seed))

    def __str__(self) -> str:
        raise TypeError("a private key has no text: it would end up in a log")


class NodePrivate(_Private, frozen=True):
    """The key in a node's key file."""

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(clamp(_from_hex(text, "privkey:")))

    def to_file_text(self) -> str:
        """The one way out, for a key file of mode 0600."""
        return "privkey:" + self.raw.hex()

    @property
    def public(self) -> NodePublic:
        return NodePublic(crypto_scalarmult_base(self.raw))


class DiscoPrivate(_Private, frozen=True):
    """Made at each start, stored nowhere."""

    @property
    def public(self) -> DiscoPublic:
        return DiscoPublic(crypto_scalarmult_base(self.raw))
