"""Self-signed Ed25519 certificates, in DER by hand (RFC 5280, RFC 8410): one screen, no big library.

The *meta certificate* that a DERP server appends to its TLS chain is one: its common name is
`derpkey` + 64 hex digits of the server's DERP key, its serial number the protocol version. A name
that long (71 characters) is over X.520's 64, which is why certificate libraries refuse to make it.

    Certificate = SEQUENCE { tbs, algorithm, BIT STRING signature of tbs }
    tbs = SEQUENCE { [0] version, serial, algorithm, issuer, validity, subject, key, [3] extensions }
"""

from __future__ import annotations

from ipaddress import ip_address

from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_seed_keypair

from node.keys import NodePublic

META_PREFIX = "derpkey"
META_SERIAL = 2  # the DERP protocol version

_SEQUENCE, _SET, _INTEGER, _BIT_STRING, _OCTET_STRING = 0x30, 0x31, 0x02, 0x03, 0x04
_UTF8, _UTC_TIME, _GENERAL_TIME, _BOOLEAN = 0x0C, 0x17, 0x18, 0x01
_ED25519 = bytes.fromhex("06032b6570")  # OID 1.3.101.112
_COMMON_NAME = bytes.fromhex("0603550403")
_BASIC_CONSTRAINTS = bytes.fromhex("0603551d13")
_SUBJECT_ALT_NAME = bytes.fromhex("0603551d11")
_PKCS8_HEAD = bytes.fromhex("302e020100300506032b657004220420")  # RFC 8410 §7
_DNS, _ADDRESS = 0x82, 0x87  # kinds of SubjectAltName


def meta_certificate(key: NodePublic, seed: bytes, not_before: float, not_after: float) -> bytes:
    name = META_PREFIX + key.raw.hex()
    return certificate(name, (), META_SERIAL, seed, not_before, not_after)


def certificate(
    common_name: str, names: tuple[str, ...], serial: int, seed: bytes,
    not_before: float, not_after: float,
) -> bytes:  # fmt: skip
    """`seed` is the Ed25519 private key; the times are Unix seconds; not a CA."""
    public, secret = crypto_sign_seed_keypair(seed)
    algorithm = _tlv(_SEQUENCE, _ED25519)
    name = _name(common_name)
    tbs = _tlv(
        _SEQUENCE,
        _tlv(0xA0, _integer(2)),  # X.509 v3
        _integer(serial),
        algorithm,
        name,
        _tlv(_SEQUENCE, _time(not_before), _time(not_after)),
        name,
        _tlv(_SEQUENCE, algorithm, _tlv(_BIT_STRING, b"\x00" + public)),
        _tlv(0xA3, _tlv(_SEQUENCE, *_extensions(names))),
    )
    signature = crypto_sign(tbs, secret)[:crypto_sign_BYTES]
    return _tlv(_SEQUENCE, tbs, algorithm, _tlv(_BIT_STRING, b"\x00" + signature))


def private_key(seed: bytes) -> bytes:
    """PKCS #8, as files carry it."""
    return _PKCS8_HEAD + seed


def _tlv(tag: int, *parts: bytes) -> bytes:
    value = b"".join(parts)
    size = len(value)
    if size < 0x80:
        return bytes([tag, size]) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + value


def _integer(value: int) -> bytes:
    return _tlv(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _name(common_name: str) -> bytes:
    attribute = _tlv(_SEQUENCE, _COMMON_NAME, _tlv(_UTF8, common_name.encode()))
    return _tlv(_SEQUENCE, _tlv(_SET, attribute))


def _time(unix: float) -> bytes:
    """RFC 5280 §4.1.2.5: two-digit years until 2049."""
    from datetime import UTC, datetime  # late: who only reads certificates needs none

    when = datetime.fromtimestamp(int(unix), UTC)
    if when.year < 2050:
        return _tlv(_UTC_TIME, when.strftime("%y%m%d%H%M%SZ").encode())
    return _tlv(_GENERAL_TIME, when.strftime("%Y%m%d%H%M%SZ").encode())


def _extensions(names: tuple[str, ...]) -> list[bytes]:
    critical = _tlv(_BOOLEAN, b"\xff")
    not_a_ca = _tlv(_OCTET_STRING, _tlv(_SEQUENCE))
    extensions = [_tlv(_SEQUENCE, _BASIC_CONSTRAINTS, critical, not_a_ca)]
    if names:
        value = _tlv(_OCTET_STRING, _tlv(_SEQUENCE, *map(_general_name, names)))
        extensions.append(_tlv(_SEQUENCE, _SUBJECT_ALT_NAME, value))
    return extensions


def _general_name(name: str) -> bytes:
    try:
        return _tlv(_ADDRESS, ip_address(name).packed)
    except ValueError:
        return _tlv(_DNS, name.encode())
