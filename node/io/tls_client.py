"""TLS to a relay: whom to trust, what its certificates say, and what went wrong in plain words.

Three ways to trust: a CA file (or the system's CAs) and the host name; a pin, `sha256-raw:` + the
SHA-256 of the leaf certificate; or nothing at all, for tests. A relay appends a *meta certificate*
to its chain whose common name is `derpkey` + its DERP key in hex: it saves a round trip, and needs
no check, since the login fails with a wrong key.
"""

from __future__ import annotations

import ssl
import time
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from node.keys import BadKey, NodePublic
from node.netmap import DerpNode
from node.wire.certificate import META_PREFIX

PIN_PREFIX = "sha256-raw:"

# OpenSSL's verify codes (X509_V_ERR_*) that people meet.
_EXPIRED, _NOT_YET_VALID, _WRONG_NAME, _WRONG_ADDRESS = 10, 9, 62, 64
_UNKNOWN_CA = (2, 7, 18, 19, 20, 21)  # 7: a CA of the same name, with another key


class Untrusted(Exception):
    """The relay is not who it should be; the text says why."""


def is_pinned(node: DerpNode) -> bool:
    return node.cert_name is not None and node.cert_name.startswith(PIN_PREFIX)


def expected_name(node: DerpNode) -> str:
    """The name the certificate must carry."""
    return node.host_name if node.cert_name is None or is_pinned(node) else node.cert_name


def is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=8)
def client_context(ca_file: str | None, verify: bool) -> ssl.SSLContext:
    """Raises OSError (ssl.SSLError is one) when the CA file cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_file is not None:
        context.load_verify_locations(ca_file)
    else:
        context.load_default_certs()  # some 20 ms: only when no file was named
    return context


def context_for(node: DerpNode, ca_file: str | None) -> ssl.SSLContext:
    verify = not (node.insecure_for_tests or is_pinned(node))
    return client_context(ca_file if verify else None, verify)


def _chain(tls: ssl.SSLSocket) -> list[Any]:
    """The certificates as sent. Public only from Python 3.13 on; without it we go the slow way."""
    inner = getattr(tls, "_sslobj", None)
    get_chain = getattr(inner, "get_unverified_chain", None)
    try:
        return list(get_chain()) if get_chain is not None else []
    except (ssl.SSLError, TypeError):
        return []


def _common_name(certificate: Any) -> str:
    try:
        fields = certificate.get_info().get("subject", ())
    except (AttributeError, ValueError, ssl.SSLError):
        return ""
    return next((value for part in fields for key, value in part if key == "commonName"), "")


def meta_key(tls: ssl.SSLSocket) -> NodePublic | None:
    """The server's DERP key, if TLS told it: only TLS 1.3 hides the chain from those on the way."""
    if tls.version() != "TLSv1.3":
        return None
    for certificate in reversed(_chain(tls)):
        name = _common_name(certificate)
        if name.startswith(META_PREFIX):
            try:
                return NodePublic.parse(NodePublic.prefix + name.removeprefix(META_PREFIX))
            except BadKey:
                return None
    return None


def check_pin(tls: ssl.SSLSocket, node: DerpNode) -> None:
    """`sha256-raw:`: this very certificate, alone, still valid, and for this name unless an address."""
    import hashlib  # late: few relays are pinned

    assert node.cert_name is not None
    leaf = tls.getpeercert(binary_form=True) or b""
    found, wanted = hashlib.sha256(leaf).hexdigest(), node.cert_name.removeprefix(PIN_PREFIX)
    if found != wanted.lower():
        raise Untrusted(f"its certificate is sha256-raw:{found}, not the pinned {node.cert_name}")
    chain = [c for c in _chain(tls) if not _common_name(c).startswith(META_PREFIX)]
    if not chain:
        return
    if len(chain) > 1:
        raise Untrusted("it sent more certificates than the pinned one")
    info = chain[0].get_info()
    now = time.time()
    if not ssl.cert_time_to_seconds(info["notBefore"]) <= now:
        raise Untrusted("its certificate is not valid yet")
    if not now <= ssl.cert_time_to_seconds(info["notAfter"]):
        raise Untrusted("its certificate has expired")
    names = [value for kind, value in info.get("subjectAltName", ()) if kind == "DNS"]
    if not is_address(node.host_name) and not any(_fits(name, node.host_name) for name in names):
        raise Untrusted(f"its certificate is not for the name {node.host_name}")


def _fits(pattern: str, name: str) -> bool:
    """RFC 6125 §6.4.3, with the wildcard as the whole first label only."""
    pattern, name = pattern.lower(), name.lower()
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:]
    return pattern == name


def explain(error: ssl.SSLError, node: DerpNode, ca_file: str | None) -> str:
    """One line for a person; what to change is in it."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS failed: {error.reason or error}"
    code = error.verify_code
    if code in (_WRONG_NAME, _WRONG_ADDRESS):
        return f"its certificate is not for the name {expected_name(node)}"
    if code in _UNKNOWN_CA:
        trusted = f"the CA in {ca_file}" if ca_file else "any CA of this system"
        return f"its certificate is not signed by {trusted}"
    if code == _EXPIRED:
        return "its certificate has expired"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet"
    return f"its certificate was refused: {error.verify_message}"
