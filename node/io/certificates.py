"""The TLS side of a relay: its certificate, the meta certificate behind it, and the rules of TLS.

Python's ssl module takes certificates from files only, so chains made here pass through an
anonymous file in memory and never touch a disk.
"""

from __future__ import annotations

import binascii
import hashlib
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.keys import NodePublic
from node.wire import certificate

DAY = 86_400.0
META_LIFE = 30 * DAY  # each way from now; clients do not check it
SELF_SIGNED_LIFE = 365 * DAY


class BadCertificate(Exception):
    """One line: which file, what is wrong with it."""


def to_pem(der: bytes, label: str) -> str:
    text = binascii.b2a_base64(der, newline=False).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def self_signed(hostname: str) -> tuple[str, str]:
    """Certificate and key, as PEM text."""
    seed, now = os.urandom(32), time.time()
    serial = int.from_bytes(os.urandom(8), "big") | 1
    der = certificate.certificate(
        hostname, (hostname,), serial, seed, now - DAY, now + SELF_SIGNED_LIFE
    )
    return to_pem(der, "CERTIFICATE"), to_pem(certificate.private_key(seed), "PRIVATE KEY")


def pin(chain: str) -> str:
    """The form by which clients can trust the first certificate of the chain and no other."""
    end = "-----END CERTIFICATE-----"
    leaf = chain[chain.index("-----BEGIN") : chain.index(end) + len(end)]
    return "sha256-raw:" + hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf)).hexdigest()


def read_pem(path: Path, what: str) -> str:
    try:
        text = path.read_text()
    except OSError as error:
        raise BadCertificate(f"{what} {path}: {error.strerror}") from None
    except ValueError:
        text = ""
    if "-----BEGIN" not in text:
        raise BadCertificate(f"{what} {path}: not in PEM form")
    return text


def server_context(chain: str, key: str, derp_key: NodePublic) -> ssl.SSLContext:
    now = time.time()
    meta = certificate.meta_certificate(derp_key, os.urandom(32), now - META_LIFE, now + META_LIFE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0  # DERP connections last; a resumed one would hide the meta certificate
    full = chain.rstrip("\n") + "\n" + to_pem(meta, "CERTIFICATE")
    with _in_memory(full) as chain_path, _in_memory(key) as key_path:
        try:
            context.load_cert_chain(chain_path, key_path)
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).lower().replace("_", " ")
            raise BadCertificate(f"certificate and key do not work together: {reason}") from None
    return context


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    fd = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        os.write(fd, text.encode())
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
