"""What stands inside the two boxes of a DERP login, and how they are sealed.

ClientInfo carries `nonce 24 | crypto_box(JSON)` from the client's node key to the server's key: that
it opens is the proof of who the client is. ServerInfo answers in kind. The JSON keys are fixed;
a `meshKey` that is there but empty is an error, so it is left out when there is none.
"""

from __future__ import annotations

import json

from msgspec import Struct
from nacl.bindings import crypto_box, crypto_box_open
from nacl.exceptions import CryptoError

from node.keys import KEY_SIZE, NodePrivate, NodePublic
from node.wire.derp_framing import NONCE_SIZE
from node.wire.malformed import Malformed

PROTOCOL_VERSION = 2


def seal(message: bytes, nonce: bytes, mine: NodePrivate, theirs: NodePublic) -> bytes:
    return nonce + crypto_box(message, nonce, theirs.raw, mine.raw)


def unseal(sealed: bytes, mine: NodePrivate, theirs: NodePublic) -> bytes:
    try:
        return crypto_box_open(sealed[NONCE_SIZE:], sealed[:NONCE_SIZE], theirs.raw, mine.raw)
    except (CryptoError, ValueError, RuntimeError):
        raise Malformed("login: the box does not open with these keys") from None


def _object(raw: bytes, name: str) -> dict[str, object]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise Malformed(f"{name}: not JSON") from None
    if not isinstance(value, dict):
        raise Malformed(f"{name}: not a JSON object")
    return value


def _whole_number(fields: dict[str, object], key: str, name: str) -> int:
    value = fields.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Malformed(f"{name}: {key} is not a whole number")
    return value


def _text(fields: dict[str, object], key: str) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str):
        raise Malformed(f"ClientInfo: {key} is not text")
    return value


def parse_mesh_key(text: str) -> bytes:
    """The secret that relays of one mesh share: 64 hex digits."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE or len(text) != 2 * KEY_SIZE:
        raise Malformed("mesh key: not 64 hex digits")
    return key


class ClientDetails(Struct, frozen=True):
    """What a client says of itself in the box of its ClientInfo."""

    version: int = PROTOCOL_VERSION
    can_ack_pings: bool = True
    mesh_key: bytes | None = None
    is_prober: bool = False
    app_name: str = ""

    @classmethod
    def parse(cls, raw: bytes) -> ClientDetails:
        fields = _object(raw, "ClientInfo")
        return cls(
            version=_whole_number(fields, "version", "ClientInfo"),
            can_ack_pings=fields.get("CanAckPings") is True,
            mesh_key=parse_mesh_key(_text(fields, "meshKey")) if "meshKey" in fields else None,
            is_prober=fields.get("IsProber") is True,
            app_name=_text(fields, "AppName"),
        )

    def pack(self) -> bytes:
        fields: dict[str, object] = {}
        if self.mesh_key is not None:
            fields["meshKey"] = self.mesh_key.hex()
        fields |= {"version": self.version, "CanAckPings": self.can_ack_pings}
        if self.is_prober:
            fields["IsProber"] = True
        if self.app_name:
            fields["AppName"] = self.app_name
        return json.dumps(fields, separators=(",", ":")).encode()


class ServerDetails(Struct, frozen=True):
    """What a server says in the box of its ServerInfo; rates in bytes a second, 0: none."""

    version: int = PROTOCOL_VERSION
    bytes_per_second: int = 0  # 0: send as fast as you like
    bytes_burst: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> ServerDetails:
        fields = _object(raw, "ServerInfo")
        return cls(
            _whole_number(fields, "version", "ServerInfo"),
            _whole_number(fields, "TokenBucketBytesPerSecond", "ServerInfo"),
            _whole_number(fields, "TokenBucketBytesBurst", "ServerInfo"),
        )

    def pack(self) -> bytes:
        fields = {"version": self.version}
        if self.bytes_per_second:
            fields["TokenBucketBytesPerSecond"] = self.bytes_per_second
            fields["TokenBucketBytesBurst"] = self.bytes_burst
        return json.dumps(fields, separators=(",", ":")).encode()
