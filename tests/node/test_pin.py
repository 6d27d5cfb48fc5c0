"""A pinned certificate has to be alone, in its time and for the name: over real TLS."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import time
from pathlib import Path
from threading import Thread

import pytest

from node.io.tls_client import Untrusted, check_pin, context_for
from node.netmap import DerpNode
from node.wire.certificate import certificate, meta_certificate, private_key
from tests.node.relay_rig import SERVER

HOST = "derp.test"
DAY = 86400.0
SEED = bytes(range(32))
LEAF, STALE, EARLY = (
    certificate(HOST, (HOST,), 1, SEED, time.time() + DAY * begin, time.time() + DAY * end)
    for begin, end in ((-1, 1), (-2, -1), (1, 2))
)
META = meta_certificate(SERVER.public, bytes(32), time.time() - DAY, time.time() + DAY)


@pytest.mark.parametrize("chain", [[LEAF], [LEAF, META]], ids=["alone", "with the meta one"])
def test_the_pinned_certificate_is_enough(tmp_path: Path, chain: list[bytes]) -> None:
    assert refusal(tmp_path, chain) is None


@pytest.mark.parametrize(
    ("chain", "why"),
    [
        ([LEAF, STALE], "it sent more certificates than the pinned one"),
        ([STALE], "its certificate has expired"),
        ([EARLY], "its certificate is not valid yet"),
    ],
    ids=["not alone", "expired", "not yet valid"],
)
def test_what_a_pin_does_not_excuse(tmp_path: Path, chain: list[bytes], why: str) -> None:
    assert refusal(tmp_path, chain) == why


# --- what the tests are made of ---


def refusal(folder: Path, chain: list[bytes]) -> str | None:
    """What a client says to a server with that chain, whose first certificate it has pinned."""
    pin = f"sha256-raw:{hashlib.sha256(chain[0]).hexdigest()}"
    node = DerpNode("1a", 1, HOST, "127.0.0.1", cert_name=pin)
    near, far = socket.socketpair()
    serving = Thread(target=serve, args=(server_context(folder, chain), far))
    serving.start()
    with context_for(node, None).wrap_socket(near, server_hostname=HOST) as tls:
        try:
            check_pin(tls, node)
            said = None
        except Untrusted as untrusted:
            said = str(untrusted)
    serving.join()
    return said


def server_context(folder: Path, chain: list[bytes]) -> ssl.SSLContext:
    key = base64.encodebytes(private_key(SEED)).decode()
    pem = "".join(map(ssl.DER_cert_to_PEM_cert, chain))
    file = folder / "chain-and-key.pem"
    file.touch(0o600)
    file.write_text(f"{pem}-----BEGIN PRIVATE KEY-----\n{key}-----END PRIVATE KEY-----\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def serve(context: ssl.SSLContext, far: socket.socket) -> None:
    with context.wrap_socket(far, server_side=True) as tls:
        tls.recv(1)
