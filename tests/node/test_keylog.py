"""The key log opens a captured tunnel, exists only when asked for, and is nobody else's to read."""

from __future__ import annotations

import random
import stat
from pathlib import Path

import pytest

from node.core.device import Device, HandshakeSecrets, Output, PeerConfig, Transmit
from node.core.noise import consume_response, create_initiation
from node.core.session import Session
from node.core.tai64n import tai64n
from node.io.errors import Refused
from node.io.keylog import KeyLog
from node.keys import NodePrivate
from node.wire.wireguard import Initiation, Response, parse
from tests.node.tunnel import packet

EPOCH = 1_700_000_000.0
SHARED = b"\x07" * 32
A, B = NodePrivate.from_seed(b"\x01" * 32), NodePrivate.from_seed(b"\x02" * 32)


def device(private: NodePrivate, other: NodePrivate, address: str, log_keys: bool) -> Device:
    made = Device(private, random=random.Random(1).randbytes, epoch=EPOCH, log_keys=log_keys)
    made.set_peers([PeerConfig(other.public, (address,), SHARED)], 1.0)
    return made


def test_with_the_logged_keys_a_capture_opens() -> None:
    a = device(A, B, "100.64.2.20/32", log_keys=True)
    b = device(B, A, "100.64.1.10/32", log_keys=False)
    secrets, initiation = a.send([packet("100.64.1.10", "100.64.2.20", b"marker")], 1.0)
    [response] = datagrams(b.receive(datagrams([initiation]), "a", 1.0))
    [data] = datagrams(a.receive([response], "b", 1.0))

    assert isinstance(secrets, HandshakeSecrets)
    assert [secrets.message] == datagrams([initiation])
    [first], second = map(parse, datagrams([initiation])), parse(response)
    assert isinstance(first, Initiation)
    assert isinstance(second, Response)
    again = create_initiation(
        NodePrivate(secrets.static),
        secrets.peer,
        ephemeral=secrets.ephemeral,
        index=first.sender,
        timestamp=tai64n(EPOCH + 1.0),
    )
    assert again is not None
    keys = consume_response(
        NodePrivate(secrets.static), again[0], second, preshared_key=secrets.preshared
    )
    assert keys is not None
    session = Session(keys, local_index=0, remote_index=0, is_initiator=True, now=1.0)
    session.receive_key = keys.send  # what we look at is what a has sent
    assert b"marker" in session.open([data]).plaintexts[0]


def test_who_answers_logs_too() -> None:
    a = device(A, B, "100.64.2.20/32", log_keys=False)
    b = device(B, A, "100.64.1.10/32", log_keys=True)
    outputs = b.receive(datagrams(a.initiate(B.public, 1.0)), "a", 1.0)
    [secrets] = [o for o in outputs if isinstance(o, HandshakeSecrets)]
    assert secrets.peer == A.public
    assert [secrets.message] == datagrams(outputs)


def test_unasked_no_key_leaves_the_device() -> None:
    a = device(A, B, "100.64.2.20/32", log_keys=False)
    assert not [o for o in a.initiate(B.public, 1.0) if isinstance(o, HandshakeSecrets)]


def test_the_log_is_its_owners_alone_and_in_wiresharks_words(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.touch(mode=0o644)
    KeyLog(str(file)).write(
        HandshakeSecrets(B.public, b"\x01" * 32, b"\x02" * 32, SHARED, b"\x01\0")
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = file.read_text().splitlines()
    assert lines[0] == "LOCAL_STATIC_PRIVATE_KEY = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
    assert [line.partition(" = ")[0] for line in lines[1:]] == [
        "REMOTE_STATIC_PUBLIC_KEY",
        "LOCAL_EPHEMERAL_PRIVATE_KEY",
        "PRESHARED_KEY",
        "HANDSHAKE_MESSAGE",
    ]


def test_a_log_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No such file or directory"):
        KeyLog(str(tmp_path / "nowhere" / "keys"))


def datagrams(outputs: list[Output]) -> list[bytes]:
    return [d for o in outputs if isinstance(o, Transmit) for d in o.datagrams]
